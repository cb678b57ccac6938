"""The managed-identity endpoint of App Service and Functions, plain http on loopback.

https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import hmac
import uuid
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import tokens
from simulator.clouds import cloud_of_resource

if TYPE_CHECKING:
    from simulator.state import State

API_VERSION = "2019-08-01"
ASSERTION = "2"


def identity_route(state: "State", *, header: str) -> Route:
    """The endpoint; `header` is the value that X-IDENTITY-HEADER must have."""

    async def endpoint(request: Request) -> Response:
        with state.lock:
            return _token(request, state, header)

    return Route("/msi/token", endpoint)


def _token(request: Request, state: "State", header: str) -> Response:
    if not hmac.compare_digest(request.headers.get("x-identity-header", ""), header):
        return _error(401, "The X-IDENTITY-HEADER is missing or wrong.")
    query = request.query_params
    if query.get("api-version") != API_VERSION:
        return _error(400, f"The api-version '{query.get('api-version', '')}' is not supported.")
    resource = query.get("resource", "")
    cloud = cloud_of_resource(resource.rstrip("/"))
    if cloud is None:
        return _error(500, "An attempt to get a token failed: the resource is not known.")
    client_id = query.get("client_id")
    entra = state.entra
    identity = entra.user_identities.get(client_id) if client_id else entra.system_identity
    if identity is None:
        return _error(
            400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    # One simulated machine stands in every cloud, so its identity's tenant is that of the resource's cloud.
    token, lifetime = tokens.issue(
        state,
        tenant=entra.tenant_of(cloud),
        cloud=cloud,
        principal=identity,
        resource=resource,
        credential=ASSERTION,
    )
    return JSONResponse(
        {
            "access_token": token,
            "expires_on": str(int(state.clock()) + lifetime),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": identity.client_id,
        }
    )


def _error(status: int, message: str) -> Response:
    body = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return JSONResponse(body, status_code=status)
