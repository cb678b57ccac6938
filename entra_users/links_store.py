"""The links to what is stored: the store keeps its promises, and the snapshot in it is as new as the schedule says."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from entra_users.errors import NotFound, ObjectChanged, StoreError
from entra_users.links import Finding
from entra_users.runs import active_run, latest_run, run_status
from entra_users.schedule import read_schedule
from entra_users.settings import Settings
from entra_users.snapshot import new_run, read_manifest
from entra_users.store import Store

GRACE = timedelta(hours=1)
"""How long a run may take before the snapshot counts as overdue."""

# Before any run: what a check that died left behind is then tidied away by the next run, as a lost run's is.
_BEFORE_ALL = datetime.fromtimestamp(0, UTC)


def try_store(store: Store) -> Finding[Store]:
    """An object can be written, read and removed, and is not written while its condition does not hold.

    Raises:
        StoreError: it cannot, or it is.
    """
    name = f"runs/{new_run(_BEFORE_ALL, secrets.token_hex(4))}/check.json"
    try:
        first = store.swap(name, b"{}", None)
        _expect_refusal(lambda: store.swap(name, b"[1]", None))
        store.swap(name, b"[2]", first)
        _expect_refusal(lambda: store.swap(name, b"[3]", first))
        if store.read(name).data != b"[2]":
            raise StoreError("The store did not give back what was written last.")
    finally:
        store.delete(name)
    return Finding(value=store, found="written, read back and removed; conditional writes are honoured")


def _expect_refusal(write: Callable[[], object]) -> None:
    try:
        write()
    except ObjectChanged:
        return
    raise StoreError("The store wrote an object although its condition did not hold.", code="conditionsIgnored")


def read_snapshot(settings: Settings, store: Store, now: datetime) -> Finding[None]:
    """What is published is no older than the schedule says, and the last run did not fail.

    Raises:
        CorruptObject: what is published cannot be read.
        StoreError: as the store's methods.
    """
    manifest, _ = read_manifest(store)
    found, concern = "nothing is stored yet", "noSnapshot"
    if manifest is not None:
        age = now - manifest.checked_at
        due = read_schedule(settings.sync_schedule).due_after(manifest.checked_at)
        old = f"{age / timedelta(hours=1):.1f} hours" if age < timedelta(days=3) else f"{age.days:,} days"
        found, concern = f"{manifest.users:,} users, as of {old} ago (run {manifest.run})", ""
        if now - due > GRACE:
            found, concern = f"{found}; a run was due on {due:%Y-%m-%d at %H:%M} UTC", "snapshotOverdue"
    if (active := active_run(store, manifest, now)) is not None:
        return Finding(value=None, found=f"{found}; run {active} is active")
    if (error := _last_failure(store)) is not None:
        found, concern = f"{found}; the last run failed: {error['message']}", error["code"]
    return Finding(value=None, found=found, concern=concern)


def _last_failure(store: Store) -> dict[str, str] | None:
    """The error that ended the run that began last, by class and message; None where it did not fail."""
    try:
        last = run_status(store, latest_run(store))
    except NotFound:
        return None
    return last["error"] if last["state"] == "failed" else None
