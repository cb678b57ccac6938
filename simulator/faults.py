"""Faults planned for coming requests: what goes wrong, where, and how often."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One planned fault. What it matches comes first, then what happens to the request that it meets.

    With a `status`, the request is answered without reaching the service. With `cut`, the service answers, but only
    the first `cut` bytes of its body arrive. With `reset` or `hang`, the connection then ends in a TCP reset, or stays
    open without another byte until the client gives up; alone, they do so before any answer. With a `kind`, nothing
    is done here: the service itself looks for the fault and knows what it means.

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
    cut: int | None = None
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


def answer(status: int, body: bytes | dict[str, object] = b"", **match: object) -> Fault:
    """The request is answered with `status` and `body`; `match` takes the fields of Fault."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Fault(status=status, body=content, **match)  # type: ignore[arg-type]


JSON = {"content-type": "application/json"}
