"""Microsoft Graph, as far as it is about users: https://learn.microsoft.com/en-us/graph/api/resources/user."""

import json
from collections.abc import Sequence
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from simulator.answers import GraphError, bad_request, compress, json_answer
from simulator.directory import Directory
from simulator.gateway import Call, guarded
from simulator.paging import BadToken, seal, unseal
from simulator.properties import Record, unset
from simulator.query import read_select, read_top
from simulator.selection import Selection
from simulator.state import State


def graph_app(state: State) -> Starlette:
    """The Graph of every cloud."""
    endpoints = [
        ("/v1.0/users", list_users, 2),
        ("/v1.0/users/$count", count_users, 2),
        ("/v1.0/users/{user}", get_user, 1),
    ]
    return Starlette(routes=[Route(path, guarded(state, handler, base_cost=cost)) for path, handler, cost in endpoints])


def list_users(call: Call) -> Response:
    """https://learn.microsoft.com/en-us/graph/api/user-list"""
    names = read_select(call.options, call.roles, listing=True)
    top = read_top(call.options, names)
    directory, seq = call.directory, call.directory.seq
    use = f"/users?{call.options.use}"
    token = call.options.get("skiptoken")
    position = 0
    if token is not None:
        try:
            [position] = unseal(directory.key, use, token)
        except BadToken as error:
            raise bad_request("The specified page token value is invalid.") from error
    selection = Selection(directory)
    users, after = selection.page(position, top, seq)
    selected = ",".join(names) if "select" in call.options.values else ""
    head: Record = {"@odata.context": f"{call.root}/v1.0/$metadata#users{selected and f'({selected})'}"}
    if token is None and call.eventual and call.options.get("count") == "true":
        head["@odata.count"] = selection.count(seq)
    if after is not None:
        query = f"{call.options.raw}&" if call.options.raw else ""
        head["@odata.nextLink"] = f"{call.root}/v1.0/users?{query}$skiptoken={seal(directory.key, use, [after])}"
    body = envelope(head, objects(directory, users, names))
    return json_answer(compress(body) if call.gzip else body, compressed=call.gzip)


def count_users(call: Call) -> Response:
    """https://learn.microsoft.com/en-us/graph/api/user-list (the `$count` segment)"""
    if not call.eventual:
        raise bad_request("$count is not currently supported.")
    return PlainTextResponse(str(Selection(call.directory).count(call.directory.seq)))


def get_user(call: Call) -> Response:
    """https://learn.microsoft.com/en-us/graph/api/user-get"""
    names = read_select(call.options, call.roles, listing=False)
    wanted = call.request.path_params["user"]
    record = call.directory.find(wanted, call.directory.seq)
    if record is None:
        message = (
            f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
        )
        raise GraphError(404, "Request_ResourceNotFound", message)
    selected = f"({','.join(names)})" if "select" in call.options.values else ""
    head = {"@odata.context": f"{call.root}/v1.0/$metadata#users{quote(selected, safe='(),')}/$entity"}
    user = head | {name: record.get(name, unset(name)) for name in names}
    body = json.dumps(user, ensure_ascii=False, separators=(",", ":")).encode()
    return json_answer(compress(body) if call.gzip else body, compressed=call.gzip)


def objects(directory: Directory, users: Sequence[int | Record], names: tuple[str, ...]) -> list[str]:
    """Users as JSON objects of these properties."""
    write = directory.population.rows(names)
    generated = [user for user in users if isinstance(user, int)]
    rows = iter(write(generated))
    if len(generated) == len(users):
        return list(rows)
    return [
        next(rows)
        if isinstance(user, int)
        else json.dumps(
            {name: user.get(name, unset(name)) for name in names}, ensure_ascii=False, separators=(",", ":")
        )
        for user in users
    ]


def envelope(head: Record, rows: Sequence[str]) -> bytes:
    """A page of users: the annotations, then the users."""
    annotations = json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1]
    return f'{annotations},"value":[{",".join(rows)}]}}'.encode()
