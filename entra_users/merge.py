"""A stored snapshot and what changed since, merged in one streaming pass; and two snapshots compared.

Both are pure functions of what is stored: done again after a crash, they write the same bytes.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec

from entra_users.partitions import Partition, created
from entra_users.parts import read_lines, write_file
from entra_users.snapshot import File, Part
from entra_users.store import Store
from entra_users.users import user_ids

COLLECTIONS = frozenset(
    "assignedLicenses assignedPlans businessPhones identities imAddresses licenseAssignmentStates"
    " onPremisesProvisioningErrors otherMails provisionedPlans proxyAddresses serviceProvisioningErrors".split()
)
"""Properties that a list of users gives as `[]` where they were never set; all others as null."""


@dataclass(slots=True)
class Outcome:
    """What a merge or comparison has found so far: users by kind of change, and the parts as they are now."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    parts: list[Part] = field(default_factory=list[Part])

    def told(self, change: str, user_id: str, user: bytes | None = None) -> bytes:
        """One line of a changes file; it is counted."""
        setattr(self, change, getattr(self, change) + 1)
        line = msgspec.json.encode({"change": change, "id": user_id})
        return line + b"\n" if user is None else line[:-1] + b',"user":' + user + b"}\n"


def merge(
    store: Store,
    run: str,
    parts: Sequence[Part],
    changes: Mapping[str, bytes | msgspec.Raw | None],
    select: Sequence[str],
    outcome: Outcome,
) -> Iterator[bytes]:
    """Apply changes to a snapshot's parts; the lines of the changes file, while the parts are written beside it.

    A part that nothing changes in is taken over as it is. Who was added goes into a part of its own, the last.

    Args:
        store: holds the parts, and takes the new ones.
        run: that the new parts belong to.
        parts: of the snapshot.
        changes: by user id, what Graph said of the user, or None for who is no longer there.
        select: the properties of a user.
        outcome: takes counts and parts.

    Raises:
        CorruptObject: a part is not what its manifest says.
        StoreError: as the store's methods.
    """
    left = dict(changes)
    names = frozenset(select)
    additions: File | None = None
    for part in parts:
        if part.partition is None:
            additions = part.file
        elif _touched(store, part.file, left):
            told: list[bytes] = []
            lines = _merged(store, part.file, left, names, outcome, told)
            file = write_file(store, part_name(run, part.partition), lines)
            outcome.parts.append(Part(partition=part.partition, file=file))
            yield from told
        else:
            outcome.parts.append(part)
    # Last, when everyone who is left is known to be new.
    told = []
    if any(change is not None for change in left.values()) or (additions and _touched(store, additions, left)):
        old = () if additions is None else _merged(store, additions, left, names, outcome, told)
        additions = write_file(store, part_name(run, None), chain(old, _added(left, select, outcome, told)))
    if additions is not None:
        outcome.parts.append(Part(partition=None, file=additions))
    yield from told


def compare(store: Store, before: Sequence[Part], after: Sequence[Part], outcome: Outcome) -> Iterator[bytes]:
    """The lines of the changes file that lead from one snapshot to another, a partition at a time.

    A user stays in the range of `createdDateTime`, so each new part is held against those old ones that its range
    touches, wherever their borders were. Memory holds a hash for each user of one partition.

    Raises:
        CorruptObject: a part is not what its manifest says.
        StoreError: as the store's methods.
    """
    outcome.parts.extend(after)
    for part in after:
        old = [each for each in before if _touch(part.partition, each.partition)]
        if [each.partition for each in old] != [part.partition] or old[0].file.sha256 != part.file.sha256:
            yield from _compare_part(store, old, part, outcome)


def part_name(run: str, partition: Partition | None) -> str:
    """The name of a partition's part, or of the part that holds who was added."""
    return f"snapshots/{run}/part-{'added' if partition is None else f'{partition.number:05d}'}.ndjson.gz"


def _compare_part(store: Store, old: Sequence[Part], part: Part, outcome: Outcome) -> Iterator[bytes]:
    gone = {_hash(line) for each in old for lines in read_lines(store, each.file) for line in lines}
    new: list[bytes] = []
    for lines in read_lines(store, part.file):
        for line in lines:
            known = _hash(line)
            if known in gone:
                gone.remove(known)
            else:
                new.append(line)
    fresh = dict(zip(user_ids(new), new, strict=True))
    for line in _those(store, old, gone):
        # Where borders differ, an old part also holds users of this part's neighbours.
        if part.partition is None or part.partition.holds(created(line)):
            (user_id,) = user_ids([line])
            now = fresh.pop(user_id, None)
            if now is None:
                yield outcome.told("removed", user_id)
            # The same user may be written in two ways: by Graph, or by a merge.
            elif _decoded(now) != _decoded(line):
                yield outcome.told("updated", user_id, now)
    for user_id, line in fresh.items():
        yield outcome.told("added", user_id, line)


def _touched(store: Store, file: File, left: Mapping[str, object]) -> bool:
    """Whether a file holds a user who changed; one that does not is read to its end, and so verified."""
    with closing(read_lines(store, file)) as blocks:
        return any(not left.keys().isdisjoint(user_ids(lines)) for lines in blocks)


def _merged(
    store: Store,
    file: File,
    left: dict[str, bytes | msgspec.Raw | None],
    names: Collection[str],
    outcome: Outcome,
    told: list[bytes],
) -> Iterator[bytes]:
    """The lines of a file with the changes to its users applied; these are taken out of `left`."""
    for lines in read_lines(store, file):
        ids = user_ids(lines)
        if left.keys().isdisjoint(ids):
            yield b"\n".join([*lines, b""])
            continue
        kept: list[bytes] = []
        for user_id, line in zip(ids, lines, strict=True):
            if user_id not in left:
                kept.append(line)
            elif (change := left.pop(user_id)) is None:
                told.append(outcome.told("removed", user_id))
            else:
                user: dict[str, Any] = msgspec.json.decode(line)
                changed = {**user, **{name: value for name, value in _decoded(change).items() if name in names}}
                # Graph also repeats what it told in an earlier round.
                kept.append(line if changed == user else msgspec.json.encode(changed))
                if changed != user:
                    told.append(outcome.told("updated", user_id, kept[-1]))
        yield b"\n".join([*kept, b""])


def _added(
    left: Mapping[str, bytes | msgspec.Raw | None], select: Sequence[str], outcome: Outcome, told: list[bytes]
) -> Iterator[bytes]:
    """The lines of who is new, with every property that a list of users would give."""
    for user_id, change in left.items():
        if change is not None:
            given = _decoded(change)
            user = {name: given.get(name, [] if name in COLLECTIONS else None) for name in select}
            line = msgspec.json.encode(user)
            told.append(outcome.told("added", user_id, line))
            yield line + b"\n"


def _touch(one: Partition | None, other: Partition | None) -> bool:
    """Whether two partitions can hold the same user."""
    if one is None or other is None or one.everyone or other.everyone:
        return True
    if one.undated or other.undated:
        return one.undated and other.undated
    return (one.end is None or other.start is None or other.start < one.end) and (
        other.end is None or one.start is None or one.start < other.end
    )


def _those(store: Store, parts: Iterable[Part], hashes: Collection[bytes]) -> Iterator[bytes]:
    """The lines with these hashes."""
    for part in parts if hashes else ():
        for lines in read_lines(store, part.file):
            yield from (line for line in lines if _hash(line) in hashes)


def _decoded(user: bytes | msgspec.Raw) -> dict[str, Any]:
    return msgspec.json.decode(user)


def _hash(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()
