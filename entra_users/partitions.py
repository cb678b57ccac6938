"""Disjoint ranges of users that together cover every user, so that many threads and machines can read at once.

Users are split by `createdDateTime`, which is set once and never changes. Graph supports `ge` and `le` on it, and
`eq null` in advanced queries: https://learn.microsoft.com/en-us/graph/aad-advanced-queries#user-properties
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from entra_users.errors import BadQuery, MalformedPage, NotFound
from entra_users.graph import Graph
from entra_users.users import read_users, users_url

# What is halved: 68 years from 2005 on, so that all borders stand on a grid and stay where they are from one run to the
# next. Users created before or after are in the first and last range all the same, whose other ends are open.
_EARLIEST = datetime(2005, 1, 1, tzinfo=UTC)
_LATEST = _EARLIEST + timedelta(seconds=2**31)
_SECOND = timedelta(seconds=1)


class Partition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the directory: everyone, those without a date, or those created in `start <= t < end`.

    `start` and `end` are whole seconds as Graph writes them (`2021-07-01T00:00:00Z`); None leaves that side open.
    """

    number: int
    everyone: bool = False
    undated: bool = False
    start: str | None = None
    end: str | None = None

    @property
    def where(self) -> str | None:
        """The `$filter` that finds all of it; it may find users at the very end too, who are the next partition's.

        The end is asked for inclusively since `lt` is not supported, and not as a second less since how precisely
        Graph keeps dates is not documented.
        """
        if self.everyone:
            return None
        if self.undated:
            return "createdDateTime eq null"
        terms = [("ge", self.start), ("le", self.end)]
        found = [f"createdDateTime {operator} {moment}" for operator, moment in terms if moment is not None]
        return " and ".join(found or ["createdDateTime ge 1601-01-01T00:00:00Z"])

    def holds(self, *created: str | None) -> bool:
        """Whether users with these `createdDateTime`s all belong here."""
        if self.everyone:
            return True
        dates = [each for each in created if each is not None]
        if self.undated or not dates or len(dates) < len(created):
            return self.undated and not dates
        # Both ends are whole seconds, and so are the first 19 characters of a date: whatever follows them is later than
        # their second begins and earlier than it ends.
        return (self.start is None or min(dates) >= self.start[:19]) and (
            self.end is None or max(dates) < self.end[:19]
        )


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The partitions of a directory, and how they came about."""

    partitions: list[Partition]
    users: int | None
    """How many users Graph counts; None where it cannot."""
    counts: int
    """How many count requests planning took."""
    single_lane: str = ""
    """Why there is only one partition although it may be large; empty otherwise."""
    undivided: list[str] = msgspec.field(default_factory=list[str])
    """Which partitions are larger than they should be, a sentence each."""


def plan_partitions(graph: Graph, size: int, *, each: Callable[..., Iterable[int]] = map) -> Planned:
    """Split the directory into partitions of at most 1.5 times `size` users, and on average no fewer than half of it.

    Users created within one second are never split. A tenant whose Graph cannot count, as in Azure AD B2C, is one
    partition.

    Args:
        graph: to count with.
        size: users that a partition should have.
        each: `map`, or an executor's, to count several ranges at once.

    Raises:
        EntraUsersError: as `Graph.get`, but for a Graph that cannot count.
    """
    try:
        total = count_users(graph)
    except (BadQuery, NotFound) as error:
        whole = [Partition(number=0, everyone=True)]
        return Planned(partitions=whole, users=None, counts=1, single_lane=f"Graph cannot count here ({error.code}).")
    limit = size * 1.5
    if total <= limit:
        return Planned(partitions=[Partition(number=0, everyone=True)], users=total, counts=1)
    undated = count_users(graph, "createdDateTime eq null")
    cuts = 0

    def since(moment: datetime) -> int:
        return count_users(graph, f"createdDateTime ge {_text(moment)}")

    def counted(function: Callable[[datetime], int], moments: list[datetime]) -> Iterable[int]:
        nonlocal cuts
        cuts += len(moments)
        return each(function, moments)

    ranges = _merge(_split(max(0, total - undated), limit, since, counted), limit)
    partitions = [Partition(number=0, undated=True)]
    partitions += [
        Partition(number=number, start=r.start and _text(r.start), end=r.end and _text(r.end))
        for number, r in enumerate(ranges, 1)
    ]
    undivided = [
        f"{r.users:,} users cannot be divided further and are read in one lane: {partition.where}."
        for r, partition in zip(ranges, partitions[1:], strict=True)
        if r.users > limit
    ]
    return Planned(partitions=partitions, users=total, counts=2 + cuts, undivided=undivided)


def count_users(graph: Graph, where: str | None = None) -> int:
    """How many users Graph counts, in all or that a filter finds; from its eventually consistent index.

    https://learn.microsoft.com/en-us/graph/aad-advanced-queries

    Raises:
        MalformedPage: the answer is no number.
        EntraUsersError: as `Graph.get`; BadQuery where the tenant has no advanced queries.
    """
    query = "" if where is None else f"?$filter={where.replace(' ', '%20')}"
    answer = graph.get(
        f"{graph.root}/v1.0/users/$count{query}", headers={"ConsistencyLevel": "eventual", "Accept": "text/plain"}
    )
    text = answer.body.decode("utf-8-sig", "replace").strip()
    if not text.isdecimal():
        raise MalformedPage(f"Graph answered {answer.status} to a count of users with something that is no number.")
    return int(text)


def read_partition(graph: Graph, partition: Partition, select: Sequence[str]) -> Iterator[list[msgspec.Raw]]:
    """All users of one partition, each once, as the bytes Graph sent; one list a page.

    Raises:
        EntraUsersError: as `read_users`; what was given before is then not the whole.
    """
    # A filter over several pages is where page tokens expire, and advanced queries are said to prevent it.
    advanced = not partition.everyone
    url = users_url(graph.root, select, where=partition.where, advanced=advanced)
    return read_users(graph, url, advanced=advanced, wanted=partition.holds)


class _Created(msgspec.Struct):
    createdDateTime: str | None = None  # noqa: N815 -- Graph's name


_created = msgspec.json.Decoder(_Created)


def created(user: msgspec.Raw | bytes) -> str | None:
    """The `createdDateTime` in one user's JSON.

    Raises:
        MalformedPage: it is not a date.
    """
    try:
        return _created.decode(user).createdDateTime
    except ValueError:
        raise MalformedPage("Graph sent a user whose createdDateTime is not a date.") from None


class _Range:
    """Users created in `start <= t < end`, and how many were created from either end on."""

    def __init__(self, start: datetime | None, end: datetime | None, since_start: int, since_end: int) -> None:
        self.start = start
        self.end = end
        self.since_start = since_start
        self.since_end = since_end

    @property
    def users(self) -> int:
        return self.since_start - self.since_end

    def middle(self) -> datetime | None:
        """A whole second that halves the range in time, or None when it is a second long."""
        first, last = self.start or _EARLIEST, self.end or _LATEST
        seconds = int((last - first) / _SECOND) // 2
        return first + seconds * _SECOND if seconds > 0 else None


def _split(
    dated: int, limit: float, since: Callable[[datetime], int], each: Callable[..., Iterable[int]]
) -> list[_Range]:
    """Ranges over all of time, in order, none above `limit` users unless it is a second long.

    All ranges that are too large are halved at once, so that their counts can be asked for in parallel. One request a
    cut is enough: how many users were created since a moment tells the sizes on both its sides exactly.
    """
    ranges = [_Range(None, None, dated, 0)]
    while cuts := [(r, cut) for r in ranges if r.users > limit and (cut := r.middle()) is not None]:
        found = dict(zip((r for r, _ in cuts), each(since, [cut for _, cut in cuts]), strict=True))
        middles = dict(cuts)
        halved: list[_Range] = []
        for r in ranges:
            if r not in found:
                halved.append(r)
                continue
            # Users come and go while they are counted; sizes stay at or above zero all the same.
            tail = min(max(found[r], r.since_end), r.since_start)
            halved.append(_Range(r.start, middles[r], r.since_start, tail))
            halved.append(_Range(middles[r], r.end, tail, r.since_end))
        ranges = halved
    return ranges


def _merge(ranges: Iterable[_Range], limit: float) -> list[_Range]:
    """The same ranges with neighbours joined that are small enough together."""
    merged: list[_Range] = []
    for r in ranges:
        if merged and merged[-1].users + r.users <= limit:
            last = merged.pop()
            merged.append(_Range(last.start, r.end, last.since_start, r.since_end))
        else:
            merged.append(r)
    return merged


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
