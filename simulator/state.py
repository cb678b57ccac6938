"""What the simulated services know, shared by the thread that serves and the test that looks on."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulator.directory import Directory
from simulator.entra import Entra
from simulator.faults import Faults
from simulator.insights import Insights
from simulator.throttling import Throttle
from simulator.vault import Vault, default_vault


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request that a simulated service received; it holds no secret, token, key or continuation.

    Attributes:
        host: the host name called; "managed-identity" for the endpoint on loopback.
        path: the path, without the query.
        query: the query as sent, with the values of page tokens and delta tokens replaced by "...".
        status: the status answered, or None where the connection was reset or left hanging.
        headers: every header sent, by lower-case name; the value only of those known to be harmless, else None.
    """

    host: str
    method: str
    path: str
    query: str
    status: int | None
    headers: Mapping[str, str | None]


class State:
    """The whole simulated Azure. Change more than one thing at once only while holding `lock`.

    Attributes:
        clock: the services' clock, seconds since 1970; set it ahead to let tokens end.
        entra: tenants, app registrations, managed identities.
        vaults: Key Vaults by name; each answers under the suffix of every cloud.
        insights: what apps told of themselves.
        faults: what will go wrong.
        directory: the users.
        throttle: Graph's limits.
        latency: seconds that Graph waits before every answer.
        requests: the last 100,000 requests, oldest first.
    """

    def __init__(self, users: int) -> None:
        self.lock = threading.RLock()
        self.reset(users)

    def reset(self, users: int) -> None:
        """Forget everything and begin with `users` users."""
        with self.lock:
            self.clock: Callable[[], float] = time.time
            self.entra = Entra()
            self.vaults: dict[str, Vault] = {"contoso": default_vault("contoso", self.entra)}
            self.insights = Insights(self.entra)
            self.faults = Faults()
            self.directory = Directory(users, clock=lambda: self.clock())  # noqa: PLW0108 -- the clock may be changed later
            self.throttle = Throttle()
            self.latency = 0.0
            self.requests: deque[RecordedRequest] = deque(maxlen=100_000)
