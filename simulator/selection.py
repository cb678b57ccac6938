"""Which users a request is about, and in which order they come.

A filter on creation dates, or on what users of a profile have in common, is answered by arithmetic, so that a range or
a count costs the same in a directory of ten million. Everything else looks at each user.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simulator.directory import Directory, Life
from simulator.profiles import PROFILES, VARYING
from simulator.properties import Record

_BLOCK = 64
_STRIDE = 2_654_435_761  # a prime above any number of blocks, so that steps of it visit each once


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a filter; all of them must hold.

    Attributes:
        names: the properties it looks at.
        test: whether it holds for a user.
        operator: `ge`, `le`, `eq` or `null`, where it compares one property with one value; else None.
        value: that value, seconds since 1970 for a date.
    """

    names: frozenset[str]
    test: Callable[[Record], bool]
    operator: str | None = None
    value: float | str | None = None


class Listed:
    """Users in the order given."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def page(self, position: int, top: int, _seq: int) -> tuple[Sequence[int | Record], int | None]:
        """Up to `top` users from a position on, and the position of the next one (None at the end)."""
        after = position + top
        return self._records[position:after], after if after < len(self._records) else None

    def count(self, _seq: int) -> int:
        """How many they are."""
        return len(self._records)


class Selection:
    """The users that meet every condition.

    The order of https://learn.microsoft.com/en-us/graph/api/user-list is not documented: here blocks of generated users
    come in a scattered but fixed order, and users added later at the end. A position in that order stays valid when
    users change, so that paging neither repeats nor skips those who stay.
    """

    def __init__(self, directory: Directory, conditions: Sequence[Condition] = ()) -> None:
        self._directory = directory
        self._conditions = conditions
        self._generated: Sequence[int] = range(directory.population.size)
        self._profiles = frozenset(range(PROFILES))
        self._unsettled: list[Condition] = []
        for condition in conditions:
            self._narrow(condition)
        names = {name for condition in self._unsettled for name in condition.names}
        self._read = directory.population.reader(tuple(names))

    def page(self, position: int, top: int, seq: int) -> tuple[Sequence[int | Record], int | None]:
        """Up to `top` users from a position on, as of a change, and the position of the next one (None at the end).

        A generated user that has not changed is given by its number.
        """
        users: list[int | Record] = []
        for place, user in self._walk(position, seq):
            if len(users) == top:
                return users, place
            users.append(user)
        return users, None

    def count(self, seq: int) -> int:
        """How many they are, as of a change."""
        if self._unsettled:
            return sum(1 for _ in self._walk(0, seq))
        overlaid = self._directory.overlaid(seq)
        live = sum(version.life is Life.LIVE and self._meets(version.record) for version in overlaid.values())
        changed = [i for i, id_ in list(self._directory.index.items()) if id_ in overlaid and i in self._generated]
        return self._unchanged() - sum(map(self._holds, changed)) + live

    def records(self, seq: int) -> Iterator[Record]:
        """Each user, as of a change."""
        for _, user in self._walk(0, seq):
            yield self._directory.population.record(user) if isinstance(user, int) else user

    def _narrow(self, condition: Condition) -> None:
        """Take account of a condition on the generated users, or leave it to be tested on each."""
        population, value = self._directory.population, condition.value
        match (*condition.names, condition.operator):
            case ("createdDateTime", "ge") if isinstance(value, float):
                self._keep(range(population.created_from(value), population.size))
            case ("createdDateTime", "le") if isinstance(value, float):
                self._keep(range(population.undated, population.created_from(value // 1 + 1)))
            case ("createdDateTime", "null"):
                self._keep(range(population.undated))
            case ("id", "eq") if isinstance(value, str):
                i = population.find(value)
                self._keep(range(0) if i is None else range(i, i + 1))
            case ("userPrincipalName", "eq") if isinstance(value, str):
                # The name may have been given to another generated user since.
                i = population.named(value)
                self._keep(sorted({*self._directory.index, *([] if i is None else [i])}))
                self._unsettled.append(condition)
            case _ if not condition.names & VARYING:
                self._profiles &= {p for p in self._profiles if condition.test(population.people[p])}
            case _:
                self._unsettled.append(condition)

    def _keep(self, indexes: Sequence[int]) -> None:
        mine = self._generated
        if isinstance(mine, range) and isinstance(indexes, range):
            self._generated = range(max(mine.start, indexes.start), min(mine.stop, indexes.stop))
        else:
            self._generated = [i for i in indexes if i in mine]

    def _meets(self, record: Record) -> bool:
        return all(condition.test(record) for condition in self._conditions)

    def _holds(self, i: int) -> bool:
        """Whether a generated user among those left meets the conditions, as long as it has not changed."""
        if i % PROFILES not in self._profiles:
            return False
        if not self._unsettled:
            return True
        record = self._read(i)
        return all(condition.test(record) for condition in self._unsettled)

    def _unchanged(self) -> int:
        """How many generated users there would be, had none changed."""
        mine = self._generated
        if len(self._profiles) == PROFILES:
            return len(mine)
        whole = len(mine) // PROFILES
        return whole * len(self._profiles) + sum(map(self._holds, mine[whole * PROFILES :]))

    def _walk(self, position: int, seq: int) -> Iterator[tuple[int, int | Record]]:
        """The users from a position on, each with its position."""
        directory, size, place = self._directory, len(self._generated), position
        index, profiles, settled = directory.index, self._profiles, not self._unsettled
        while place < size:
            for i in self._block(place):
                version = directory.version(index[i], seq) if i in index else None
                if version is None or version.seq == 0:
                    if i % PROFILES in profiles and (settled or self._holds(i)):
                        yield place, i
                elif version.life is Life.LIVE and self._meets(version.record):
                    yield place, version.record
                place += 1
        for id_ in directory.added[place - size :]:
            version = directory.version(id_, seq)
            if version is not None and version.life is Life.LIVE and self._meets(version.record):
                yield place, version.record
            place += 1

    def _block(self, place: int) -> Sequence[int]:
        """The generated users from a position to the end of its block."""
        blocks = len(self._generated) // _BLOCK
        block, skip = divmod(place, _BLOCK)
        start = block * _STRIDE % blocks * _BLOCK if block < blocks else block * _BLOCK
        return self._generated[start : start + _BLOCK][::-1][skip:]
