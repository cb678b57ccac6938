"""Making a snapshot the published one: a single conditional write, and what is done before and after it."""

import logging
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import chain

import msgspec

from entra_users.errors import CorruptObject, ObjectChanged, ObjectNotFound, RunInProgress, StoreError
from entra_users.formats import csv_lines, csv_rows
from entra_users.merge import Outcome, compare
from entra_users.outcomes import tell_completed
from entra_users.parts import read_lines, write_file
from entra_users.retention import keep_history, prune
from entra_users.runs import find_record, forget_run
from entra_users.snapshot import LATEST, File, Manifest, Part, create_record, encode, read_manifest
from entra_users.store import Store

logger = logging.getLogger(__name__)


def write_changes(store: Store, run: str, before: Manifest, parts: Sequence[Part]) -> tuple[Outcome, File | None]:
    """What leads from the snapshot before a full run to its parts; no file where the one before is damaged.

    Raises:
        CorruptObject: one of the new parts is not what its receipt says.
        StoreError: as the store's methods.
    """
    outcome = Outcome()
    try:
        lines = compare(store, before.parts, parts, outcome)
        return outcome, write_file(store, f"snapshots/{run}/changes.ndjson.gz", lines)
    except (CorruptObject, ObjectNotFound) as error:
        # A full run is what heals a damaged snapshot, unless it is damaged itself.
        for part in parts:
            deque(read_lines(store, part.file), maxlen=0)
        logger.warning("Nobody can tell what changed from run %s to run %s: %s", before.run, run, error)
        return Outcome(parts=list(parts)), None


def write_csv(store: Store, run: str, select: Sequence[str], parts: Sequence[Part]) -> File:
    """All users as CSV.

    Raises:
        StoreError: as the store's methods; CorruptObject where a part is not what its manifest or receipt says.
    """
    rows = (csv_rows(map(msgspec.Raw, lines), select) for part in parts for lines in read_lines(store, part.file))
    return write_file(store, f"snapshots/{run}/users.csv.gz", chain([csv_lines([select])], rows))


def publish_manifest(
    store: Store,
    manifest: Manifest,
    before: Manifest | None,
    etag: str | None,
    *,
    keep: int,
    changes_days: int,
    now: datetime,
) -> None:
    """Swap the manifest, if it is still the one that the last run in its history began from; then tidy up.

    Args:
        store: to publish in.
        manifest: the new one.
        before: the one that it replaces.
        etag: of the one that it replaces.
        keep: how many snapshots stay.
        changes_days: for how many days changes stay.
        now: the time, aware UTC.

    Raises:
        RunInProgress: another run has published first.
        StoreError: as the store's methods.
    """
    record, run = manifest.history[-1], manifest.last_run
    manifest = keep_history(manifest, now - timedelta(days=changes_days))
    changed = before is None or before.run != manifest.run
    if changed and before is not None:
        # Whoever published it may have been killed before this was done.
        _archive(store, before)
    try:
        store.swap(LATEST, encode(manifest), etag)
    except ObjectChanged as error:
        current, _ = read_manifest(store)
        if find_record(current, run) is None:
            raise RunInProgress("Another run published first; its snapshot stands.") from error
        # The same run, done by another at the same time, who also tidies up.
        return
    tell_completed(record, now)
    try:
        if changed:
            _archive(store, manifest)
        forget_run(store, run)
        prune(store, manifest, keep=keep, now=now)
    except StoreError as error:
        logger.warning("Run %s has published; what is old stays until the next run: %s", run, error)


@contextmanager
def while_published(store: Store, etag: str | None) -> Generator[None]:
    """Work on the files of a manifest, which another run may remove once it has published.

    Raises:
        RunInProgress: that is what has happened.
    """
    try:
        yield
    except ObjectNotFound as error:
        if read_manifest(store)[1] == etag:
            raise
        raise RunInProgress("Another run published first; its snapshot stands.") from error


def _archive(store: Store, manifest: Manifest) -> None:
    create_record(store, f"snapshots/{manifest.run}/manifest.json", manifest)
