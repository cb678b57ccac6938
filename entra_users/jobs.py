"""What the messages of the two queues do: one starts a run, and where the directory is large, one reads a partition.

The Functions platform scales the workers, delivers a message again when its worker dies, and moves one that failed five
times to a poison queue. Doing a message twice, or by two workers at once, changes nothing.
https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from entra_users import telemetry
from entra_users.errors import (
    CredentialError,
    EntraUsersError,
    Incomplete,
    IncompleteDirectory,
    RestartRequired,
    RunFailed,
    RunInProgress,
    StoreUnavailable,
    Unavailable,
)
from entra_users.runs import active_run, dead_run, exported_numbers, fail_run, next_run
from entra_users.snapshot import End, Plan, Record, Start, create_record, read_manifest, read_record
from entra_users.store import Store
from entra_users.sync import Sync

logger = logging.getLogger(__name__)

MAX_DELIVERIES = 5
"""`maxDequeueCount` of host.json: after so many failures a message is poison."""


class PartitionMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Export one partition of a run."""

    run: str
    number: int
    force: bool = False
    """Publish even if the directory shrank."""


def start_run(
    store: Store,
    select: Sequence[str],
    *,
    now: datetime,
    suffix: str,
    full: bool = False,
    force: bool = False,
    take_over: bool = False,
) -> Start:
    """Write down that a run is wanted: a new one, or one that died and can go on. Its message is the record as JSON.

    Args:
        store: to write to.
        select: the properties to read.
        now: the time, aware UTC.
        suffix: makes the new run's id unlike any other of the same millisecond.
        full: read everything anew.
        force: publish even if the directory shrank.
        take_over: go on with a run although it may still be active; whatever two do at once is the same.

    Raises:
        RunInProgress: another run is active; its `run` names it.
        StoreError: as the store's methods.
    """
    manifest, _ = read_manifest(store)
    if not take_over and (active := active_run(store, manifest, now)) is not None:
        raise RunInProgress(f"Run {active} is active; see GET /api/sync/{active}.", run=active)
    run = dead_run(store, manifest, select, now) or next_run(manifest, now, suffix)
    start = Start(run=run, at=now, full=full, force=force)
    create_record(store, f"runs/{run}/start.json", start)
    return start


def do_start(sync: Sync, store: Store, message: bytes, *, delivery: int, inline_users: int) -> list[bytes]:
    """Do a run, up to the export of its partitions where these are many; then the messages for them, else none.

    Args:
        sync: does the work.
        store: holds the run.
        message: what `start_run` gave, as JSON.
        delivery: how often this message was delivered, from 1.
        inline_users: in a directory of up to so many users this worker exports all partitions itself.

    Raises:
        EntraUsersError: what may pass; the platform delivers the message again.
    """
    start = msgspec.json.decode(message, type=Start)

    def work() -> list[bytes]:
        begun = sync.begin(start)
        if isinstance(begun, Record):
            return []
        exported = exported_numbers(store, begun.run)
        missing = [each.number for each in begun.partitions if each.number not in exported]
        if missing and (begun.users or 0) > inline_users:
            messages = (PartitionMessage(run=begun.run, number=number, force=start.force) for number in missing)
            return list(map(msgspec.json.encode, messages))
        sync.export_all(begun)
        sync.publish(begun, force=start.force)
        return []

    return _attempt(store, start.run, delivery, work) or []


def do_partition(sync: Sync, store: Store, message: bytes, *, delivery: int) -> None:
    """Export one partition; whoever exports the last one publishes.

    Args:
        sync: does the work.
        store: holds the run.
        message: a `PartitionMessage` as JSON.
        delivery: how often this message was delivered, from 1.

    Raises:
        EntraUsersError: what may pass; the platform delivers the message again.
    """
    wanted = msgspec.json.decode(message, type=PartitionMessage)

    def work() -> None:
        plan = read_record(store, f"runs/{wanted.run}/plan.json", Plan)
        if plan is None:
            # Delivered again after the run was published and tidied up.
            return
        sync.export(plan, wanted.number)
        if exported_numbers(store, wanted.run).issuperset(each.number for each in plan.partitions):
            sync.publish(plan, force=wanted.force)

    _attempt(store, wanted.run, delivery, work)


def do_poison(store: Store, message: bytes, *, now: datetime) -> None:
    """End the run of a message that was delivered five times in vain, unless its end was written down before."""
    run = msgspec.json.decode(message, type=_AnyMessage).run
    fail_run(store, run, RunFailed(f"A worker of run {run} died or failed {MAX_DELIVERIES} times in a row."), now)
    telemetry.flush()


class _AnyMessage(msgspec.Struct):
    run: str


def _attempt[T](store: Store, run: str, delivery: int, work: Callable[[], T]) -> T | None:
    """Do some work for a run that has not ended; an error that cannot pass ends the run, any other is raised."""
    if read_record(store, f"runs/{run}/end.json", End) is not None:
        return None
    try:
        return work()
    except EntraUsersError as error:
        if not ends_run(error) and delivery < MAX_DELIVERIES:
            logger.warning("Run %s: delivery %d failed and is repeated: %s", run, delivery, error)
            raise
        fail_run(store, run, error, datetime.now(UTC))
        logger.log(logging.INFO if isinstance(error, RunInProgress) else logging.ERROR, "Run %s ended: %s", run, error)
        return None
    finally:
        # The platform may stop this worker as soon as it has nothing to do.
        telemetry.flush()


def ends_run(error: EntraUsersError) -> bool:
    """Whether a run that failed so cannot go on: what may pass does not end it."""
    return not isinstance(error, _PASSING) or isinstance(error, IncompleteDirectory)


# An identity or a right on a vault may be late, or be put right while the message waits.
_PASSING = (Unavailable, RestartRequired, Incomplete, StoreUnavailable, CredentialError)
