"""Microsoft Graph, as far as it is about users: https://learn.microsoft.com/en-us/graph/api/resources/user."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from simulator.answers import GraphError, bad_request, compress, json_answer
from simulator.delta import list_changes
from simulator.gateway import Call, guarded
from simulator.paging import BadToken, seal, unseal
from simulator.properties import Record
from simulator.query import Query, read_conditions, read_query, read_select
from simulator.rendering import dump, envelope, objects, shown
from simulator.selection import Listed, Selection
from simulator.spoiling import page_faults, spoiled
from simulator.state import State


def graph_app(state: State) -> Starlette:
    """The Graph of every cloud."""
    endpoints = [
        ("/v1.0/users", list_users, 2),
        ("/v1.0/users/$count", count_users, 1),
        ("/v1.0/users/delta", list_changes, 1),
        ("/v1.0/users/delta()", list_changes, 1),
        ("/v1.0/users/microsoft.graph.delta()", list_changes, 1),
        ("/v1.0/users/{user}", get_user, 1),
        ("/v1.0/users('{user}')", get_user, 1),
        ("/v1.0/directory/deletedItems/microsoft.graph.user", list_deleted, 1),
    ]
    routes = [Route(path, guarded(state, handler, base_cost=cost)) for path, handler, cost in endpoints]
    other = Route("/{path:path}", guarded(state, nothing_here, base_cost=1), methods=["GET", "POST", "PATCH", "DELETE"])
    return Starlette(routes=[*routes, other])


def nothing_here(call: Call) -> Response:
    """The error for a path that is not about users, and for any other method than GET: this Graph only reads."""
    if call.request.method != "GET":
        message = "Specified HTTP method is not allowed for the request target."
        raise GraphError(405, "Request_BadRequest", message)
    raise GraphError(400, "BadRequest", f"Resource not found for the segment '{call.path.rpartition('/')[2]}'.")


def list_users(call: Call) -> Response:
    """A page of users: https://learn.microsoft.com/en-us/graph/api/user-list."""
    return _list(call, "/v1.0/users")


def list_deleted(call: Call) -> Response:
    """A page of users that can be restored: https://learn.microsoft.com/en-us/graph/api/directory-deleteditems-list."""
    return _list(call, "/v1.0/directory/deletedItems/microsoft.graph.user")


def count_users(call: Call) -> Response:
    """How many users there are, as plain text: https://learn.microsoft.com/en-us/graph/api/user-list."""
    if not call.eventual or call.directory.b2c:
        raise bad_request("$count is not currently supported.")
    conditions = read_conditions(call.options, call.roles, advanced=True, eventual=True)
    return PlainTextResponse(str(Selection(call.directory, conditions).count(call.directory.seq)))


def get_user(call: Call) -> Response:
    """A user by id or user principal name: https://learn.microsoft.com/en-us/graph/api/user-get.

    A name that begins with `$` must come as a key in quotes, within which a quote is doubled.
    """
    names = read_select(call.options, call.roles, listing=False)
    wanted = call.request.path_params["user"]
    if call.path.startswith("/v1.0/users('"):
        wanted = wanted.replace("''", "'")
    elif wanted.startswith("$"):
        raise bad_request(f"Resource not found for the segment '{wanted}'.")
    record = call.directory.find(wanted, call.directory.seq)
    if record is None:
        message = (
            f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
        )
        raise GraphError(404, "Request_ResourceNotFound", message)
    context = f"{_context(call, names if 'select' in call.options.values else ())}/$entity"
    body = dump({"@odata.context": context} | shown(record, names))
    return json_answer(compress(body) if call.gzip else body, compressed=call.gzip)


def _list(call: Call, path: str) -> Response:
    directory = call.directory
    query = read_query(call.options, call.roles, eventual=call.eventual, b2c=directory.b2c)
    faults = page_faults(call)
    # Up to one change the directory stays as it is, so that the same request has the same answer.
    key = (path, call.root, call.request.scope["query_string"], call.eventual, call.gzip, directory.seq)
    body = None if faults else directory.cache.get(key)
    if body is None:
        body = _page(call, query, path, faults)
        if call.gzip:
            body = compress(body)
        if not faults:
            directory.cache.put(key, body, len(body))
    return json_answer(body, compressed=call.gzip)


def _page(call: Call, query: Query, path: str, faults: set[str]) -> bytes:
    directory = call.directory
    use = f"{path}?{call.options.use}"
    place, seq, turn = _stand(call, use, query)
    source = _source(call, query, path, use, seq)
    users, after = source.page(place, query.top, seq)

    def link(place: int, turn: int = 0) -> str:
        token = seal(directory.key, use, [place, seq, turn, query.advanced])
        return f"{call.root}{path}?{call.options.raw}{'&' if call.options.raw else ''}$skiptoken={token}"

    head: Record = {"@odata.context": _context(call, query.names if query.selected else ())}
    if query.advanced and "skiptoken" not in call.options.values:
        head["@odata.count"] = source.count(seq)
    if "duplicate-user" in faults and users:
        last = source.page(place, len(users) - 1, seq)[1] if len(users) > 1 else place
        after = last if last is not None else place
    if after is not None:
        head["@odata.nextLink"] = link(after)
    rows = objects(directory, users, query.names)
    return spoiled(call, head, rows, faults, link(place, turn + 1)) if faults else envelope(head, rows)


def _stand(call: Call, use: str, query: Query) -> tuple[int, int, int]:
    """Where the page begins, as of which change an order is kept, and how often the page was sent empty."""
    token = call.options.values.get("skiptoken")
    if token is None:
        return 0, call.directory.seq, 0
    try:
        place, seq, turn, advanced = unseal(call.directory.key, use, token)
    except BadToken as error:
        raise bad_request("The specified page token value is invalid.") from error
    if advanced != query.advanced:
        # https://learn.microsoft.com/en-us/graph/paging: a next link does not carry headers, send them again.
        raise bad_request("The page token belongs to an advanced query: send the ConsistencyLevel header again.")
    # Lists are no snapshots: only where users are sorted, their order stays that of the first page.
    return place, seq if query.orderby or call.path != "/v1.0/users" else call.directory.seq, turn


def _source(call: Call, query: Query, path: str, use: str, seq: int) -> Selection | Listed:
    """The users asked for, in their order."""
    directory = call.directory
    if path == "/v1.0/users" and not query.orderby:
        return Selection(directory, query.conditions)
    listed: Listed | None = directory.cache.get((use, seq))
    if listed is None:
        if path == "/v1.0/users":
            records = list(Selection(directory, query.conditions).records(seq))
        else:
            records = [each for each in directory.deleted(seq) if all(c.test(each) for c in query.conditions)]
        for name, downwards in reversed(query.orderby):
            records.sort(key=lambda record: str(record.get(name) or "").casefold(), reverse=downwards)
        listed = Listed(records)
        directory.cache.put((use, seq), listed, 1000 * len(records))
    return listed


def _context(call: Call, names: Sequence[str]) -> str:
    selected = f"({','.join(names)})" if names else ""
    return f"{call.root}/v1.0/$metadata#users{selected}"
