"""The generated users of a directory: user `i` is computed from the seed and `i`, and never held.

So ten million users cost no memory, a page of them is text put together from templates, and a range of creation dates
is arithmetic.
"""

import json
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from operator import itemgetter

from simulator.profiles import CREATED, ID_HEAD, ID_TAIL, NUMBER, PROFILES, SINCE, profiles
from simulator.properties import PROPERTIES, Record, unset

FIRST = int(datetime(2014, 7, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp())
"""Users were created between these, in seconds since 1970."""

# Odd multipliers permute the integers below a power of two, so that every id is made of its number and leads back.
_HEAD, _TAIL = 0x9E3779B1, 0x2545F4914F6D
_HEAD_MASK, _TAIL_MASK = (1 << 32) - 1, (1 << 48) - 1
_TAIL_INVERSE = pow(_TAIL, -1, 1 << 48)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-([0-9a-f]{12})", re.IGNORECASE)
_PRINCIPAL = re.compile(r"[^0-9]+([0-9]{1,12})[_@].*", re.DOTALL)
_MARKS = {NUMBER: "%d", ID_HEAD: "%08x", ID_TAIL: "%012x", f'"{CREATED}"': "%b", f'"{SINCE}"': "%b"}
_MARK = re.compile("|".join(_MARKS))
_POSITION = {mark: position for position, mark in enumerate(_MARKS)}
_MINUTES = [f'{minute:02}:{second:02}Z"'.encode() for minute in range(60) for second in range(60)]


type _Template = tuple[bytes, Callable[..., object]]
"""A JSON object as a %-format, and what picks its arguments from the values of the marks."""


class _Hours(dict[int, bytes]):
    """Hours since 1970 -> how a JSON date in that hour begins; made when first asked for."""

    def __missing__(self, hour: int) -> bytes:
        self[hour] = text = datetime.fromtimestamp(hour * 3600, UTC).strftime('"%Y-%m-%dT%H:').encode()
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """Users `start` to `end`, created at even distances in `seconds` from `since`."""

    start: int
    end: int
    since: int
    seconds: int

    @property
    def count(self) -> int:
        return self.end - self.start


class Population:
    """The generated users of one seed, oldest first.

    Args:
        size: how many.
        seed: which ones.
        bulk: how many of them were imported within one second.
        undated: how many of the oldest have no date of creation (by default one in a hundred, at most 2,000), as in
            https://learn.microsoft.com/en-us/graph/api/resources/user (createdDateTime).
    """

    def __init__(self, size: int, *, seed: int = 0, bulk: int = 0, undated: int | None = None) -> None:
        self.size = size
        self.undated = min(size - bulk, min(-(-size // 100), 2_000) if undated is None else undated)
        self.people = profiles(seed)
        self._spans = _spans(size, self.undated, bulk, random.Random(seed))  # noqa: S311 (made up)
        self._starts = [span.start for span in self._spans]
        self._hours = _Hours()
        self._writers: dict[tuple[tuple[str, ...], bool], Callable[[Iterable[int]], list[bytes]]] = {}
        self.record = self.reader(tuple(PROPERTIES))

    def rows(self, names: tuple[str, ...], *, unset_too: bool = True) -> Callable[[Iterable[int]], list[bytes]]:
        """How to write users as JSON objects of these properties, in this order.

        Args:
            names: the properties.
            unset_too: write the properties that a user lacks too, as null or an empty list.
        """
        if found := self._writers.get((names, unset_too)):
            return found
        templates: list[_Template | None] = [None] * PROFILES
        hours, undated = self._hours, self.undated

        def template_of(profile: int) -> _Template:
            templates[profile] = made = _template(self.people[profile], names, unset_too=unset_too)
            return made

        def write(indexes: Iterable[int]) -> list[bytes]:
            rows: list[bytes] = []
            start = end = first = seconds = 0
            count = 1
            for i in indexes:
                if not start <= i < end:
                    span = self._span(i)
                    start, end, first, seconds, count = span.start, span.end, span.since, span.seconds, span.count
                template, pick = templates[i % PROFILES] or template_of(i % PROFILES)
                hour, second = divmod(first + (i - start) * seconds // count, 3600)
                since = hours[hour] + _MINUTES[second]
                created = since if i >= undated else b"null"
                head, tail = (i + 1) * _HEAD & _HEAD_MASK, (i + 1) * _TAIL & _TAIL_MASK
                rows.append(template % pick((i, head, tail, created, since)))
            return rows

        self._writers[names, unset_too] = write
        return write

    def reader(self, names: tuple[str, ...]) -> Callable[[int], Record]:
        """How to read a user with these properties; those it lacks are left out."""
        write = self.rows(names, unset_too=False)

        def read(i: int) -> Record:
            record: Record = json.loads(write([i])[0])
            if i < self.undated:
                record.pop("createdDateTime", None)
            return record

        return read

    def find(self, id_: str) -> int | None:
        """The user with this id, in any letter case; None if there is none."""
        match = _ID.fullmatch(id_)
        return match and self._checked((int(match[1], 16) * _TAIL_INVERSE - 1) & _TAIL_MASK, "id", id_)

    def named(self, principal: str) -> int | None:
        """The user with this user principal name, in any letter case; None if there is none."""
        match = _PRINCIPAL.fullmatch(principal)
        return match and self._checked(int(match[1]), "userPrincipalName", principal)

    def created_from(self, instant: float) -> int:
        """The first user created at or after this instant (seconds since 1970); `size` if none was."""
        before = self.undated
        for span in self._spans:
            if span.since >= instant:
                break
            # The first k of the span with k * span.seconds // span.count >= whole; if there is none, all lie before.
            whole = -int((span.since - instant) // 1)
            before = span.start + min(
                span.count, -(-whole * span.count // span.seconds) if span.seconds else span.count
            )
        return before

    def _checked(self, i: int, name: str, value: str) -> int | None:
        return i if i < self.size and self.record(i)[name].lower() == value.lower() else None

    def _span(self, i: int) -> _Span:
        return self._spans[bisect_right(self._starts, i) - 1]


def _spans(size: int, undated: int, bulk: int, choice: random.Random) -> list[_Span]:
    """Half-years of uneven growth, and the bulk import, if any, after the fourteenth of them."""
    weights = [choice.randint(1, 8) for _ in range(24)]
    total = sum(weights)
    gradual = size - undated - bulk
    ends = [undated + gradual * weight // total for weight in accumulate(weights)]
    half_year = (LAST - FIRST) // 24
    spans = [_Span(start=0, end=undated, since=FIRST, seconds=0)] if undated else []
    start = undated
    for number, end in enumerate(ends):
        late = bulk if number >= 14 else 0
        if number == 14 and bulk:
            spans.append(_Span(start=start, end=start + bulk, since=FIRST + number * half_year, seconds=0))
            start += bulk
        if end + late > start:
            spans.append(_Span(start=start, end=end + late, since=FIRST + number * half_year, seconds=half_year))
            start = end + late
    return spans


def _template(person: Record, names: tuple[str, ...], *, unset_too: bool) -> _Template:
    chosen = {name: person.get(name, unset(name)) for name in names if unset_too or name in person}
    text = json.dumps(chosen, ensure_ascii=False, separators=(",", ":")).replace("%", "%%")
    used = [_POSITION[mark] for mark in _MARK.findall(text)]
    pick: Callable[..., object] = itemgetter(*used) if used else _nothing
    return _MARK.sub(lambda mark: _MARKS[mark[0]], text).encode(), pick


def _nothing(_values: object) -> tuple[()]:
    return ()
