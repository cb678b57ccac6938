"""What tests store, and what they find stored, read as any program would."""

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from entra_users.graph import Usage
from entra_users.merge import part_name
from entra_users.partitions import Partition
from entra_users.parts import write_file
from entra_users.snapshot import File, Manifest, Part, Plan, Receipt, Record
from entra_users.store import Store

type User = dict[str, Any]
type Users = dict[str, User]

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
SELECT = ["id", "createdDateTime", "displayName", "businessPhones"]


def run_at(hours: float) -> str:
    """The id of a run that began so many hours before NOW."""
    moment = NOW - timedelta(hours=hours)
    return f"{moment:%Y%m%dT%H%M%S}000Z-run"


def partitions_at(borders: Iterable[str] | None) -> list[Partition]:
    """Partitions with these borders; None: one of everyone."""
    if borders is None:
        return [Partition(number=0, everyone=True)]
    ends = pairwise([None, *sorted(borders), None])
    dated = [Partition(number=number, start=start, end=end) for number, (start, end) in enumerate(ends, 1)]
    return [Partition(number=0, undated=True), *dated]


def write_parts(
    store: Store, run: str, users: Users, partitions: Sequence[Partition], separators: tuple[str, str] = (",", ":")
) -> list[Part]:
    """The parts of a full run."""
    parts: list[Part] = []
    for partition in partitions:
        held = [user for user in users.values() if partition.holds(user["createdDateTime"])]
        lines = [json.dumps(user, separators=separators).encode() + b"\n" for user in held]
        parts.append(Part(partition=partition, file=write_file(store, part_name(run, partition), lines)))
    return parts


def read_gzip(store: Store, name: str) -> list[Any]:
    """The lines of a file."""
    with store.open(name) as stream, gzip.open(stream) as lines:
        return [json.loads(line) for line in lines]


def users_of(store: Store, parts: Iterable[Part]) -> Users:
    """The users of all parts, none of whom is in two places."""
    users = [user for part in parts for user in read_gzip(store, part.file.name)]
    found: Users = {user["id"]: user for user in users}
    assert len(found) == len(users)
    return found


def apply(users: Users, told: Iterable[bytes]) -> Users:
    """Users after changes, as a consumer applies them: who is added is new, who is updated becomes another."""
    users = dict(users)
    for change in map(json.loads, told):
        if change["change"] == "removed":
            assert change.keys() == {"change", "id"}
            del users[change["id"]]
        else:
            assert change.keys() == {"change", "id", "user"}
            assert change["user"]["id"] == change["id"]
            assert change["change"] == ("updated" if change["id"] in users else "added")
            assert users.get(change["id"]) != change["user"]
            users[change["id"]] = change["user"]
    return users


def a_record(run: str, mode: str = "incremental", changes: File | None = None, **facts: Any) -> Record:
    """A run that ended well, an hour after it began unless `ended_at` is given."""
    began = datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    usual: Mapping[str, Any] = {
        "reason": "",
        "started_at": began,
        "ended_at": began + timedelta(hours=1),
        "users": 3,
        "usage": Usage(),
    }
    return Record(run=run, mode=mode, changes=changes, **{**usual, **facts})


def a_file(name: str, lines: int = 1) -> File:
    """A file as a manifest describes it."""
    return File(name=name, lines=lines, bytes=20, sha256="0" * 64)


def changes_of(run: str) -> File:
    """The changes file of a run."""
    return a_file(f"snapshots/{run}/changes.ndjson.gz")


def a_manifest(*history: Record, **facts: Any) -> Manifest:
    """A manifest of the last of these runs that changed anything."""
    run = next(record.run for record in reversed(history) if record.mode != "unchanged")
    usual: Mapping[str, Any] = {
        "run": run,
        "published_at": NOW,
        "checked_at": NOW,
        "full_at": NOW,
        "select": SELECT,
        "users": 3,
        "counted": 3,
        "parts": [],
        "changes_since": history[0].run,
    }
    return Manifest(history=list(history), **{**usual, **facts})


def a_plan(run: str, **facts: Any) -> Plan:
    """What a full run reads: three partitions."""
    usual: Mapping[str, Any] = {
        "at": NOW,
        "reason": "There was no snapshot.",
        "base": None,
        "select": SELECT,
        "partitions": partitions_at(["2021-07-01T00:00:00Z"]),
        "users": 30,
        "delta_link": "https://graph.microsoft.com/v1.0/users/delta?kept",
        "notes": [],
        "usage": Usage(requests=3, resource_units=3),
    }
    return Plan(run=run, **{**usual, **facts})


def a_receipt(run: str, number: int, **facts: Any) -> Receipt:
    """A partition of ten users that was exported."""
    partition = a_plan(run).partitions[number]
    usual: Mapping[str, Any] = {
        "part": Part(partition=partition, file=a_file(part_name(run, partition), 10)),
        "usage": Usage(requests=2, resource_units=4, throttled_seconds=1.5),
        "seconds": 1.0,
        "at": NOW,
        "worker": "w",
    }
    return Receipt(number=number, **{**usual, **facts})
