"""What an error that Graph answered means, as one of our own errors.

https://learn.microsoft.com/en-us/graph/errors
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

from entra_users.errors import (
    AccessDenied,
    BadQuery,
    EntraUsersError,
    NotFound,
    PageTokenExpired,
    RequestError,
    ResyncRequired,
    Throttled,
    TimedOut,
    Unavailable,
)
from entra_users.retry import REPEATABLE, retry_after_seconds

# https://learn.microsoft.com/en-us/graph/paging names the second; it may stand in the message only.
_PAGE_TOKEN = re.compile(r"Directory_ExpiredPageToken|DirectoryPageTokenNotFound", re.IGNORECASE)
# https://learn.microsoft.com/en-us/graph/delta-query-overview#synchronization-reset
_RESYNC = re.compile(r"syncStateNotFound|syncStateInvalid|resyncRequired", re.IGNORECASE)

_BY_STATUS: dict[int, tuple[type[EntraUsersError], str]] = {
    400: (BadQuery, "Correct the query."),
    401: (AccessDenied, "Graph refused a fresh token: check that tenant, app and cloud belong together."),
    403: (AccessDenied, "Grant the app the application permission User.Read.All, with admin consent."),
    404: (NotFound, "Check the id or userPrincipalName; a deleted user is not found either."),
    410: (ResyncRequired, "The changes since then are no longer known: read all users anew."),
    429: (Throttled, "Graph throttles this app: run again later, or with fewer lanes (SYNC_LANES)."),
    501: (BadQuery, "A property in $select is given for one user at a time only."),
    504: (TimedOut, "Graph did not answer in time: run again later."),
}


def graph_error(status: int, headers: Mapping[str, str], body: bytes, *, url: str, now: datetime) -> EntraUsersError:
    """The error for an answer that is not 2xx.

    Args:
        status: HTTP status.
        headers: of the answer.
        body: Graph's error object, or whatever stood between it and us sent instead.
        url: what was asked; only what is no personal data and no continuation of it reaches the message, not even
            where Graph's own message quotes the continuation.
        now: to count a `Retry-After` date from.
    """
    code, message, request_id = _told(body)
    for name, value in parse_qsl(urlsplit(url).query):
        if name.lower() in ("$skiptoken", "$deltatoken"):
            message = message.replace(value, "...")
    if status == 400 and _PAGE_TOKEN.search(f"{code} {message}"):
        kind, remedy = PageTokenExpired, "Read again from the first page."
    elif status < 500 and _RESYNC.search(str(code)):
        kind, remedy = ResyncRequired, _BY_STATUS[410][1]
    elif status in _BY_STATUS:
        kind, remedy = _BY_STATUS[status]
    elif status in REPEATABLE:
        kind, remedy = Unavailable, "Graph has trouble of its own: run again later."
    else:
        kind, remedy = RequestError, "Check what stands between the app and Graph."
    return kind(
        f"GET {_told_path(url)} was answered with an error. {message} {remedy}"
        if message
        else f"GET {_told_path(url)} was answered with an error. {remedy}",
        status=status,
        code=code,
        request_id=request_id or headers.get("request-id"),
        retry_after=retry_after_seconds(headers.get("Retry-After"), now),
    )


def _told_path(url: str) -> str:
    """The path without its query; whoever is named in it stays unnamed."""
    return re.sub(r"(/users)(?:/(?!(?:\$count|delta)$)[^/]+|\('[^/]*'\))", r"\1/{user}", urlsplit(url).path)


def _told(body: bytes) -> tuple[str | None, str, str | None]:
    """Code, message and request id of Graph's error object; its members' spelling differs between services."""
    try:
        document: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None, "", None
    error = _member(document, "error")
    inner = _member(error, "innererror")
    code, message, request_id = _member(error, "code"), _member(error, "message"), _member(inner, "request-id")
    return (
        code if isinstance(code, str) else None,
        message if isinstance(message, str) else "",
        request_id if isinstance(request_id, str) else None,
    )


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, dict):
        return None
    members = cast("dict[str, Any]", document)
    return next((value for key, value in members.items() if key.lower() == name), None)
