"""Faults planned for coming requests: what goes wrong, where, and how often.

The functions make the usual ones. They mean the global cloud's Graph unless they say another host or are given one.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from simulator.aadsts import error_body, error_status
from simulator.clouds import GLOBAL

PAGE_KINDS = frozenset(
    {"empty-page", "repeat-next-link", "foreign-next-link", "no-value", "cut-json", "duplicate-user"}
    | {"expired-page-token", "delta-gone", "resync-required", "sync-state-not-found"}
)
"""What `page_fault` makes of a page of Graph: it is empty though more follow, leads back to itself or to another host,
has no users at all, ends within its JSON, or its last user comes again on the next; its page token has expired; its
delta token is of no use any more, which Graph says in three ways."""

GRAPH, LOGIN, VAULT = GLOBAL.graph_host, GLOBAL.login_host, f"contoso.{GLOBAL.vault_suffix}"
UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One planned fault. What it matches comes first, then what happens to the request that it meets.

    With a `status`, the request is answered without reaching the service. With `truncate`, the service answers, but
    only the first `truncate` bytes of its body arrive. With `reset` or `hang`, the connection then ends in a TCP reset,
    or stays open without another byte until the client gives up; alone, they do so before any answer. With a `kind`,
    nothing is done here: the service looks for the fault and knows what it means ("expired-page-token", "empty-page",
    "repeat-next-link", "foreign-next-link", "no-value", ... of Graph's pages).

    Attributes:
        host: the exact host name; "managed-identity" for that endpoint; None matches every host.
        path: a regular expression found anywhere in the path; None matches every path.
        method: the HTTP method; None matches every method.
        skip: how many matching requests pass unharmed first.
        times: how many requests are then harmed; None: all of them.
    """

    host: str | None = None
    path: str | None = None
    method: str | None = None
    skip: int = 0
    times: int | None = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    truncate: int | None = None
    reset: bool = False
    hang: bool = False
    kind: str | None = None

    def matches(self, host: str, method: str, path: str, kind: str | None) -> bool:
        """Whether this fault is meant for such a request."""
        return (
            self.kind == kind
            and self.host in {None, host}
            and self.method in {None, method}
            and (self.path is None or re.search(self.path, path) is not None)
        )


class Faults:
    """The planned faults, in the order they were planned; the first that matches and is not used up applies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[tuple[Fault, list[int]]] = []

    def plan(self, *faults: Fault) -> None:
        """Add `faults` after those already planned."""
        with self._lock:
            self._planned += [(fault, [0]) for fault in faults]

    def clear(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._planned.clear()

    def take(self, host: str, method: str, path: str, *, kind: str | None = None) -> Fault | None:
        """The fault that this request meets, which is thereby used once; None if it passes unharmed."""
        if not self._planned:
            return None
        with self._lock:
            for fault, met in self._planned:
                if not fault.matches(host, method, path, kind):
                    continue
                if fault.times is not None and met[0] >= fault.skip + fault.times:
                    continue
                met[0] += 1
                if met[0] > fault.skip:
                    return fault
        return None


class Where(TypedDict, total=False):
    """Which requests a fault meets: the first fields of Fault."""

    host: str | None
    path: str | None
    method: str | None
    skip: int
    times: int | None


def answered(status: int, body: str = "", headers: Mapping[str, str] | None = None, **where: Unpack[Where]) -> Fault:
    """The request is answered with this status, body and headers, without reaching the service."""
    return Fault(status=status, body=body.encode(), headers=headers or {}, **where)


def throttled(retry_after: str | None = None, **where: Unpack[Where]) -> Fault:
    """Graph answers 429; `retry_after` as the header has it: "10", "2.128", a date, or None for no header.

    https://learn.microsoft.com/en-us/graph/throttling
    """
    error = {
        "code": "TooManyRequests",
        "message": "Please retry again later.",
        "innerError": {"code": "429", "status": "429"},
    }
    return _json(429, {"error": error}, retry_after, {"host": GRAPH, **where})


def server_error(status: int = 503, retry_after: str | None = None, **where: Unpack[Where]) -> Fault:
    """Graph answers with a status from 500 up, in its own shape: https://learn.microsoft.com/en-us/graph/errors."""
    codes = {500: "InternalServerError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}
    error = {"code": codes.get(status, "UnknownError"), "message": "The service could not answer."}
    return _json(status, {"error": error}, retry_after, {"host": GRAPH, **where})


def token_error(code: int, *, status: int | None = None, **where: Unpack[Where]) -> Fault:
    """Entra's token endpoint refuses with AADSTS `code`, with its usual status unless another is given.

    https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
    """
    default: Where = {"host": LOGIN, "path": "/oauth2/v2.0/token$"}
    return _json(status or error_status(code), error_body(code), None, {**default, **where})


def vault_throttled(retry_after: str | None = None, **where: Unpack[Where]) -> Fault:
    """Key Vault answers 429: https://learn.microsoft.com/en-us/azure/key-vault/general/overview-throttling."""
    error = {
        "code": "Throttled",
        "message": "Request was not processed because too many requests were received. "
        "Reason: VaultRequestTypeLimitReached",
    }
    return _json(429, {"error": error}, retry_after, {"host": VAULT, "path": "^/secrets/", **where})


def not_json(**where: Unpack[Where]) -> Fault:
    """A page of HTML comes with status 200, as from a captive portal."""
    page = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
    return Fault(status=200, headers={"content-type": "text/html"}, body=page, **_graph(where))


def truncated(at: int = 100, **where: Unpack[Where]) -> Fault:
    """The service answers, but the connection is closed after `at` bytes of the body."""
    return Fault(truncate=at, **_graph(where))


def connection_reset(**where: Unpack[Where]) -> Fault:
    """The connection is reset before an answer."""
    return Fault(reset=True, **_graph(where))


def hang(**where: Unpack[Where]) -> Fault:
    """No answer comes until the client gives up."""
    return Fault(hang=True, **_graph(where))


def page_fault(kind: str, **where: Unpack[Where]) -> Fault:
    """Graph answers with a page, or refuses a page token, as PAGE_KINDS says.

    Only requests that can meet it count: those with a page token for `expired-page-token`, with a delta token or the
    page token of a delta round for `delta-gone`, `resync-required` and `sync-state-not-found`.
    """
    if kind not in PAGE_KINDS:
        raise TypeError(f"there is no {kind}: {', '.join(sorted(PAGE_KINDS))}")
    return Fault(kind=kind, **_graph(where))


def unreachable(**where: Unpack[Where]) -> Fault:
    """No connection to the host can be made: the proxy answers 502."""
    return Fault(kind=UNREACHABLE, **_graph(where))


NAMED: Mapping[str, Callable[..., Fault]] = {
    each.__name__: each
    for each in (
        answered,
        throttled,
        server_error,
        token_error,
        vault_throttled,
        not_json,
        truncated,
        connection_reset,
        hang,
        page_fault,
        unreachable,
    )
}
"""The faults that another process plans by name."""


def _graph(where: Where) -> Where:
    return {"host": GRAPH, **where}


def _json(status: int, body: Mapping[str, object], retry_after: str | None, where: Where) -> Fault:
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return Fault(status=status, headers=headers, body=json.dumps(body).encode(), **where)
