"""Application Insights: it takes in what apps tell of themselves, from identities that may publish there.

https://learn.microsoft.com/en-us/azure/azure-monitor/app/azure-ad-authentication
"""

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import tokens
from simulator.clouds import MONITOR_RESOURCE

if TYPE_CHECKING:
    from simulator.entra import Entra
    from simulator.state import State

INGESTION_HOST = "westeurope-5.in.applicationinsights.azure.com"
# What Azure Monitor's libraries also ask unless they are told not to: live metrics, and settings of Microsoft's.
OTHER_HOSTS = ("*.livediagnostics.monitor.azure.com", "settings.sdk.monitor.azure.com")


class Insights:
    """One resource that takes no key, only tokens.

    Attributes:
        publishers: object ids of the principals that hold the role Monitoring Metrics Publisher.
        bodies: the body of every request that was taken in, oldest first.
        connection_string: leads an app here; no secret.
    """

    def __init__(self, entra: "Entra") -> None:
        self.publishers = {entra.identity.object_id}
        self.bodies: list[bytes] = []
        self.instrumentation_key = "b3f5c3a0-7d8e-4a4e-9a53-0c8f6d6a5e11"
        self.connection_string = (
            f"InstrumentationKey={self.instrumentation_key};IngestionEndpoint=https://{INGESTION_HOST}/;"
            "LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/"
        )

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """The telemetry items that were taken in, oldest request first."""
        return [envelope for body in list(self.bodies) for envelope in json.loads(body)]


def ingestion_app(state: "State") -> Starlette:
    """`POST /v2.1/track`: a JSON array of telemetry items."""

    async def track(request: Request) -> Response:
        body = await request.body()
        with state.lock:
            insights, audiences = state.insights, [MONITOR_RESOURCE, f"{MONITOR_RESOURCE}/"]
            items = json.loads(body)
            try:
                claims = tokens.check(state, request.headers.get("authorization"), audiences=audiences)
            except tokens.TokenRefused as refused:
                return _answer(401, items, f"Unauthorized: the token is refused ({refused.reason}).")
            if claims["oid"] not in insights.publishers:
                return _answer(403, items, "Forbidden: the role Monitoring Metrics Publisher is missing.")
            if any(item["iKey"] != insights.instrumentation_key for item in items):
                return _answer(400, items, "Invalid instrumentation key")
            insights.bodies.append(body)
            return _answer(200, items)

    # Endpoints end in a slash, and clients put the path behind it as it is.
    return Starlette(routes=[Route(path, track, methods=["POST"]) for path in ("/v2.1/track", "//v2.1/track")])


def _answer(status: int, items: list[object], message: str = "") -> Response:
    errors = [{"index": index, "statusCode": status, "message": message} for index in range(len(items)) if message]
    accepted = len(items) - len(errors)
    return JSONResponse({"itemsReceived": len(items), "itemsAccepted": accepted, "errors": errors}, status_code=status)
