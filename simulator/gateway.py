"""What stands before every endpoint of Graph: the token, the limits, and the headers of the answer."""

import asyncio
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from simulator.answers import DIAGNOSTIC, JSON, GraphError, error_body
from simulator.directory import Directory
from simulator.query import Options, read_options
from simulator.state import State
from simulator.throttling import WARN_ABOVE, WORST, cost
from simulator.tokens import Caller, authorize

READ_USERS = frozenset({"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"})
"""The application permissions that let an app list users (https://learn.microsoft.com/en-us/graph/api/user-list)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An authorized request.

    Attributes:
        path: the path of the request.
        root: scheme and host that the client called, for the links of the answer.
        eventual: the client accepts eventual consistency, which advanced queries need.
        gzip: the client takes compressed answers.
    """

    directory: Directory
    state: State
    request: Request
    options: Options
    roles: Collection[str]
    path: str
    root: str
    eventual: bool
    gzip: bool

    def fault(self, kind: str) -> bool:
        """Whether a fault of this kind is planned for this request; it is then used up."""
        return self.state.faults.take(self.root.partition("//")[2], "GET", self.path, kind=kind) is not None


type Handler = Callable[[Call], Response]


def guarded(state: State, handler: Handler, *, base_cost: int) -> Callable[[Request], object]:
    """An endpoint around a handler; `base_cost` is that of its path in resource units, before any query option."""

    async def endpoint(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        client_request_id = request.headers.get("client-request-id", request_id)
        if state.latency:
            await asyncio.sleep(state.latency)
        caller = authorize(request, state)
        if isinstance(caller, Response):
            return caller
        try:
            response = _answer(state, handler, base_cost, request, caller)
        except GraphError as error:
            body = error_body(
                error.code,
                error.message,
                now=state.clock(),
                request_id=request_id,
                client_request_id=client_request_id,
            )
            response = Response(body, status_code=error.status, media_type=JSON, headers=error.headers)
        response.headers["request-id"] = request_id
        response.headers["client-request-id"] = client_request_id
        response.headers["x-ms-ags-diagnostic"] = DIAGNOSTIC
        return response

    return endpoint


def _answer(state: State, handler: Handler, base_cost: int, request: Request, caller: Caller) -> Response:
    options, directory = read_options(request.scope["query_string"].decode("latin-1")), state.directory
    top = options.values.get("top", "")
    units = cost(
        base_cost,
        select="select" in options.values,
        expand="expand" in options.values,
        top=int(top) if top.isascii() and top.isdigit() else None,
    )
    sign_in = any("signInActivity" in value for value in options.values.values())
    verdict = state.throttle.take(caller.client_id, caller.tenant, units, users=len(directory), sign_in=sign_in)
    headers = {"x-ms-resource-unit": str(units)}
    if verdict.share > WARN_ABOVE:
        headers["x-ms-throttle-limit-percentage"] = f"{min(verdict.share, WORST):.1f}"
    if verdict.retry_after is not None:
        headers["retry-after"] = str(verdict.retry_after)
        headers["x-ms-throttle-scope"] = f"Tenant_Application/ReadWrite/{caller.client_id}/{caller.tenant}"
        headers["x-ms-throttle-information"] = "ResourceUnitLimitExceeded"
        raise GraphError(429, "TooManyRequests", "Too many requests.", headers)
    if not READ_USERS & caller.roles:
        message = "Insufficient privileges to complete the operation."
        raise GraphError(403, "Authorization_RequestDenied", message, headers)
    call = Call(
        directory=directory,
        state=state,
        request=request,
        options=options,
        roles=caller.roles,
        path=request.scope["path"],
        root=f"https://{request.headers['host'].removesuffix(':443')}",
        eventual=request.headers.get("consistencylevel", "").lower() == "eventual",
        gzip="gzip" in request.headers.get("accept-encoding", ""),
    )
    try:
        response = handler(call)
    except GraphError as error:
        error.headers |= headers
        raise
    response.headers.update(headers)
    return response
