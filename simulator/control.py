"""What other processes on this machine reach over plain http: the managed identity, and the simulator's own controls.

POST /control/reset      {"users": 2000}
POST /control/faults     [{"name": "throttled", "retry_after": "2", "times": 3}, ...]; [] forgets all
POST /control/users      {"add": 3} or {"add": [{...}], "update": [{"id": ..., ...}], "remove": [id, ...]}
POST /control/graph      {"latency": 0.15, "throttle": true, "units": 100}
GET  /control/requests   {host: {status: count}}
GET  /control/environment, GET /control/settings?credential=secret&cloud=global
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.clouds import CLOUDS
from simulator.entra import CREDENTIALS
from simulator.faults import NAMED
from simulator.identity import identity_token

if TYPE_CHECKING:
    from simulator.simulation import Simulator


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """Begin anew with so many users."""

    users: int = 0


class Users(msgspec.Struct, forbid_unknown_fields=True):
    """Changes of users: given ones, or so many that the directory chooses."""

    add: int | list[dict[str, Any]] = 0
    update: int | list[dict[str, Any]] = 0
    remove: int | list[str] = 0


class Graph(msgspec.Struct, forbid_unknown_fields=True):
    """How Graph answers: seconds it waits first, whether its limits hold, and what they are."""

    latency: float = 0.0
    throttle: bool = False
    units: int | None = None


def local_app(azure: "Simulator", *, header: str) -> Starlette:
    """The routes of plain http; `header` is the value of X-IDENTITY-HEADER."""

    async def identity(request: Request) -> Response:
        with azure.state.lock:
            return identity_token(request, azure.state, header=header)

    async def environment(request: Request) -> Response:
        del request
        return JSONResponse(azure.environment)

    async def settings(request: Request) -> Response:
        credential = request.query_params.get("credential", "secret")
        cloud = request.query_params.get("cloud", "global")
        if credential not in CREDENTIALS or cloud not in CLOUDS:
            return JSONResponse({"error": f"Not known: {credential} in {cloud}."}, status_code=400)
        return JSONResponse(azure.app_settings(credential, cloud=cloud))

    async def requests(request: Request) -> Response:
        del request
        counts: dict[str, Counter[str]] = {}
        for each in list(azure.requests):
            counts.setdefault(each.host, Counter())[str(each.status)] += 1
        return JSONResponse(counts)

    def reset(body: Reset) -> object:
        azure.reset(users=body.users)
        return {"users": len(azure.directory)}

    def faults(body: list[dict[str, Any]]) -> object:
        planned = [NAMED[each.pop("name")](**each) for each in body]
        if planned:
            azure.faults.plan(*planned)
        else:
            azure.faults.clear()
        return {"planned": len(planned)}

    def graph(body: Graph) -> object:
        azure.state.latency = body.latency
        azure.state.throttle.enabled, azure.state.throttle.units = body.throttle, body.units
        return {}

    return Starlette(
        routes=[
            Route("/msi/token", identity),
            Route("/control/environment", environment),
            Route("/control/settings", settings),
            Route("/control/requests", requests),
            Route("/control/reset", _taking(Reset, reset), methods=["POST"]),
            Route("/control/faults", _taking(list[dict[str, Any]], faults), methods=["POST"]),
            Route("/control/users", _taking(Users, lambda body: _change(azure, body)), methods=["POST"]),
            Route("/control/graph", _taking(Graph, graph), methods=["POST"]),
        ]
    )


def _taking[T](kind: type[T], act: Callable[[T], object]) -> Callable[[Request], Any]:
    """An endpoint whose JSON body has this form; 400 with the reason where it has not."""

    async def endpoint(request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body() or b"{}", type=kind)
            return JSONResponse(act(body))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    return endpoint


def _change(azure: "Simulator", body: Users) -> object:
    """The ids of the users added, updated and removed; those not named are the first that were not yet touched."""
    directory = azure.directory
    with azure.state.lock:
        added: list[dict[str, Any]] = [{}] * body.add if isinstance(body.add, int) else body.add
        new = [directory.add(**each)["id"] for each in added]
        count = sum(each for each in (body.update, body.remove) if isinstance(each, int))
        free = iter([each["id"] for each in directory.users(["id"])][:count] if count else [])
        updated = (
            [{"id": next(free), "jobTitle": "Changed"} for _ in range(body.update)]
            if isinstance(body.update, int)
            else body.update
        )
        for each in updated:
            directory.update(each["id"], **{name: value for name, value in each.items() if name != "id"})
        removed = [next(free) for _ in range(body.remove)] if isinstance(body.remove, int) else body.remove
        for each in removed:
            directory.remove(each)
        return {"added": new, "updated": [each["id"] for each in updated], "removed": removed}
