"""What a stored directory is made of: parts, receipts, the plan of a run, and the manifest that makes a snapshot whole.

    latest.json                          the manifest; the only object that is ever changed
    runs/<run>/start.json                a run that was asked for
    runs/<run>/plan.json                 a full run's partitions, and the delta link from before it
    runs/<run>/done-00000.json           receipt of a finished partition
    runs/<run>/end.json                  why a run failed
    runs/<run>/delta.gz                  the changes an incremental run applies
    snapshots/<run>/part-00000.ndjson.gz one user a line, the bytes Graph sent; never changed
    snapshots/<run>/changes.ndjson.gz    {"change": "added|updated|removed", "id": ..., "user": {...}} of this run
    snapshots/<run>/users.csv.gz         where SNAPSHOT_FORMATS asks for it
    snapshots/<run>/manifest.json        the manifest as it was published

Everything that a manifest names is there and complete before the manifest is, and stays until retention removes both.
"""

from datetime import UTC, datetime

import msgspec

from entra_users.errors import CorruptObject, ObjectChanged, ObjectNotFound
from entra_users.graph import Usage
from entra_users.partitions import Partition
from entra_users.store import Store

FORMAT = 1
"""The manifest's format; a newer one is refused rather than misread."""

LATEST = "latest.json"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file: `bytes` and `sha256` are of what is stored, so that `sha256sum` confirms it."""

    name: str
    lines: int
    bytes: int
    sha256: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Users of one partition, one a line; None holds whoever was added after the partitions were planned."""

    partition: Partition | None
    file: File


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A partition is exported."""

    number: int
    part: Part
    usage: Usage
    seconds: float
    at: datetime
    worker: str = ""
    """Tells the process that exported it from the others."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A run was asked for."""

    run: str
    at: datetime
    full: bool = False
    force: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a full run reads."""

    run: str
    at: datetime
    reason: str
    base: str | None
    """The run whose snapshot this one replaces."""
    select: list[str]
    partitions: list[Partition]
    users: int | None
    """Graph's count when the run was planned; None where it cannot count."""
    delta_link: str | None
    """From before the first user was read; None where the tenant has no delta queries."""
    notes: list[str]
    usage: Usage

    def __repr__(self) -> str:
        return f"Plan(run={self.run!r})"  # the delta link is a continuation


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A run failed."""

    run: str
    at: datetime
    error: str
    message: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A run that ended well. Counts are of users."""

    run: str
    mode: str
    """`full`, `incremental` or `unchanged`."""
    reason: str
    started_at: datetime
    ended_at: datetime
    users: int
    added: int = 0
    updated: int = 0
    removed: int = 0
    partitions: int = 0
    usage: Usage
    changes: File | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: all users as of a moment, and where to find them."""

    format: int = FORMAT
    run: str
    """Of the last run that changed the snapshot; what consumers give as `since`."""
    published_at: datetime
    checked_at: datetime
    """When Graph last said that nothing had changed since, or when it was published."""
    full_at: datetime
    """When the last full run began."""
    select: list[str]
    users: int
    counted: int | None
    """Graph's own count at the last full run."""
    parts: list[Part]
    csv: File | None = None
    notes: list[str] = msgspec.field(default_factory=list[str])
    changes_since: str
    """The oldest run since which the changes are all kept."""
    history: list[Record]
    """Oldest first."""
    delta_link: str | None = None
    """A continuation: it never leaves the store."""

    @property
    def last_run(self) -> str:
        """The last run that ended well, whether or not it changed anything; every later one has a greater id."""
        return self.history[-1].run

    def __repr__(self) -> str:
        return f"Manifest(run={self.run!r})"


def new_run(now: datetime, suffix: str) -> str:
    """A run's id; ids sort by time. `suffix` tells apart what begins within the same millisecond."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{suffix}"


class _Format(msgspec.Struct):
    format: int


def read_manifest(store: Store) -> tuple[Manifest | None, str | None]:
    """The published manifest and its ETag; None for both before the first run.

    Raises:
        CorruptObject: it is not a manifest, or one in a format that is newer than this program.
        StoreError: as `Store.read`.
    """
    try:
        stored = store.read(LATEST)
    except ObjectNotFound:
        return None, None
    try:
        found = msgspec.json.decode(stored.data, type=_Format).format
    except msgspec.DecodeError as error:
        raise CorruptObject(f"{LATEST} is not a manifest. Put back one of snapshots/<run>/manifest.json.") from error
    if found > FORMAT:
        raise CorruptObject(
            f"{LATEST} is in format {found}, and this version reads {FORMAT}: a newer version of the app wrote it."
            " Upgrade this one, or give it a USERS_STORE of its own."
        )
    return decode(stored.data, Manifest, LATEST), stored.etag


def read_record[T](store: Store, name: str, kind: type[T]) -> T | None:
    """A small record, or None where there is none.

    Raises:
        CorruptObject: it is not what its name says.
        StoreError: as `Store.read`.
    """
    try:
        return decode(store.read(name).data, kind, name)
    except ObjectNotFound:
        return None


def create_record(store: Store, name: str, record: msgspec.Struct) -> bool:
    """Write a small record that nobody has written; whether it was this call that wrote it.

    Raises:
        StoreError: as `Store.swap`.
    """
    try:
        store.swap(name, encode(record), None)
    except ObjectChanged:
        return False
    return True


def encode(record: msgspec.Struct) -> bytes:
    """A record as JSON that people can read too."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decode[T](data: bytes, kind: type[T], name: str) -> T:
    """A record from its JSON.

    Raises:
        CorruptObject: it is not what its name says.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        # The decoder's message names the member at fault and quotes nothing.
        raise CorruptObject(
            f"{name} is not what it should be: {error}. Another program wrote or changed it."
        ) from error
