"""The users of the simulated tenant, and every change made to them.

The generated users are never held; an overlay keeps the versions of those that were added, updated or removed. Each
change has a sequence number, so that the directory can be read as it was after any of them: that is how delta queries
know what changed, and how lists lag behind. Changes may be made while another thread reads.
"""

import copy
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from simulator.cache import Cache
from simulator.population import Population
from simulator.profiles import DOMAIN
from simulator.properties import PROPERTIES, Record, unset


class Life(StrEnum):
    """Where a user stands: `DELETED` users can be restored for 30 days, `PURGED` ones are gone for good."""

    LIVE = "live"
    DELETED = "deleted"
    PURGED = "purged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A user as it was from one change on.

    Attributes:
        seq: the sequence number of the change that made it.
        names: the properties that the change set; for users added or restored, all they have.
    """

    seq: int
    record: Record
    life: Life
    names: frozenset[str]


class Directory:
    """The users of one tenant.

    Args:
        users: how many to generate.
        seed: which ones.
        bulk: how many of them were imported within one second.
        undated: how many of the oldest have no date of creation; by default a few.
        clock: the time, in seconds since 1970.

    Attributes:
        lag: how many of the newest changes no request sees yet, since replicas lag behind.
        b2c: whether this is an Azure AD B2C tenant, which offers no advanced queries and no delta.
        shuffle: a seed for delta rounds that repeat users and keep no order; None for one entry a user, in order.
        cache: answers given before, by what they depend on.
        key: what the page tokens of this directory are signed with.
        index: generated user -> id, for those in the overlay.
        added: ids of the users added, in order.
    """

    def __init__(
        self,
        users: int = 0,
        *,
        seed: int = 0,
        bulk: int = 0,
        undated: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.population = Population(users, seed=seed, bulk=bulk, undated=undated)
        self.clock = clock
        self.lag = 0
        self.b2c = False
        self.shuffle: int | None = None
        self.cache = Cache(256_000_000)
        self.key = secrets.token_bytes(16)
        self.index: dict[int, str] = {}
        self.added: list[str] = []
        self._seed = seed
        self._log: list[str] = []
        self._versions: dict[str, list[Version]] = {}
        self._principals: dict[str, list[str]] = {}
        self._live = users
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return self._live

    def users(self, select: Iterable[str] | None = None) -> list[Record]:
        """Every user, oldest first and those added last, with all properties or these; unset: null or []."""
        names = tuple(PROPERTIES if select is None else select)
        now, population = len(self._log), self.population
        read = population.reader(names)
        ids = [self.index.get(i, i) for i in range(population.size)] + self.added
        records: list[Record] = []
        for id_ in ids:
            if isinstance(id_, int):
                records.append(read(id_))
            elif (version := self._at(id_, now)).life is Life.LIVE:
                records.append(copy.deepcopy(version.record))
        return [{name: record.get(name, unset(name)) for name in names} for record in records]

    def add(self, **properties: Any) -> Record:
        """Add a user; what is not given is made up. Returns the user.

        Raises:
            ValueError: a property is unknown, or the id or user principal name is taken.
        """
        with self._lock:
            number = len(self.added)
            record: Record = {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._seed}/{number}")),
                "accountEnabled": True,
                "createdDateTime": self._now(),
                "displayName": f"Added User {number}",
                "userPrincipalName": f"added-{number}@{DOMAIN}",
                "userType": "Member",
                **properties,
            }
            if self.find(record["id"]) is not None or record["id"] in self._versions:
                raise ValueError(f"there is a user with id {record['id']}")
            self._change(record["id"], record, Life.LIVE, frozenset(record))
            self._live += 1
            return copy.deepcopy(record)

    def update(self, id_: str, **properties: Any) -> Record:
        """Set properties of a user (None: to null). Setting them to what they are is no change. Returns the user.

        Raises:
            KeyError: there is no such user.
            ValueError: a property is unknown, or the user principal name is taken.
        """
        with self._lock:
            record = self._current(id_, Life.LIVE).record
            changed = {name: value for name, value in properties.items() if record.get(name, ...) != value}
            record = record | changed
            if changed:
                self._change(id_, record, Life.LIVE, frozenset(changed))
            return copy.deepcopy(record)

    def remove(self, id_: str) -> None:
        """Delete a user, who can then be restored."""
        with self._lock:
            record = self._current(id_, Life.LIVE).record | {"deletedDateTime": self._now()}
            self._change(id_, record, Life.DELETED, frozenset({"deletedDateTime"}))
            self._live -= 1

    def restore(self, id_: str) -> Record:
        """Bring back a deleted user. Returns the user."""
        with self._lock:
            record = dict(self._current(id_, Life.DELETED).record)
            del record["deletedDateTime"]
            self._change(id_, record, Life.LIVE, frozenset(record))
            self._live += 1
            return copy.deepcopy(record)

    def purge(self, id_: str) -> None:
        """Remove a user for good, deleted before or not."""
        with self._lock:
            version = self._current(id_, Life.LIVE, Life.DELETED)
            self._change(id_, version.record, Life.PURGED, frozenset())
            self._live -= version.life is Life.LIVE

    @property
    def seq(self) -> int:
        """The sequence number of the newest change that requests see; 0 before any."""
        return max(0, len(self._log) - self.lag)

    def changes(self, since: int, until: int) -> list[tuple[str, Version]]:
        """Who changed after `since`, up to and including `until`, and to what, in order."""
        ids = self._log[since:until]
        return [(id_, self._at(id_, seq)) for seq, id_ in enumerate(ids, since + 1)]

    def version(self, id_: str, seq: int) -> Version | None:
        """A user as of a change, generated or not; None if it did not exist then."""
        versions = [version for version in self._versions.get(id_, ()) if version.seq <= seq]
        if versions:
            return versions[-1]
        i = self.population.find(id_)
        return (
            None if i is None else Version(seq=0, record=self.population.record(i), life=Life.LIVE, names=frozenset())
        )

    def find(self, id_or_principal: str, seq: int | None = None) -> Record | None:
        """The live user with this id or user principal name, as of a change (the last if None)."""
        name, seq = id_or_principal.lower(), len(self._log) if seq is None else seq
        ids = [name, *self._principals.get(name, ())]
        if (i := self.population.named(name)) is not None:
            ids.append(self.population.record(i)["id"])
        for id_ in ids:
            version = self.version(id_, seq)
            if version and version.life is Life.LIVE and name in {id_, version.record["userPrincipalName"].lower()}:
                return version.record
        return None

    def deleted(self, seq: int | None = None) -> list[Record]:
        """The deleted users that can be restored, as of a change (the last if None)."""
        seq = len(self._log) if seq is None else seq
        versions = [self.version(id_, seq) for id_ in list(self._versions)]
        return [version.record for version in versions if version and version.life is Life.DELETED]

    def overlaid(self, seq: int) -> Mapping[str, Version]:
        """Every user of the overlay as of a change; generated ones that had not changed by then are left out."""
        versions = ((id_, self.version(id_, seq)) for id_ in list(self._versions))
        return {id_: version for id_, version in versions if version and version.seq}

    def _at(self, id_: str, seq: int) -> Version:
        version = self.version(id_, seq)
        if version is None:
            raise LookupError(id_)
        return version

    def _current(self, id_: str, *lives: Life) -> Version:
        version = self.version(id_, len(self._log))
        if version is None or version.life not in lives:
            raise KeyError(f"there is no {' or '.join(lives)} user with id {id_}")
        return version

    def _change(self, id_: str, record: Record, life: Life, names: frozenset[str]) -> None:
        if unknown := [name for name in record if name not in PROPERTIES]:
            raise ValueError(f"users have no {', '.join(unknown)}")
        namesake = self.find(record["userPrincipalName"])
        if life is Life.LIVE and namesake is not None and namesake["id"] != id_:
            raise ValueError(f"there is a user named {record['userPrincipalName']}")
        i = self.population.find(id_)
        version = Version(seq=len(self._log) + 1, record=record, life=life, names=names)
        # A reader looks at the log first, so that everything it then asks for is in place.
        if i is not None:
            self.index[i] = id_
        elif id_ not in self._versions:
            self.added.append(id_)
        self._versions.setdefault(id_, []).append(version)
        namesakes = self._principals.setdefault(record["userPrincipalName"].lower(), [])
        if id_ not in namesakes:
            namesakes.append(id_)
        self._log.append(id_)

    def _now(self) -> str:
        return datetime.fromtimestamp(int(self.clock()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
