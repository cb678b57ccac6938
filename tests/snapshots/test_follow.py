"""An incremental run: what changed is written down first, then merged, the same however often it is done."""

import gzip
from typing import Any

import msgspec
import pytest

from entra_users.delta import latest_link
from entra_users.errors import CorruptObject, ResyncRequired, RunInProgress
from entra_users.follow import Followed, follow, is_followed
from entra_users.graph import Graph
from entra_users.snapshot import Manifest
from entra_users.store import Store
from simulator import Simulator
from simulator.directory import Directory
from simulator.faults import page_fault
from tests.snapshots.stored import SELECT, a_manifest, a_record, apply, partitions_at, run_at, users_of, write_parts

OLD, RUN = run_at(2), run_at(1)


@pytest.fixture
def manifest(azure: Simulator, store: Store, graph: Graph) -> Manifest:
    """A snapshot of forty users, from before anything changed."""
    azure.state.directory = Directory(40, clock=azure.state.clock)
    parts = write_parts(store, OLD, there(azure), partitions_at(["2018-01-01T00:00:00Z", "2022-01-01T00:00:00Z"]))
    return a_manifest(a_record(OLD, "full"), parts=parts, delta_link=latest_link(graph, SELECT))


def there(azure: Simulator) -> dict[str, Any]:
    """The users there are, by id."""
    return {user["id"]: user for user in azure.directory.users(SELECT)}


def change(azure: Simulator) -> None:
    """One user is updated, one leaves, one comes."""
    first, second, *_ = there(azure)
    azure.directory.update(first, displayName="Ada Lovelace\n\t ")
    azure.directory.remove(second)
    azure.directory.add(displayName="Grace Hopper")


def lines_of(store: Store, followed: Followed) -> list[bytes]:
    assert followed.changes is not None
    return read_gzip_lines(store, followed.changes.name)


def read_gzip_lines(store: Store, name: str) -> list[bytes]:
    with store.open(name) as stream, gzip.open(stream) as lines:
        return list(lines)


def test_changes_lead_from_the_snapshot_to_the_users_there_are(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    before = there(azure)
    change(azure)
    followed = follow(graph, store, RUN, manifest)
    assert users_of(store, followed.parts) == there(azure)
    assert apply(before, lines_of(store, followed)) == there(azure)
    assert (followed.added, followed.updated, followed.removed) == (1, 1, 1)
    assert followed.link != manifest.delta_link
    assert followed.link not in repr(followed)


def test_without_changes_nothing_is_written(azure: Simulator, store: Store, graph: Graph, manifest: Manifest) -> None:
    before = store.names()
    followed = follow(graph, store, RUN, manifest)
    assert (followed.parts, followed.changes, followed.added) == (manifest.parts, None, 0)
    assert store.names() == before
    assert not is_followed(store, RUN)


def test_changes_that_the_snapshot_already_holds_leave_it_as_it_is(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    first, *_ = there(azure)
    was = there(azure)[first]["displayName"]
    azure.directory.update(first, displayName="another")
    azure.directory.update(first, displayName=was)
    followed = follow(graph, store, RUN, manifest)
    assert (followed.parts, followed.changes, followed.updated) == (manifest.parts, None, 0)
    assert followed.link != manifest.delta_link


def test_a_run_done_again_asks_nothing_and_writes_the_same(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    change(azure)
    first = follow(graph, store, RUN, manifest)
    assert is_followed(store, RUN)
    kept = {name: store.read(name) for name in store.names()}
    asked = len(azure.requests)
    # What changes meanwhile is the next run's.
    azure.directory.add()
    assert follow(graph, store, RUN, manifest) == first
    assert {name: store.read(name) for name in store.names()} == kept
    assert len(azure.requests) == asked


def test_the_next_run_goes_on_from_the_link_of_the_last(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    change(azure)
    first = follow(graph, store, RUN, manifest)
    change(azure)
    later = msgspec.structs.replace(manifest, parts=first.parts, delta_link=first.link)
    assert users_of(store, follow(graph, store, run_at(0), later).parts) == there(azure)


def test_a_run_that_was_begun_before_another_published_is_refused(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    change(azure)
    first = follow(graph, store, RUN, manifest)
    later = msgspec.structs.replace(manifest, parts=first.parts, delta_link=first.link)
    before = store.names()
    with pytest.raises(RunInProgress, match=f"Another run published since run {RUN} was begun; its snapshot stands"):
        follow(graph, store, RUN, later)
    assert store.names() == before


def test_a_delta_link_that_is_no_longer_valid_leaves_nothing_behind(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    change(azure)
    azure.faults.plan(page_fault("resync-required"))
    before = store.names()
    with pytest.raises(ResyncRequired):
        follow(graph, store, RUN, manifest)
    assert store.names() == before


def test_changes_that_were_written_down_and_damaged_are_not_merged(
    azure: Simulator, store: Store, graph: Graph, manifest: Manifest
) -> None:
    change(azure)
    store.swap(f"runs/{RUN}/delta.gz", b"\x1f\x8b", None)
    with pytest.raises(CorruptObject, match=r"delta\.gz is damaged"):
        follow(graph, store, RUN, manifest)
