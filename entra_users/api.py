"""HTTP in our terms: a query to a request for users, a page of them to a body, an error to Graph's error object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from entra_users import query
from entra_users.errors import (
    AccessDenied,
    BadQuery,
    CredentialError,
    EntraUsersError,
    Incomplete,
    MalformedPage,
    NotFound,
    ObjectNotFound,
    RestartRequired,
    RunInProgress,
    SettingsError,
    Throttled,
    TimedOut,
    Unavailable,
)
from entra_users.formats import MEDIA_TYPES, csv_lines, csv_rows, ndjson
from entra_users.graph import Graph, Page
from entra_users.users import is_id, user_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is answered over HTTP."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


def list_users(
    graph: Graph,
    parameters: Mapping[str, str],
    *,
    disclosed: Sequence[str],
    address: str,
    accept: str = "",
    advanced: bool = False,
) -> Response:
    """One live page of users in the form that the caller asked for; the next link leads back to `address`.

    Args:
        graph: to read from.
        parameters: of the caller's query; a function key among them is left out.
        disclosed: the properties that callers may read.
        address: of this list, as the caller reached it, without a query.
        accept: the caller's `Accept` header.
        advanced: whether the caller sent `ConsistencyLevel: eventual`.

    Raises:
        BadQuery: a parameter is wrong; nothing was asked of Graph.
        EntraUsersError: as `Graph.page`.
    """
    given = {name: value for name, value in parameters.items() if name != "code"}
    form = _form(given.pop("format", ""), accept)
    continuation = given.pop("$skiptoken", None)
    if continuation is None:
        options = query.read_options(given, disclosed)
        url = query.list_url(graph.root, options)
    elif given:
        raise BadQuery(f"{min(given)} cannot be given with $skiptoken: a next link holds its own options.", status=400)
    else:
        url, options = query.from_continuation(continuation, graph.root, disclosed)
    # https://learn.microsoft.com/en-us/graph/aad-advanced-queries: no next link carries the header.
    eventual = {"ConsistencyLevel": "eventual"} if advanced or query.is_advanced(options) else {}
    page = graph.page(url, headers=eventual)
    following = None
    if page.next_link is not None:
        following = f"{address}?$skiptoken={query.to_continuation(page.next_link)}"
        following += "" if form == "json" else f"&format={form}"
    return _page_response(page, form, query.selected(options), following)


def get_user(graph: Graph, key: str, parameters: Mapping[str, str], *, disclosed: Sequence[str]) -> Response:
    """One live user, by id or userPrincipalName, as JSON.

    Raises:
        BadQuery: a parameter is wrong, or callers may not look for users by name.
        MalformedPage: the answer is not a user.
        EntraUsersError: as `Graph.get`.
    """
    given = {name: value for name, value in parameters.items() if name != "code"}
    if hidden := [name for name in given if name not in ("$select", "select")]:
        raise BadQuery(f"{hidden[0]} is not an option here; there is $select.", status=400)
    options = query.read_options(given, disclosed)
    if "userPrincipalName" not in disclosed and not is_id(key):
        raise BadQuery("Name the user by id: this app does not disclose userPrincipalName.", status=400)
    answer = graph.get(user_url(graph.root, key, query.selected(options)))
    try:
        _object.decode(answer.body)
    except ValueError:
        raise MalformedPage("Graph answered with something that is not a user.", status=answer.status) from None
    return Response(headers={"Content-Type": MEDIA_TYPES["json"]}, body=answer.body)


_STATUS: tuple[tuple[type[EntraUsersError], int, str], ...] = (
    (BadQuery, 400, "Request_BadRequest"),
    (AccessDenied, 403, "Authorization_RequestDenied"),
    (NotFound, 404, "Request_ResourceNotFound"),
    (ObjectNotFound, 404, "itemNotFound"),
    (RunInProgress, 409, "runInProgress"),
    (RestartRequired, 410, "resyncRequired"),
    (Throttled, 429, "TooManyRequests"),
    (Incomplete, 502, "incompleteAnswer"),
    (TimedOut, 504, "timeout"),
    (Unavailable, 503, "serviceNotAvailable"),
    (SettingsError, 500, "appNotConfigured"),
    (CredentialError, 500, "appNotConfigured"),
    (EntraUsersError, 500, "generalException"),
)


def error_response(error: EntraUsersError, advice: str = "") -> Response:
    """An error as Graph's error object, so that Graph clients understand it.

    https://learn.microsoft.com/en-us/graph/errors

    Args:
        error: what happened.
        advice: what to do about it, added to the message.
    """
    status, code = next((status, code) for kind, status, code in _STATUS if isinstance(error, kind))
    document = {
        "error": {
            "code": error.code or code,
            "message": f"{error.args[0]} {advice}".strip(),
            "innerError": {"request-id": error.request_id},
        }
    }
    headers = {"Content-Type": MEDIA_TYPES["json"]}
    if status in (429, 503):
        # Whole seconds are what every client reads; rounding up keeps the service's wish.
        headers["Retry-After"] = str(-int(-(error.retry_after or 10.0) // 1))
    return Response(status=status, headers=headers, body=msgspec.json.encode(document))


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def unauthorized() -> Response:
    """What a caller gets who comes without a token where App Service authentication should have asked for one."""
    message = "Send a token for this app's own registration as Authorization: Bearer; see docs/deploy.md, callers."
    document = {"error": {"code": "InvalidAuthenticationToken", "message": message}}
    return Response(status=401, headers={"Content-Type": MEDIA_TYPES["json"]}, body=msgspec.json.encode(document))


def _page_response(page: Page, form: str, columns: Sequence[str], following: str | None) -> Response:
    headers = {"Content-Type": MEDIA_TYPES[form]}
    if form != "json" and following is not None:
        headers["Link"] = f'<{quote(following, safe=":/?&=$@%")}>; rel="next"'
    if form == "ndjson":
        return Response(headers=headers, body=ndjson(page.users))
    if form == "csv":
        return Response(headers=headers, body=csv_lines([columns]) + csv_rows(page.users, columns))
    facts = {"@odata.context": page.context, "@odata.count": page.count, "@odata.nextLink": following}
    head = msgspec.json.encode({name: value for name, value in facts.items() if value is not None})
    opened = head[:-1] + (b"," if len(head) > 2 else b"")
    return Response(headers=headers, body=b"".join([opened, b'"value":[', b",".join(page.users), b"]}"]))


def _form(name: str, accept: str) -> str:
    """`json`, `ndjson` or `csv`: what `format` names, else the first media type that `Accept` lists and we have."""
    if name:
        if name not in MEDIA_TYPES:
            raise BadQuery(f"format must be one of {', '.join(MEDIA_TYPES)}.", status=400)
        return name
    by_type = {media_type.partition(";")[0]: form for form, media_type in MEDIA_TYPES.items()}
    wanted = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return next((by_type[media_type] for media_type in wanted if media_type in by_type), "json")
