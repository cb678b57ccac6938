"""How a run has ended, in numbers: what its record holds and what telemetry tells."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from entra_users import telemetry
from entra_users.errors import EntraUsersError, ShrinkRefused
from entra_users.graph import Usage
from entra_users.snapshot import Manifest, Plan, Receipt, Record


def usage_of(plan: Plan, receipts: Collection[Receipt]) -> Usage:
    """What a full run has asked of Graph; seconds throttled are averaged over the workers that waited side by side."""
    usage = sum((each.usage for each in receipts), Usage())
    workers = len({each.worker for each in receipts}) or 1
    return plan.usage + msgspec.structs.replace(usage, throttled_seconds=usage.throttled_seconds / workers)


def tell_completed(record: Record, now: datetime) -> None:
    """A run has published, or found that nothing had changed."""
    duration = _seconds(record.started_at, now)
    told: telemetry.Attributes = {
        "mode": record.mode,
        "users": record.users,
        "added": record.added,
        "updated": record.updated,
        "removed": record.removed,
        "duration_seconds": duration,
        # The snapshot holds every change up to the moment when its run began to read.
        "snapshot_age_seconds": duration,
        **_used(record.usage),
    }
    with telemetry.span("run", record.run, began=record.started_at):
        telemetry.event("sync.completed", **told)
    telemetry.record("directory.users", record.users)
    telemetry.count("directory.added", record.added)
    telemetry.count("directory.updated", record.updated)
    telemetry.count("directory.removed", record.removed)
    telemetry.record("sync.duration_seconds", duration, outcome="sync.completed")
    telemetry.record("snapshot.age_seconds", duration)


def tell_failed(
    run: str,
    error: EntraUsersError,
    *,
    asked_at: datetime,
    plan: Plan | None,
    receipts: Collection[Receipt],
    manifest: Manifest | None,
    now: datetime,
) -> None:
    """A run has ended without publishing.

    Args:
        run: its id.
        error: why.
        asked_at: when it was asked for.
        plan: of a full run that came so far.
        receipts: of the partitions that it exported.
        manifest: the snapshot that still stands.
        now: the time, aware UTC.
    """
    name = "sync.refused" if isinstance(error, ShrinkRefused) else "sync.failed"
    began = plan.at if plan else asked_at
    duration = _seconds(began, now)
    told: telemetry.Attributes = {"duration_seconds": duration}
    if plan is not None:
        told |= {"mode": "full", "users": sum(each.part.file.lines for each in receipts)}
        told |= _used(usage_of(plan, receipts))
    if isinstance(error, ShrinkRefused):
        told |= {"users": error.users, "removed": error.removed}
    if manifest is not None:
        age = _seconds(manifest.history[-1].started_at, now)
        told |= {"snapshot_age_seconds": age}
        telemetry.record("snapshot.age_seconds", age)
    with telemetry.span("run", run, began=began):
        telemetry.event(name, error=error, **told)
    telemetry.record("sync.duration_seconds", duration, outcome=name)


def _used(usage: Usage) -> telemetry.Attributes:
    return {
        "graph_requests": usage.requests,
        "resource_units": usage.resource_units,
        "throttled_seconds": round(usage.throttled_seconds, 3),
        "retries": usage.retries,
    }


def _seconds(since: datetime, now: datetime) -> float:
    return round((now - since).total_seconds(), 3)
