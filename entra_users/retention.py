"""What is kept of snapshots, changes and runs, and for how long."""

from datetime import datetime, timedelta

import msgspec

from entra_users.runs import began, forget_run, names_by_run
from entra_users.snapshot import Manifest, decode
from entra_users.store import Store

# What a run left behind that never ended is removed after so long.
_LOST = timedelta(days=7)
_UNCHANGED_KEPT = 50


def keep_history(manifest: Manifest, since: datetime) -> Manifest:
    """The manifest with the records of runs that ended after `since`; of those that changed nothing, the last 50."""
    unchanged = [record.run for record in manifest.history if record.mode == "unchanged"]
    dull = set(unchanged[:-_UNCHANGED_KEPT])
    old = {record.run for record in manifest.history if record.ended_at < since and record.run != manifest.run}
    history = [record for record in manifest.history if record.run not in dull | old]
    # A run without changes takes none with it: whoever has read the snapshot before it misses nothing.
    lost = [record.run for record in manifest.history if record.run in old and record.changes is not None]
    return msgspec.structs.replace(manifest, history=history, changes_since=max([manifest.changes_since, *lost]))


def prune(store: Store, manifest: Manifest, *, keep: int, now: datetime) -> None:
    """Remove what no kept snapshot and no kept change needs; never anything of a run that may still be writing.

    Args:
        store: to remove from.
        manifest: the published one.
        keep: how many snapshots stay, the published one among them.
        now: the time, aware UTC.

    Raises:
        StoreError: as the store's methods; CorruptObject where it cannot be told what a kept snapshot needs.
    """
    runs = names_by_run(store, "runs/")
    for run in [run for run in runs if now - began(run) > _LOST]:
        forget_run(store, run)
        del runs[run]
    published = {record.run for record in manifest.history}
    unended = {run for run, names in runs.items() if run not in published and f"runs/{run}/end.json" not in names}
    snapshots = names_by_run(store, "snapshots/")
    older = [run for run in snapshots if run < manifest.run and f"snapshots/{run}/manifest.json" in snapshots[run]]
    needed = {file.name for record in manifest.history if (file := record.changes) is not None}
    for each in [manifest, *(_published(store, run) for run in (older[1 - keep :] if keep > 1 else []))]:
        needed |= {part.file.name for part in each.parts} | {f"snapshots/{each.run}/manifest.json"}
        needed |= {each.csv.name} if each.csv is not None else set()
    ended = [names for run, names in snapshots.items() if run <= manifest.last_run and run not in unended]
    old = sorted(set[str]().union(*ended) - needed)
    # Manifests first: whoever is killed here leaves none that names what is gone.
    for name in sorted(old, key=lambda name: not name.endswith("/manifest.json")):
        store.delete(name)


def _published(store: Store, run: str) -> Manifest:
    name = f"snapshots/{run}/manifest.json"
    return decode(store.read(name).data, Manifest, name)
