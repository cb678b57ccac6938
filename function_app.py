"""The triggers: each turns its request into one call of `entra_users`, and what comes back into its answer."""

import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import azure.functions as func

from entra_users.errors import EntraUsersError
from entra_users.settings import Settings

if TYPE_CHECKING:
    from entra_users.api import Response
    from entra_users.graph import Graph

# A fault in the settings ends the start with a message that names every one of them.
settings = Settings.read(os.environ)
logger = logging.getLogger("entra_users")
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
_opening = threading.Lock()


@app.route("users", methods=["GET"])
def users(req: func.HttpRequest) -> func.HttpResponse:
    """One live page of users."""
    from entra_users import api  # noqa: PLC0415 -- lazy: a start should not wait for what only requests need

    headers = cast("Mapping[str, str]", req.headers)
    return _answer(
        lambda: api.list_users(
            _graph(),
            req.params,
            disclosed=settings.users_select,
            address=req.url.partition("?")[0],
            accept=headers.get("Accept", ""),
            advanced=headers.get("ConsistencyLevel", "").lower() == "eventual",
        )
    )


@app.route("users/{key}", methods=["GET"])
def user(req: func.HttpRequest) -> func.HttpResponse:
    """One live user, by id or userPrincipalName."""
    from entra_users import api  # noqa: PLC0415 -- lazy, as above

    key = req.route_params["key"]
    return _answer(lambda: api.get_user(_graph(), key, req.params, disclosed=settings.users_select))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the binding needs the parameter
    """Alive: the app has started with settings that are whole."""
    return func.HttpResponse('{"status":"alive"}', mimetype="application/json")


def _graph() -> "Graph":
    """One Graph for all requests of this worker process, so that one token and one throttle serve them all."""
    with _opening:
        return _open_graph()


@functools.cache
def _open_graph() -> "Graph":
    from entra_users.connection import connect  # noqa: PLC0415 -- lazy, as above

    return connect(settings, budget=settings.http_budget_seconds)


def _answer(work: "Callable[[], Response]") -> func.HttpResponse:
    """What `work` gives, or its error as Graph's error object; the log names no one whom a query could name."""
    from entra_users import api, remedies  # noqa: PLC0415 -- lazy, as above

    try:
        response = work()
    except EntraUsersError as error:
        response = api.error_response(error, remedies.advice(error, remedies.facts(settings)))
        level = logging.WARNING if response.status < 500 else logging.ERROR
        logger.log(
            level,
            "%s: status %s, code %s, request-id %s",
            type(error).__name__,
            error.status,
            error.code,
            error.request_id,
        )
    return func.HttpResponse(response.body, status_code=response.status, headers=response.headers)
