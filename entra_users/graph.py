"""Microsoft Graph: one request with its retries, and pages followed to the end.

https://learn.microsoft.com/en-us/graph/paging
https://learn.microsoft.com/en-us/graph/throttling
"""

import copy
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from entra_users import telemetry
from entra_users.errors import (
    AccessDenied,
    BrokenPaging,
    EntraUsersError,
    MalformedPage,
    Throttled,
    TimedOut,
    Unavailable,
)
from entra_users.graph_errors import graph_error
from entra_users.retry import REPEATABLE, pause
from entra_users.tokens import Tokens
from entra_users.transport import Answer, Transport

# An attempt is not begun with less: what is left of the budget by then could only end in a timeout.
_LEAST = 1.0
_GRANTED_WITHIN = 60.0


class _Envelope(msgspec.Struct):
    users: list[msgspec.Raw] = msgspec.field(name="value")
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)
    delta_link: str | None = msgspec.field(name="@odata.deltaLink", default=None)
    count: int | None = msgspec.field(name="@odata.count", default=None)
    context: str | None = msgspec.field(name="@odata.context", default=None)


_envelope = msgspec.json.Decoder(_Envelope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of users: each as the bytes Graph sent, on one line; slices of `body`, which is the whole answer."""

    users: list[msgspec.Raw]
    next_link: str | None
    delta_link: str | None
    count: int | None
    context: str | None
    body: bytes = field(repr=False)


class Usage(msgspec.Struct, kw_only=True):
    """What was asked of Graph."""

    requests: int = 0
    retries: int = 0
    throttled_seconds: float = 0.0
    resource_units: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            requests=self.requests + other.requests,
            retries=self.retries + other.retries,
            throttled_seconds=self.throttled_seconds + other.throttled_seconds,
            resource_units=self.resource_units + other.resource_units,
        )


class _Pace:
    """When Graph may be asked again, and what was asked of it; shared by all lanes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.total = Usage()
        self.resume = 0.0


class Graph:
    """Graph with the app's own token; token, connections and throttling are shared by all threads that use it.

    Args:
        root: the cloud's Graph address.
        tokens: for that address.
        budget: seconds that one request may take, retries and waits included.
        connections: how many threads will ask at once.
        headers: sent with every request.
        timeout: seconds to wait for a connection, and for the next bytes of an answer.
        clock: seconds that only ever grow.
        sleep: waits so many seconds.
        jitter: a random number in [0, 1).
    """

    def __init__(
        self,
        root: str,
        tokens: Tokens,
        *,
        budget: float,
        connections: int = 8,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.root = root
        self.usage = Usage()
        self._tokens = tokens
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._pace = _Pace()
        sent = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "entra-users"}
        sent |= headers or {}
        self._transport = Transport(root, connections=connections, headers=sent, timeout=timeout)

    def lane(self, sleep: Callable[[float], object] | None = None) -> "Graph":
        """The same Graph for one thread: with a usage of its own, and another way to wait where one is given."""
        lane = copy.copy(self)
        lane.usage = Usage()
        lane._sleep = sleep or self._sleep  # noqa: SLF001 -- its own class
        return lane

    @property
    def total(self) -> Usage:
        """What was asked of Graph by this and by all its lanes."""
        return self._pace.total

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask once, repeating what may pass until the budget is spent; a token that Graph refuses is renewed once.

        Raises:
            RequestError: Graph refused the request.
            RestartRequired: a page token or delta link is no longer valid.
            Unavailable: it still failed when the budget was spent.
            CredentialError: no token can be had.
        """
        started = self._clock()
        failed = 0
        renewed = False
        while True:
            self._keep_pace(started, failed)
            try:
                token = self._tokens.get()
                left = self._budget - (self._clock() - started)
                sent = {**(headers or {}), "Authorization": f"Bearer {token}"}
                answer = self._transport.get(url, sent, within=max(_LEAST, left))
                self._count(answer, retry=failed > 0)
            except Unavailable as error:
                failure: EntraUsersError = error
            else:
                if 200 <= answer.status < 300:
                    return answer
                failure = graph_error(answer.status, answer.headers, answer.body, url=url, now=datetime.now(UTC))
                if self._outdates(token, answer.status) and not renewed:
                    renewed = True
                    continue
                if answer.status not in REPEATABLE:
                    raise self._told(failure, started, failed)
            failed += 1
            wait = pause(
                attempt=failed,
                spent=self._clock() - started,
                budget=self._budget,
                retry_after=failure.retry_after,
                jitter=self._jitter(),
            )
            if isinstance(failure, Throttled):
                self._slow_down(failure.retry_after if wait is None else wait)
            if wait is None:
                raise self._told(failure, started, failed)
            telemetry.count("graph.retries", 1, cause=_retry_cause(failure))
            if not isinstance(failure, Throttled):
                self._sleep(wait)

    def pages(self, url: str, *, advanced: bool = False, headers: Mapping[str, str] | None = None) -> Iterator[Page]:
        """The pages from `url` on, in Graph's order, each asked for when the one before it has been used.

        Empty pages are pages too: only a page without a next link is the last.

        Args:
            url: of the first page.
            advanced: send `ConsistencyLevel: eventual`, which no next link carries, with every page.
            headers: sent with every page.

        Raises:
            MalformedPage: an answer is not a page of users.
            BrokenPaging: a next link repeats, or leads to another host.
            EntraUsersError: as `get`.
        """
        sent = {**(headers or {}), **({"ConsistencyLevel": "eventual"} if advanced else {})}
        followed = {url}
        while True:
            page = self.page(url, headers=sent)
            yield page
            if page.next_link is None:
                return
            url = page.next_link
            del page  # so that two pages of one lane are never in memory at once
            if url in followed:
                raise BrokenPaging(
                    "Graph gave a next link a second time, which would never end. Nothing was left out so far, but the"
                    " rest cannot be reached: run again, and report it to Microsoft if it stays."
                )
            followed.add(url)

    def page(self, url: str, *, headers: Mapping[str, str] | None = None) -> Page:
        """One page.

        Raises:
            MalformedPage: the answer is not a page of users.
            BrokenPaging: `url`, or the page's next or delta link, does not lead to this Graph.
            EntraUsersError: as `get`.
        """
        if not self.owns(url):
            raise BrokenPaging(f"This address is not one of {self.root}: a token is not sent there.")
        answer = self.get(url, headers=headers)
        try:
            # Graph sends a page without line breaks; one that has some must not break what holds one user a line.
            broken = b"\n" in answer.body or b"\r" in answer.body
            body = msgspec.json.format(answer.body, indent=-1) if broken else answer.body
            page = Page(**msgspec.structs.asdict(_envelope.decode(body)), body=body)
        except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, not a page, or nested without end
            raise MalformedPage(
                f"Graph answered {answer.status} with {len(answer.body)} bytes that are not a page of users: {error}."
                " Look for a proxy that answers in Graph's place, then run again.",
                status=answer.status,
                request_id=answer.headers.get("request-id"),
            ) from None  # an error about bytes that are not UTF-8 holds them all
        for link in (page.next_link, page.delta_link):
            if link is not None and not self.owns(link):
                raise BrokenPaging(
                    f"Graph's link to what follows does not lead to {self.root}: a token is not sent there.",
                    request_id=answer.headers.get("request-id"),
                )
        telemetry.count("graph.pages", 1)
        telemetry.count("graph.users", len(page.users))
        return page

    def owns(self, url: str) -> bool:
        """Whether an address is this Graph's own, so that a token may be sent there."""
        return url.startswith(f"{self.root}/")

    def _count(self, answer: Answer, *, retry: bool) -> None:
        # Without the header a request costs one: https://learn.microsoft.com/en-us/graph/throttling-limits
        units = answer.headers.get("x-ms-resource-unit", "")
        cost = int(units) if re.fullmatch("[0-9]{1,6}", units) else 1
        telemetry.count("graph.resource_units", cost)
        with self._pace.lock:
            self._use(Usage(requests=1, retries=int(retry), resource_units=cost))

    def _use(self, used: Usage) -> None:
        self.usage += used
        self._pace.total += used

    def _told(self, failure: EntraUsersError, started: float, failed: int) -> EntraUsersError:
        """What a request ends with, after telemetry was told of what an operator must know."""
        if isinstance(failure, Throttled):
            waited, retries = round(self._clock() - started, 3), max(0, failed - 1)
            telemetry.event("graph.throttled", error=failure, throttled_seconds=waited, retries=retries)
        elif isinstance(failure, AccessDenied) and failure.status == 403:
            telemetry.event("consent.missing", error=failure)
        return failure

    def _outdates(self, token: str, status: int) -> bool:
        """Whether an answer means that the token is of no use any more, so that the next is worth a try at once."""
        if status == 403:
            # A right that was granted since is in the next token; Entra is not asked for one at every refusal.
            self._tokens.reject(token, older_than=_GRANTED_WITHIN)
        elif status == 401:
            self._tokens.reject(token)
        return status == 401

    def _keep_pace(self, started: float, failed: int) -> None:
        """Wait while Graph has asked anyone who shares this object to wait."""
        while (wait := self._pace.resume - self._clock()) > 0:
            if self._clock() - started + wait >= self._budget:
                refused = Throttled(
                    "Graph throttles this app and asked to wait longer than the time budget allows. Try again later.",
                    status=429,
                    code="TooManyRequests",
                    retry_after=wait,
                )
                raise self._told(refused, started, failed)
            self._sleep(wait)

    def _slow_down(self, wait: float | None) -> None:
        if wait is not None:
            with self._pace.lock:
                now = self._clock()
                longer = max(0.0, now + wait - max(self._pace.resume, now))
                self._use(Usage(throttled_seconds=longer))
                telemetry.count("graph.throttled_seconds", longer)
                self._pace.resume = max(self._pace.resume, now + wait)


def _retry_cause(failure: EntraUsersError) -> str:
    """What makes a request be repeated, in a word: the status that was answered, `timeout` or `connection`."""
    return str(failure.status or ("timeout" if isinstance(failure, TimedOut) else "connection"))
