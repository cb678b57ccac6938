"""The controls of the simulator, for other processes on this machine, over plain http.

POST /control/reset      {"users": 2000}
POST /control/faults     [{"name": "throttled", "retry_after": "2", "times": 3}, ...]; [] forgets all
POST /control/users      {"add": 3} or {"add": [{...}], "update": [{"id": ..., ...}], "remove": [id, ...]}
POST /control/graph      {"latency": 0.15, "throttle": true, "units": 100}
GET  /control/requests   {host: {status: count}}
GET  /control/environment, GET /control/settings?credential=secret&cloud=global
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.directory import Directory
from simulator.faults import NAMED

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


def control_routes(azure: "Simulator") -> list[Route]:
    """The routes below /control/."""
    asked = {"environment": _environment, "settings": _settings, "requests": _requests}
    ordered = [
        _ordered("reset", Reset, partial(_reset, azure)),
        _ordered("faults", list[dict[str, Any]], partial(_plan, azure)),
        _ordered("users", Users, partial(_change, azure)),
        _ordered("graph", Graph, partial(_slow, azure)),
    ]
    return [_asked(name, partial(answer, azure)) for name, answer in asked.items()] + ordered


def _asked(name: str, answer: Callable[[Mapping[str, str]], object]) -> Route:
    async def endpoint(request: Request) -> Response:
        return _answer(lambda: answer(request.query_params))

    return Route(f"/control/{name}", endpoint)


def _ordered[T](name: str, kind: type[T], act: Callable[[T], object]) -> Route:
    async def endpoint(request: Request) -> Response:
        body = await request.body() or b"{}"
        return _answer(lambda: act(msgspec.json.decode(body, type=kind)))

    return Route(f"/control/{name}", endpoint, methods=["POST"])


def _answer(act: Callable[[], object]) -> Response:
    """What `act` gives, or 400 with the reason where the order was wrong."""
    try:
        return JSONResponse(act())
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)


def _environment(azure: "Simulator", query: Mapping[str, str]) -> object:
    del query
    return azure.environment


def _settings(azure: "Simulator", query: Mapping[str, str]) -> object:
    return azure.app_settings(query.get("credential", "secret"), cloud=query.get("cloud", "global"))


def _requests(azure: "Simulator", query: Mapping[str, str]) -> object:
    del query
    counts: dict[str, Counter[str]] = {}
    for each in azure.requests:
        counts.setdefault(each.host, Counter())[str(each.status)] += 1
    return counts


def _reset(azure: "Simulator", body: Reset) -> object:
    azure.reset(users=body.users)
    return {"users": len(azure.directory)}


def _plan(azure: "Simulator", body: list[dict[str, Any]]) -> object:
    planned = [NAMED[each.pop("name")](**each) for each in body]
    if planned:
        azure.faults.plan(*planned)
    else:
        azure.faults.clear()
    return {"planned": len(planned)}


def _slow(azure: "Simulator", body: Graph) -> object:
    azure.state.latency = body.latency
    azure.state.throttle.enabled, azure.state.throttle.units = body.throttle, body.units
    return {}


def _change(azure: "Simulator", body: Users) -> object:
    """The ids of the users added, updated and removed; those not named are the first that were never changed."""
    with azure.state.lock:
        directory = azure.directory
        read = directory.population.reader(("id",))
        untouched = (read(each)["id"] for each in range(directory.population.size) if each not in directory.index)
        add: list[dict[str, Any]] = [{}] * body.add if isinstance(body.add, int) else body.add
        update = body.update
        if isinstance(update, int):
            update = [{"id": each, "jobTitle": "Changed"} for each in list(islice(untouched, update))]
        remove = list(islice(untouched, body.remove)) if isinstance(body.remove, int) else body.remove
        return {
            "added": [directory.add(**each)["id"] for each in add],
            "updated": [directory.update(each.pop("id"), **each)["id"] for each in update],
            "removed": [_removed(directory, each) for each in remove],
        }


def _removed(directory: Directory, id_: str) -> str:
    directory.remove(id_)
    return id_
