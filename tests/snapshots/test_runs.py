"""What the store says of runs: which go on, which ended, and what changed since them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.errors import CorruptObject, NotFound, ResyncRequired, RunFailed, RunInProgress, StoreError
from entra_users.runs import (
    QUIET,
    active_run,
    began,
    changes_files,
    dead_run,
    exported_numbers,
    fail_run,
    find_record,
    forget_run,
    latest_run,
    names_by_run,
    next_run,
    receipts_of,
    run_status,
)
from entra_users.snapshot import LATEST, End, Manifest, Start, create_record, encode, new_run, read_record
from entra_users.store import Store
from tests.snapshots.stored import NOW, SELECT, a_manifest, a_plan, a_receipt, a_record, changes_of, run_at

OLDER, OLD, NEW = run_at(3), run_at(2), run_at(1)
RECENT = run_at(0.1)


def start(store: Store, run: str) -> None:
    assert create_record(store, f"runs/{run}/start.json", Start(run=run, at=began(run)))


def plan(store: Store, run: str, **facts: object) -> None:
    assert create_record(store, f"runs/{run}/plan.json", a_plan(run, **facts))


def export(store: Store, run: str, number: int, **facts: object) -> None:
    assert create_record(store, f"runs/{run}/done-{number:05d}.json", a_receipt(run, number, **facts))


def end(store: Store, run: str) -> None:
    assert create_record(store, f"runs/{run}/end.json", End(run=run, at=NOW, error="RunFailed", message="It failed."))


def publish(store: Store, *runs: str) -> Manifest:
    manifest = a_manifest(*(a_record(run, changes=changes_of(run)) for run in runs))
    store.swap(LATEST, encode(manifest), None)
    return manifest


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- as Hypothesis wants it


@given(now=MOMENTS, last=st.none() | MOMENTS)
def test_a_new_run_is_later_than_all_that_ended_even_where_another_clock_is_ahead(
    now: datetime, last: datetime | None
) -> None:
    manifest = None if last is None else a_manifest(a_record(new_run(last, "ffffffff")))
    run = next_run(manifest, now, "00000000")
    assert manifest is None or run > manifest.last_run
    assert began(run) >= now.replace(microsecond=now.microsecond // 1000 * 1000)
    if last is None or last < now - timedelta(milliseconds=1):
        assert run == new_run(now, "00000000")


@given(one=MOMENTS, other=MOMENTS)
def test_ids_sort_by_time_and_tell_it(one: datetime, other: datetime) -> None:
    first, second = new_run(min(one, other), "b"), new_run(max(one, other), "a")
    assert (first < second) or began(first) == began(second)
    assert timedelta(0) <= one - began(new_run(one, "a")) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "run",
    [
        "",
        "x",
        "latest",
        "20261123",
        "20261323T020000000Z-1a2b3c4d",
        "20261123T020000Z-1a2b3c4d",
        "20261123T2000Z-1a2b3c4d",
        "2026112T0200000000Z-1a2b3c4d",
        "20261123T020000000Z-",
        "20261123T020000000Z-../x",
        "20261123T020000000Z-x/y",
        "../x",
    ],
)
def test_what_is_no_id_is_not_found(store: Store, run: str) -> None:
    no_id = "is not the id of a run, such as 20261123T020000000Z-1a2b3c4d"
    with pytest.raises(NotFound, match=no_id):
        began(run)
    with pytest.raises(NotFound, match=no_id):
        run_status(store, run)
    with pytest.raises(NotFound, match=no_id):
        changes_files(a_manifest(a_record(OLD)), run)


def test_a_run_that_was_asked_for_is_active_until_it_is_quiet(store: Store) -> None:
    start(store, NEW)
    assert active_run(store, None, began(NEW)) == NEW
    assert active_run(store, None, began(NEW) + QUIET - timedelta(seconds=1)) == NEW
    assert active_run(store, None, began(NEW) + QUIET) is None


def test_each_partition_that_is_exported_keeps_a_run_active(store: Store) -> None:
    start(store, NEW)
    plan(store, NEW)
    export(store, NEW, 1, at=NOW)
    export(store, NEW, 0, at=NOW - timedelta(minutes=20))
    assert active_run(store, None, NOW + QUIET - timedelta(seconds=1)) == NEW
    assert active_run(store, None, NOW + QUIET) is None


def test_the_latest_of_several_active_runs_is_named(store: Store) -> None:
    start(store, run_at(0.2))
    start(store, RECENT)
    assert active_run(store, None, NOW) == RECENT


def test_runs_that_ended_cannot_publish_or_were_not_asked_for_are_not_active(store: Store) -> None:
    assert active_run(store, None, NOW) is None
    start(store, run_at(0.2))
    plan(store, RECENT)
    manifest = a_manifest(a_record(run_at(0.15)))
    assert active_run(store, manifest, NOW) is None
    end(store, run_at(0.2))
    assert active_run(store, None, NOW) is None


def test_a_planned_run_goes_on_for_a_day(store: Store) -> None:
    plan(store, NEW, at=NOW)
    assert dead_run(store, None, SELECT, NOW + timedelta(days=1) - timedelta(seconds=1)) == NEW
    assert dead_run(store, None, SELECT, NOW + timedelta(days=1)) is None


def test_a_plan_for_another_snapshot_or_other_properties_does_not_go_on(store: Store) -> None:
    manifest = a_manifest(a_record(OLD))
    plan(store, NEW)
    assert dead_run(store, manifest, SELECT, NOW) is None
    assert dead_run(store, None, ["id"], NOW) is None
    assert dead_run(store, None, SELECT, NOW) == NEW
    plan(store, RECENT, base=OLD)
    assert dead_run(store, manifest, SELECT, NOW) == RECENT
    assert dead_run(store, None, SELECT, NOW) == NEW


def test_a_run_that_ended_or_has_no_plan_does_not_go_on(store: Store) -> None:
    assert dead_run(store, None, SELECT, NOW) is None
    start(store, RECENT)
    plan(store, NEW)
    end(store, NEW)
    assert dead_run(store, None, SELECT, NOW) is None
    plan(store, OLDER)
    assert dead_run(store, a_manifest(a_record(OLD)), SELECT, NOW) is None


def test_why_a_run_failed_is_written_down_once(store: Store) -> None:
    start(store, NEW)
    plan(store, NEW)
    export(store, NEW, 0)
    fail_run(store, NEW, RunFailed("Partition 1 failed."), NOW)
    fail_run(store, NEW, StoreError("Another."), NOW + timedelta(hours=1))
    written = End(run=NEW, at=NOW, error="RunFailed", message="Partition 1 failed.")
    assert read_record(store, f"runs/{NEW}/end.json", End) == written


def test_status_of_a_run_that_was_overtaken(store: Store) -> None:
    start(store, NEW)
    fail_run(store, NEW, RunInProgress("Another run published first.", run=OLD), NOW)
    assert run_status(store, NEW) == {
        "run": NEW,
        "state": "superseded",
        "started_at": "2026-11-23T01:00:00Z",
        "ended_at": "2026-11-23T02:00:00Z",
        "error": {"code": "RunInProgress", "message": "Another run published first."},
    }


def test_status_of_a_run_from_its_start_to_its_end(store: Store) -> None:
    with pytest.raises(NotFound, match=f"Run {NEW} is not known, or not any more"):
        run_status(store, NEW)
    start(store, NEW)
    queued = {"run": NEW, "state": "queued", "started_at": "2026-11-23T01:00:00Z"}
    assert run_status(store, NEW) == queued
    plan(store, NEW)
    export(store, NEW, 0)
    export(store, NEW, 2, worker="another")
    running = {
        **queued,
        "state": "running",
        "mode": "full",
        "reason": "There was no snapshot.",
        "partitions": {"done": 2, "total": 3},
        "users": 20,
        "expected": 30,
        # Seconds throttled are averaged over the two workers.
        "usage": {"requests": 7, "retries": 0, "throttled_seconds": 1.5, "resource_units": 11},
    }
    assert run_status(store, NEW) == running
    end(store, NEW)
    failed = {"ended_at": "2026-11-23T02:00:00Z", "error": {"code": "RunFailed", "message": "It failed."}}
    assert run_status(store, NEW) == {**running, "state": "failed", **failed}


@pytest.mark.parametrize(("mode", "state"), [("full", "published"), ("incremental", "published"), ("unchanged",) * 2])
def test_status_of_a_run_that_ended_well_is_its_record(store: Store, mode: str, state: str) -> None:
    store.swap(LATEST, encode(a_manifest(a_record(OLD), a_record(NEW, mode, added=2))), None)
    start(store, NEW)
    assert run_status(store, NEW) == {
        "run": NEW,
        "state": state,
        "mode": mode,
        "reason": "",
        "started_at": "2026-11-23T01:00:00Z",
        "ended_at": "2026-11-23T02:00:00Z",
        "users": 3,
        "added": 2,
        "updated": 0,
        "removed": 0,
        "partitions": 0,
        "usage": {"requests": 0, "retries": 0, "throttled_seconds": 0.0, "resource_units": 0},
        "changes": None,
    }


def test_the_latest_run_is_the_one_that_began_last_ended_or_not(store: Store) -> None:
    with pytest.raises(NotFound, match="There was no run yet: start one"):
        latest_run(store)
    end(store, OLDER)
    assert latest_run(store) == OLDER
    publish(store, OLD)
    assert latest_run(store) == OLD
    plan(store, NEW)
    # Of this nobody could tell the status.
    store.swap(f"runs/{RECENT}/delta.gz", b"", None)
    assert latest_run(store) == NEW


def test_receipts_are_found_by_number(store: Store) -> None:
    assert (receipts_of(store, NEW), exported_numbers(store, NEW)) == ({}, set())
    export(store, NEW, 2)
    export(store, NEW, 0)
    export(store, OLD, 1)
    assert receipts_of(store, NEW) == {0: a_receipt(NEW, 0), 2: a_receipt(NEW, 2)}
    assert exported_numbers(store, NEW) == {0, 2}


def test_a_receipt_that_is_none_is_an_error(store: Store) -> None:
    store.swap(f"runs/{NEW}/done-00000.json", b'{"number": 0}', None)
    with pytest.raises(CorruptObject, match=r"done-00000\.json is not what it should be"):
        receipts_of(store, NEW)


def test_a_run_that_is_forgotten_leaves_other_runs_and_its_snapshot(store: Store) -> None:
    start(store, NEW)
    plan(store, NEW)
    export(store, NEW, 0)
    start(store, OLD)
    store.swap(f"snapshots/{NEW}/manifest.json", b"{}", None)
    forget_run(store, NEW)
    assert store.names() == [f"runs/{OLD}/start.json", f"snapshots/{NEW}/manifest.json"]
    forget_run(store, NEW)


def test_names_belong_to_runs_in_their_order(store: Store) -> None:
    start(store, NEW)
    plan(store, NEW)
    start(store, OLD)
    for stray in ("runs/readme.txt", f"runs/{NEW}x", "runs/other/start.json"):
        store.swap(stray, b"", None)
    assert names_by_run(store, "runs/") == {
        OLD: {f"runs/{OLD}/start.json"},
        NEW: {f"runs/{NEW}/plan.json", f"runs/{NEW}/start.json"},
    }
    assert list(names_by_run(store, "runs/")) == [OLD, NEW]


def test_a_record_is_found_by_its_run() -> None:
    manifest = a_manifest(a_record(OLDER), a_record(NEW))
    assert find_record(manifest, NEW) == a_record(NEW)
    assert find_record(manifest, OLD) is None
    assert find_record(None, NEW) is None


def test_changes_since_a_run_are_those_of_all_later_runs_that_changed_anything() -> None:
    history = [
        a_record(OLDER, changes=changes_of(OLDER)),
        a_record(OLD, "unchanged"),
        a_record(NEW, changes=changes_of(NEW)),
    ]
    manifest = a_manifest(*history, changes_since=OLDER)
    assert changes_files(manifest, OLDER) == [changes_of(NEW)]
    assert changes_files(manifest, OLD) == [changes_of(NEW)]
    assert changes_files(manifest, NEW) == []
    assert changes_files(manifest, RECENT) == []


def test_changes_that_are_not_kept_any_more_ask_for_the_snapshot() -> None:
    with pytest.raises(ResyncRequired, match=f"Changes are kept since run {OLD}: read the snapshot instead") as caught:
        changes_files(a_manifest(a_record(OLD)), OLDER)
    assert caught.value.status == 410
