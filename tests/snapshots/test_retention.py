"""What is kept of snapshots, changes and runs, and what is removed."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.errors import CorruptObject
from entra_users.retention import keep_history, prune
from entra_users.runs import changes_files
from entra_users.snapshot import Manifest, Part, Record, encode
from entra_users.store import Store
from tests.snapshots.stored import NOW, a_file, a_manifest, a_record, changes_of, run_at

DAY = timedelta(days=1)


def record(days: float, mode: str = "incremental") -> Record:
    """A run that ended so many days ago."""
    run = run_at(24 * days)
    changes = None if mode == "unchanged" else changes_of(run)
    return a_record(run, mode, changes, ended_at=NOW - timedelta(days=days))


def test_records_of_runs_that_ended_before_are_dropped_and_changes_since_them_are_not_kept() -> None:
    manifest = a_manifest(record(9), record(7), record(5), record(1))
    kept = keep_history(manifest, NOW - 6 * DAY)
    assert kept.history == [record(5), record(1)]
    assert kept.changes_since == record(7).run
    assert changes_files(kept, record(7).run) == [changes_of(record(5).run), changes_of(record(1).run)]


def test_a_record_that_ended_at_that_moment_stays() -> None:
    manifest = a_manifest(record(7), record(5), record(1))
    assert keep_history(manifest, NOW - 7 * DAY) == manifest


def test_the_record_of_the_published_run_stays_however_old_it_is() -> None:
    manifest = a_manifest(record(90), record(60), record(40, "unchanged"))
    kept = keep_history(manifest, NOW - 30 * DAY)
    assert kept.history == [record(60)]
    assert kept.changes_since == record(90).run


def test_a_run_that_changed_nothing_takes_no_change_with_it() -> None:
    manifest = a_manifest(record(9, "unchanged"), record(1), changes_since=run_at(24 * 20))
    kept = keep_history(manifest, NOW - 6 * DAY)
    assert kept.history == [record(1)]
    assert kept.changes_since == run_at(24 * 20)


def test_of_runs_that_changed_nothing_the_last_fifty_stay() -> None:
    dull = [record(number / 100, "unchanged") for number in range(60, 0, -1)]
    kept = keep_history(a_manifest(record(2), *dull), NOW - 6 * DAY)
    assert kept.history == [record(2), *dull[10:]]
    assert keep_history(a_manifest(record(2), *dull[10:]), NOW - 6 * DAY).history == [record(2), *dull[10:]]


@given(
    modes=st.lists(st.sampled_from(["incremental", "full", "unchanged"]), max_size=8),
    days=st.integers(0, 10),
    since=st.integers(0, 9),
)
def test_whoever_may_still_ask_for_changes_gets_the_same_as_before(modes: list[str], days: int, since: int) -> None:
    history = [record(9, "full"), *(record(8 - number, mode) for number, mode in enumerate(modes))]
    manifest = a_manifest(*history)
    kept = keep_history(manifest, NOW - days * DAY)
    asked = run_at(24 * since)
    if asked >= kept.changes_since:
        assert changes_files(kept, asked) == changes_files(manifest, asked)
    assert kept.run in [each.run for each in kept.history]


def snapshot(
    store: Store, days: float, *, parts: Sequence[str] = (), csv: bool = False, archived: bool = True
) -> Manifest:
    """A snapshot of so many days ago with one part of its own, and these of older ones."""
    run = run_at(24 * days)
    own = f"snapshots/{run}/part-00000.ndjson.gz"
    manifest = a_manifest(
        record(days),
        parts=[Part(partition=None, file=a_file(name)) for name in (own, *parts)],
        csv=a_file(f"snapshots/{run}/users.csv.gz") if csv else None,
    )
    names = [own, changes_of(run).name, *([manifest.csv.name] if manifest.csv else [])]
    for name in names:
        store.swap(name, b"", None)
    if archived:
        store.swap(f"snapshots/{run}/manifest.json", encode(manifest), None)
    return manifest


def files(days: float, *names: str) -> set[str]:
    return {f"snapshots/{run_at(24 * days)}/{name}" for name in names}


PART, CHANGES, CSV, MANIFEST = "part-00000.ndjson.gz", "changes.ndjson.gz", "users.csv.gz", "manifest.json"


def test_as_many_snapshots_stay_as_are_to_be_kept(store: Store) -> None:
    for days in (4, 3, 2):
        snapshot(store, days, csv=True)
    manifest = snapshot(store, 1, csv=True)
    prune(store, manifest, keep=3, now=NOW)
    whole = (PART, CSV, MANIFEST)
    # The changes of the others are in the history of no manifest that is published.
    assert set(store.names()) == files(3, *whole) | files(2, *whole) | files(1, *whole, CHANGES)
    prune(store, manifest, keep=1, now=NOW)
    assert set(store.names()) == files(1, *whole, CHANGES)


def test_changes_stay_while_the_history_names_them(store: Store) -> None:
    snapshot(store, 3)
    manifest = snapshot(store, 1)
    prune(store, a_manifest(record(3), record(1), parts=manifest.parts), keep=1, now=NOW)
    assert set(store.names()) == files(3, CHANGES) | files(1, PART, CHANGES, MANIFEST)


def test_a_part_stays_while_a_kept_snapshot_has_it(store: Store) -> None:
    first = snapshot(store, 4)
    snapshot(store, 3)
    second = snapshot(store, 2, parts=[first.parts[0].file.name])
    manifest = snapshot(store, 1, parts=[second.parts[0].file.name])
    prune(store, manifest, keep=2, now=NOW)
    assert set(store.names()) == files(4, PART) | files(2, PART, MANIFEST) | files(1, PART, CHANGES, MANIFEST)


def test_a_run_that_never_published_is_removed_when_it_has_ended_or_is_lost(store: Store) -> None:
    for days, ended in ((8, False), (5, False), (4, True)):
        snapshot(store, days, archived=False)
        store.swap(f"runs/{run_at(24 * days)}/start.json", b"", None)
        if ended:
            store.swap(f"runs/{run_at(24 * days)}/end.json", b"", None)
    manifest = snapshot(store, 1)
    prune(store, manifest, keep=7, now=NOW)
    runs = {f"runs/{run_at(24 * 5)}/start.json", f"runs/{run_at(24 * 4)}/start.json", f"runs/{run_at(24 * 4)}/end.json"}
    # Of eight days ago nothing is left, and of five days ago everything: it may still be writing.
    assert set(store.names()) == runs | files(5, PART, CHANGES) | files(1, PART, CHANGES, MANIFEST)


def test_what_a_run_left_behind_is_removed_after_seven_days(store: Store) -> None:
    run = run_at(24)
    store.swap(f"runs/{run}/end.json", b"", None)
    manifest = snapshot(store, 0)
    prune(store, manifest, keep=1, now=NOW + 6 * DAY)
    assert f"runs/{run}/end.json" in store.names()
    prune(store, manifest, keep=1, now=NOW + 6 * DAY + timedelta(seconds=1))
    assert set(store.names()) == files(0, PART, CHANGES, MANIFEST)


def test_a_later_run_is_left_alone(store: Store) -> None:
    later = f"snapshots/{run_at(-1)}/part-00000.ndjson.gz"
    store.swap(later, b"", None)
    manifest = snapshot(store, 1)
    prune(store, manifest, keep=1, now=NOW)
    assert set(store.names()) == files(1, PART, CHANGES, MANIFEST) | {later}


def test_a_run_that_changed_nothing_leaves_no_files(store: Store) -> None:
    manifest = snapshot(store, 2)
    unchanged = record(1, "unchanged")
    store.swap(f"snapshots/{unchanged.run}/changes.ndjson.gz", b"", None)
    prune(store, a_manifest(*manifest.history, unchanged, parts=manifest.parts), keep=1, now=NOW)
    assert set(store.names()) == files(2, PART, CHANGES, MANIFEST)


def test_nothing_of_a_snapshot_is_removed_where_nobody_can_tell_what_a_kept_one_needs(store: Store) -> None:
    snapshot(store, 3)
    damaged = f"snapshots/{run_at(48)}/manifest.json"
    store.swap(damaged, b"{}", None)
    manifest = snapshot(store, 1)
    before = store.names()
    with pytest.raises(CorruptObject, match=damaged):
        prune(store, manifest, keep=2, now=NOW)
    assert store.names() == before
