"""What the console's `sync`, `status` and `changes` commands do."""

import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, TextIO

from entra_users.connection import connect_store, connect_sync
from entra_users.errors import EntraUsersError, NotFound
from entra_users.graph import Graph
from entra_users.jobs import ends_run, start_run
from entra_users.parts import read_lines
from entra_users.runs import changes_files, fail_run, latest_run, run_status
from entra_users.settings import Settings
from entra_users.snapshot import Manifest, Plan, Record, read_manifest


def sync(settings: Settings, *, full: bool, force: bool, terminal: TextIO | None) -> str:
    """Do a run in this process, and sum it up for people. A run that was killed before it ended is gone on with.

    Args:
        settings: of the app.
        full: read everything anew.
        force: publish even if the directory shrank.
        terminal: to show progress on; None for none.

    Raises:
        EntraUsersError: the run ended without publishing; the published snapshot is untouched.
    """
    store, worker = connect_store(settings), connect_sync(settings)
    now, suffix = datetime.now(UTC), secrets.token_hex(4)
    start = start_run(store, settings.users_select, now=now, suffix=suffix, full=full, force=force, take_over=True)
    begun: Plan | Record | None = None
    try:
        begun = worker.begin(start)
        if isinstance(begun, Plan):
            progress = SyncProgress(terminal, worker.graph, begun.users) if terminal else None
            worker.export_all(begun, progress.count if progress else None)
            if progress:
                progress.end()
            begun = worker.publish(begun, force=force)
    except EntraUsersError as error:
        if ends_run(error) or begun is None:
            fail_run(store, start.run, error, datetime.now(UTC))
        raise
    manifest, _ = read_manifest(store)
    return _summary(begun, manifest, (datetime.now(UTC) - now).total_seconds(), settings.users_store)


def status(settings: Settings) -> dict[str, Any]:
    """The snapshot that is published, and the run that began last.

    Raises:
        StoreError: as the store's methods.
    """
    store = connect_store(settings)
    manifest, _ = read_manifest(store)
    snapshot = None
    if manifest is not None:
        age = (datetime.now(UTC) - manifest.checked_at).total_seconds()
        snapshot = {"run": manifest.run, "users": manifest.users, "published_at": manifest.published_at}
        snapshot |= {"checked_at": manifest.checked_at, "age_seconds": round(age), "parts": len(manifest.parts)}
    try:
        latest = run_status(store, latest_run(store))
    except NotFound:
        latest = None
    return {"store": settings.users_store, "snapshot": snapshot, "latest_run": latest}


def write_changes(settings: Settings, since: str, output: IO[bytes]) -> None:
    """Write all changes after a run, one a line, in the order in which they are to be applied.

    Raises:
        NotFound: there is no snapshot, or `since` is not a run's id.
        ResyncRequired: changes since then are not kept any more.
        StoreError: as the store's methods.
    """
    store = connect_store(settings)
    manifest, _ = read_manifest(store)
    if manifest is None:
        raise NotFound("There is no snapshot yet: python -m entra_users sync makes one.")
    for file in changes_files(manifest, since):
        for lines in read_lines(store, file):
            output.write(b"\n".join([*lines, b""]))


class SyncProgress:
    """A line on a terminal: users so far of those expected, users a second, requests, throttled seconds."""

    def __init__(
        self, terminal: TextIO, graph: Graph, expected: int | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = terminal
        self._graph = graph
        self._expected = expected
        self._clock = clock
        self._began = clock()
        self._users = 0
        self._lock = threading.Lock()

    def count(self, users: int) -> None:
        """So many users more are stored; called from several threads."""
        with self._lock:
            self._users += users
            rate = self._users / max(self._clock() - self._began, 0.001)
            total, expected = self._graph.total, self._expected
            bar = "" if not expected else f"[{'#' * min(20, 20 * self._users // expected):<20}] "
            of = "" if expected is None else f" of {expected:,}"
            self._terminal.write(
                f"\r{bar}{self._users:,}{of} users, {rate:,.0f} a second, {total.requests:,} requests,"
                f" {total.throttled_seconds:,.0f} s throttled "
            )
            self._terminal.flush()

    def end(self) -> None:
        """The line is done."""
        self._terminal.write("\n")


def _summary(record: Record, manifest: Manifest | None, seconds: float, store: str) -> str:
    changed = f"{record.added:,} added, {record.updated:,} updated, {record.removed:,} removed"
    why = f" ({record.reason})" if record.reason else ""
    used = record.usage
    asked = f"{used.requests:,} requests, {used.resource_units:,} resource units, {used.retries:,} retries"
    lines = [
        f"run        {record.run}: {record.mode}{why}",
        f"users      {record.users:,}; {changed}",
        f"took       {seconds:,.1f} s, {asked}, {used.throttled_seconds:,.0f} s throttled",
    ]
    if manifest is not None:
        size = sum(part.file.bytes for part in manifest.parts)
        lines.append(
            f"snapshot   {manifest.run}: {manifest.users:,} users in {len(manifest.parts)} parts, {size:,} bytes"
        )
        lines += [f"note       {note}" for note in manifest.notes]
    return "\n".join([*lines, f"store      {store}"])
