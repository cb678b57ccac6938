"""Runs as the store knows them: asked for, active, ended; and what is kept of them, for how long."""

import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from entra_users.errors import EntraUsersError, NotFound, ResyncRequired, RunInProgress
from entra_users.outcomes import tell_failed, usage_of
from entra_users.snapshot import (
    End,
    File,
    Manifest,
    Plan,
    Receipt,
    Record,
    Start,
    create_record,
    new_run,
    read_manifest,
    read_record,
)
from entra_users.store import Store

logger = logging.getLogger(__name__)

_RUN = re.compile(r"\d{8}T\d{9}Z-[\w-]+", re.ASCII)
_OF_RUN = re.compile(rf"({_RUN.pattern})/", re.ASCII)

QUIET = timedelta(minutes=15)
"""A run that has stored nothing for so long is taken for dead, and another may go on with it."""


def next_run(manifest: Manifest | None, now: datetime, suffix: str) -> str:
    """The id of a new run: ids sort by time, and after all that have ended well even where another's clock is ahead."""
    least = [began(manifest.last_run) + timedelta(milliseconds=1)] if manifest else []
    return new_run(max([now, *least]), suffix)


def active_run(store: Store, manifest: Manifest | None, now: datetime) -> str | None:
    """The latest run that was asked for, can still publish, and stored something within the last 15 minutes."""
    for run, names in _open_runs(store, manifest):
        if f"runs/{run}/start.json" in names:
            latest = max([began(run), *(receipt.at for receipt in receipts_of(store, run).values())])
            if now - latest < QUIET:
                return run
    return None


def dead_run(store: Store, manifest: Manifest | None, select: Iterable[str], now: datetime) -> str | None:
    """A planned full run that did not end and can go on: planned for this snapshot and select, within a day."""
    for run, names in _open_runs(store, manifest):
        if f"runs/{run}/plan.json" in names:
            plan = read_record(store, f"runs/{run}/plan.json", Plan)
            if plan is not None and plan.base == (manifest and manifest.run) and plan.select == list(select):
                return run if now - plan.at < timedelta(days=1) else None
    return None


def fail_run(store: Store, run: str, error: EntraUsersError, now: datetime) -> None:
    """Write down why a run failed for good, unless it has ended before; telemetry is told, once."""
    end = End(run=run, at=now, error=type(error).__name__, message=str(error))
    # First of all, since what is read below may be what is damaged. A run that another has overtaken has not failed.
    if create_record(store, f"runs/{run}/end.json", end) and not isinstance(error, RunInProgress):
        manifest, _ = read_manifest(store)
        plan = read_record(store, f"runs/{run}/plan.json", Plan)
        receipts = receipts_of(store, run).values()
        tell_failed(run, error, asked_at=began(run), plan=plan, receipts=receipts, manifest=manifest, now=now)


def forget_run(store: Store, run: str) -> None:
    """Remove what only the run itself needed."""
    for name in store.names(f"runs/{run}/"):
        store.delete(name)


def receipts_of(store: Store, run: str) -> dict[int, Receipt]:
    """The receipts of a run's exported partitions, by number."""
    names = store.names(f"runs/{run}/done-")
    receipts = [receipt for name in names if (receipt := read_record(store, name, Receipt)) is not None]
    return {receipt.number: receipt for receipt in receipts}


def exported_numbers(store: Store, run: str) -> set[int]:
    """The numbers of a run's exported partitions, without reading their receipts."""
    prefix = f"runs/{run}/done-"
    return {int(name.removeprefix(prefix).removesuffix(".json")) for name in store.names(prefix)}


def find_record(manifest: Manifest | None, run: str) -> Record | None:
    """What a run that ended well has done."""
    return next((record for record in manifest.history if record.run == run), None) if manifest else None


def began(run: str) -> datetime:
    """When a run began, from its id.

    Raises:
        NotFound: it is not a run's id.
    """
    try:
        # Digits that are missing are no error to strptime, and ids of another form would not sort by time.
        moment = run.partition("-")[0] if _RUN.fullmatch(run) else ""
        return datetime.strptime(moment, "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise NotFound(f"{run!r} is not the id of a run, such as 20261123T020000000Z-1a2b3c4d.") from error


def run_status(store: Store, run: str) -> dict[str, Any]:
    """How a run stands and how far it is: `queued`, `running`, `published`, `unchanged`, `superseded` or `failed`.

    Raises:
        NotFound: no such run is known, or any more.
        StoreError: as the store's methods.
    """
    began(run)
    manifest, _ = read_manifest(store)
    if (record := find_record(manifest, run)) is not None:
        state = "unchanged" if record.mode == "unchanged" else "published"
        return {"run": run, "state": state, **msgspec.to_builtins(record)}
    start = read_record(store, f"runs/{run}/start.json", Start)
    plan = read_record(store, f"runs/{run}/plan.json", Plan)
    end = read_record(store, f"runs/{run}/end.json", End)
    if start is None and plan is None and end is None:
        raise NotFound(f"Run {run} is not known, or not any more.")
    status: dict[str, Any] = {"run": run, "state": "running" if plan else "queued", "started_at": began(run)}
    if plan is not None:
        receipts = receipts_of(store, run).values()
        status |= {
            "mode": "full",
            "reason": plan.reason,
            "partitions": {"done": len(receipts), "total": len(plan.partitions)},
            "users": sum(receipt.part.file.lines for receipt in receipts),
            "expected": plan.users,
            "usage": usage_of(plan, receipts),
        }
    if end is not None:
        superseded = end.error == RunInProgress.__name__
        status |= {"state": "superseded" if superseded else "failed", "ended_at": end.at}
        status |= {"error": {"code": end.error, "message": end.message}}
    return msgspec.to_builtins(status)


def latest_run(store: Store) -> str:
    """The run that began last.

    Raises:
        NotFound: there was none yet.
    """
    manifest, _ = read_manifest(store)
    known = ("start.json", "plan.json", "end.json")  # as to `run_status`
    begun = names_by_run(store, "runs/").items()
    runs = [run for run, names in begun if any(f"runs/{run}/{name}" in names for name in known)]
    runs += [manifest.last_run] if manifest else []
    if not runs:
        raise NotFound("There was no run yet: start one with POST /api/sync, or python -m entra_users sync.")
    return max(runs)


def changes_files(manifest: Manifest, since: str) -> list[File]:
    """The files that hold all changes after a run, in the order in which they are to be applied.

    Raises:
        NotFound: `since` is not a run's id.
        ResyncRequired: changes since then are not kept any more.
    """
    began(since)
    if since < manifest.changes_since:
        raise ResyncRequired(
            f"Changes are kept since run {manifest.changes_since}: read the snapshot instead, and then its changes.",
            status=410,
        )
    return [record.changes for record in manifest.history if record.changes is not None and record.run > since]


def names_by_run(store: Store, prefix: str) -> dict[str, set[str]]:
    """Names by the run they belong to, in the order of the runs; what belongs to none is passed over."""
    found: dict[str, set[str]] = {}
    for name in store.names(prefix):
        if (match := _OF_RUN.match(name, len(prefix))) is not None:
            found.setdefault(match[1], set()).add(name)
    return dict(sorted(found.items()))


def _open_runs(store: Store, manifest: Manifest | None) -> list[tuple[str, set[str]]]:
    """Runs that can still publish, and the names of what they stored, latest first: later than the last, not ended."""
    last = manifest.last_run if manifest else ""
    runs = reversed(names_by_run(store, "runs/").items())
    return [(run, names) for run, names in runs if run > last and f"runs/{run}/end.json" not in names]
