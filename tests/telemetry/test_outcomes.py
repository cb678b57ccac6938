"""How runs that did not publish are told, and what runs are said to have asked of Graph."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entra_users.errors import EntraUsersError, RunFailed, RunInProgress, Throttled
from entra_users.folder_store import FolderStore
from entra_users.graph import Usage
from entra_users.outcomes import usage_of
from entra_users.partitions import Partition
from entra_users.runs import fail_run
from entra_users.snapshot import LATEST, File, Manifest, Part, Plan, Receipt, Record, create_record, encode

RUN = "20261123T020000000Z-1a2b3c4d"
NOW = datetime(2026, 11, 23, 2, 10, tzinfo=UTC)
PARTITIONS = [Partition(number=number) for number in range(3)]


def plan() -> Plan:
    return Plan(
        run=RUN,
        at=NOW - timedelta(minutes=5),
        reason="there is no snapshot yet",
        base=None,
        select=["id"],
        partitions=PARTITIONS,
        users=100,
        delta_link=None,
        notes=[],
        usage=Usage(requests=2, retries=0, throttled_seconds=1.0, resource_units=2),
    )


def receipt(number: int, worker: str, throttled: float) -> Receipt:
    return Receipt(
        number=number,
        part=Part(partition=PARTITIONS[number], file=File(name=f"part-{number}", lines=20, bytes=1, sha256="")),
        usage=Usage(requests=10, retries=1, throttled_seconds=throttled, resource_units=11),
        seconds=60.0,
        at=NOW,
        worker=worker,
    )


def told(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "entra_users.telemetry"]


@pytest.fixture
def store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> FolderStore:
    """An empty store, and a log from the level on that the Functions worker has."""
    caplog.set_level(logging.INFO)
    return FolderStore(tmp_path)


@pytest.mark.parametrize(
    ("receipts", "expected"),
    [
        ([], 1.0),
        ([receipt(0, "a", 4.0), receipt(1, "a", 2.0)], 7.0),
        # In each worker all lanes wait together: the two waited side by side.
        ([receipt(0, "a", 4.0), receipt(1, "a", 2.0), receipt(2, "b", 3.0)], 5.5),
    ],
)
def test_seconds_throttled_are_averaged_over_the_workers_and_all_else_is_summed(
    receipts: Sequence[Receipt], expected: float
) -> None:
    count = len(receipts)
    assert usage_of(plan(), receipts) == Usage(
        requests=2 + 10 * count, retries=count, throttled_seconds=expected, resource_units=2 + 11 * count
    )


def test_a_full_run_that_fails_midway_is_told_with_what_it_has_read(
    store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    create_record(store, f"runs/{RUN}/plan.json", plan())
    for done in (receipt(0, "a", 2.0), receipt(1, "b", 4.0)):
        create_record(store, f"runs/{RUN}/done-{done.number:05d}.json", done)
    fail_run(store, RUN, Throttled("Graph throttles this app.", status=429, code="TooManyRequests"), NOW)
    (line,) = told(caplog)
    assert line == (
        f"sync.failed run={RUN} duration_seconds=300.0 mode=full users=40 graph_requests=22 resource_units=24"
        " throttled_seconds=4.0 retries=2 error=Throttled (status 429, code TooManyRequests)"
    )


def test_a_run_that_fails_before_its_plan_is_told_with_the_age_of_the_snapshot_that_stands(
    store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    began = NOW - timedelta(days=1)
    record = Record(
        run="20261122T020000000Z-0a0b0c0d",
        mode="full",
        reason="",
        started_at=began,
        ended_at=NOW,
        users=0,
        usage=Usage(),
    )
    manifest = Manifest(
        run=record.run,
        published_at=NOW,
        checked_at=NOW,
        full_at=began,
        select=["id"],
        users=0,
        counted=0,
        parts=[],
        changes_since=record.run,
        history=[record],
    )
    store.swap(LATEST, encode(manifest), None)
    fail_run(store, RUN, RunFailed("A worker died."), NOW)
    assert told(caplog) == [
        f"sync.failed run={RUN} duration_seconds=600.0 snapshot_age_seconds=86400.0 error=RunFailed"
    ]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([RunFailed("A worker died."), Throttled("Graph throttles this app.")], ["RunFailed"]),
        # Its users are in the snapshot of the other.
        ([RunInProgress("Another run published first.")], []),
    ],
)
def test_a_run_fails_once_and_not_for_another_that_was_first(
    store: FolderStore, caplog: pytest.LogCaptureFixture, errors: Sequence[EntraUsersError], expected: list[str]
) -> None:
    for error in errors:
        fail_run(store, RUN, error, NOW)
    assert [line.rpartition("error=")[2] for line in told(caplog)] == expected
