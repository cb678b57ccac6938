"""Full runs, incremental runs and runs without a change, in a folder and in a Blob container."""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from entra_users.errors import (
    BrokenPaging,
    CorruptObject,
    EntraUsersError,
    IncompleteDirectory,
    MalformedPage,
    ObjectNotFound,
    PageTokenExpired,
    ShrinkRefused,
    Throttled,
    Unavailable,
)
from entra_users.graph import Usage
from entra_users.snapshot import Record
from entra_users.store import Store
from simulator import Simulator
from simulator.faults import Fault, answered, not_json, page_fault, server_error, throttled
from tests.sync.steps import SteppedStore
from tests.sync.tenant import USUAL, Tenant, users_of

DELTA, COUNT = "/v1.0/users/delta", "/v1.0/users/$count"


@pytest.fixture
def anywhere(azure: Simulator, store: Store) -> Tenant:
    """A tenant of 60 users whose users are kept in a folder, and one whose users are kept in a container."""
    azure.reset(users=60)
    return Tenant(azure, store)


def test_the_first_run_stores_everyone_in_parts(anywhere: Tenant) -> None:
    record = anywhere.run()
    manifest = anywhere.manifest
    assert anywhere.stored() == anywhere.directory()
    assert len(manifest.parts) == record.partitions > 2
    assert sum(part.file.lines for part in manifest.parts) == manifest.users == manifest.counted == 60
    for part in manifest.parts:
        assert part.partition is not None
        assert part.file.name == f"snapshots/{record.run}/part-{part.partition.number:05d}.ndjson.gz"
        data = anywhere.store.read(part.file.name).data
        assert (len(data), hashlib.sha256(data).hexdigest()) == (part.file.bytes, part.file.sha256)
        assert gzip.decompress(data).count(b"\n") == part.file.lines
    assert (record.mode, record.reason) == ("full", "there is no snapshot yet")
    assert (record.added, record.updated, record.removed, record.changes) == (60, 0, 0, None)
    assert manifest.changes_since == record.run
    # Nothing is left but the snapshot and its manifest: the run's own files are gone.
    parts = [part.file.name for part in manifest.parts]
    assert anywhere.store.names() == sorted(["latest.json", f"snapshots/{record.run}/manifest.json", *parts])


def test_an_incremental_run_writes_what_changed_and_takes_over_the_rest(anywhere: Tenant) -> None:
    anywhere.run()
    stored, before, names = anywhere.stored(), anywhere.manifest, anywhere.store.names()
    first, *_, last = stored
    anywhere.azure.directory.update(first, jobTitle=None, businessPhones=[])
    anywhere.azure.directory.remove(last)
    new = anywhere.azure.directory.add(jobTitle="Engineer")["id"]
    asked = len(anywhere.requests(DELTA))
    record = anywhere.run()
    manifest = anywhere.manifest
    assert anywhere.stored() == anywhere.directory()
    assert (record.mode, record.reason, record.users) == ("incremental", "", 60)
    assert (record.added, record.updated, record.removed) == (1, 1, 1)
    assert len(anywhere.requests(DELTA)) == asked + 1
    assert record.usage == Usage(requests=1, resource_units=1)
    changed = {part.file.name for part in manifest.parts} - {part.file.name for part in before.parts}
    assert 2 <= len(changed) <= 3
    assert record.changes is not None
    new_names = {record.changes.name, f"snapshots/{record.run}/manifest.json", *changed}
    assert set(anywhere.store.names()) == set(names) | new_names
    assert anywhere.changed(stored, before.run) == anywhere.stored()
    lines = map(json.loads, gzip.decompress(anywhere.store.read(record.changes.name).data).splitlines())
    assert {(line["change"], line["id"]) for line in lines} == {("added", new), ("updated", first), ("removed", last)}


def test_a_run_without_a_change_asks_graph_once_and_swaps_the_manifest_alone(anywhere: Tenant) -> None:
    anywhere.run()
    before, asked = anywhere.files(), len(anywhere.azure.requests)
    written: list[tuple[str, str]] = []
    store = SteppedStore(anywhere.store, lambda action, name: written.append((action, name)))
    record = anywhere.sync(store).run(anywhere.new_start())
    after = anywhere.files()
    assert {name: data for name, data in after.items() if before.get(name) != data}.keys() == {"latest.json"}
    assert after.keys() == before.keys()
    assert [name for action, name in written if action in {"create", "swap", "delete"}] == ["latest.json"]
    graph = [each for each in anywhere.azure.requests[asked:] if each.host == "graph.microsoft.com"]
    assert [each.path for each in graph] == [DELTA]
    assert (record.mode, record.users, record.changes) == ("unchanged", 60, None)
    old, new = (json.loads(files["latest.json"]) for files in (before, after))
    differing = {name for name in new if new[name] != old[name]}
    assert differing == {"checked_at", "history", "delta_link"}


def test_a_full_run_over_a_snapshot_tells_what_changed_and_writes_the_same_users_again(anywhere: Tenant) -> None:
    anywhere.run()
    stored, since = anywhere.stored(), anywhere.manifest.run
    first, second, *_ = stored
    anywhere.azure.directory.update(first, displayName="Someone Else")
    anywhere.azure.directory.remove(second)
    anywhere.azure.directory.add()
    anywhere.options = replace(anywhere.options, partition_users=7)
    record = anywhere.run(full=True)
    assert (record.mode, record.reason) == ("full", "a full run was asked for")
    assert (record.added, record.updated, record.removed) == (1, 1, 1)
    assert anywhere.stored() == anywhere.directory()
    assert anywhere.changed(stored, since) == anywhere.stored()


def test_the_reason_for_each_full_run_is_in_the_history(tenant: Tenant) -> None:
    tenant.begin(users=10)
    tenant.run()
    tenant.run(full=True)
    tenant.options = replace(tenant.options, select=tenant.options.select[:-1])
    tenant.run()
    tenant.pass_days(7.1)
    tenant.run()
    tenant.options = replace(tenant.options, full_days=30)
    tenant.pass_days(7.1)
    tenant.run()
    reasons = [record.reason for record in tenant.manifest.history if record.mode == "full"]
    assert reasons == [
        "there is no snapshot yet",
        "a full run was asked for",
        "USERS_SELECT changed",
        "the last full run is older than FULL_SYNC_DAYS (7)",
        # Delta links of the directory live for seven days.
        "Graph no longer tells the changes since the last run (syncStateNotFound)",
    ]


def test_a_bulk_import_of_one_second_is_a_note_of_the_manifest(tenant: Tenant) -> None:
    tenant.begin(users=3_000, bulk=2_000)
    tenant.options = replace(tenant.options, partition_users=500)
    tenant.run()
    (note,) = tenant.manifest.notes
    assert re.fullmatch(r"2,00\d users cannot be divided further and are read in one lane: createdDateTime ge .*", note)
    assert tenant.stored() == tenant.directory()


# Users by number


def test_an_empty_directory_is_published_where_graph_counts_nobody(tenant: Tenant) -> None:
    tenant.begin()
    record = tenant.run()
    assert (record.users, tenant.manifest.counted, tenant.stored()) == (0, 0, {})


def test_an_empty_answer_is_not_published_where_graph_counts_somebody(tenant: Tenant) -> None:
    tenant.begin(users=1)
    tenant.azure.faults.plan(answered(200, '{"value":[]}', path="/users$", host="graph.microsoft.com"))
    with pytest.raises(IncompleteDirectory, match="0 users were read, and Graph counted 1 before and 1 after"):
        tenant.run()
    assert "latest.json" not in tenant.store.names()


@pytest.mark.parametrize("counted", ["50", "70"])
def test_another_number_of_users_than_graph_counts_is_not_published(tenant: Tenant, counted: str) -> None:
    tenant.begin(users=60)
    tenant.run()
    before = tenant.files()
    counts = len(tenant.requests(COUNT))
    tenant.azure.faults.plan(answered(200, counted, path=r"\$count$", times=None))
    with pytest.raises(IncompleteDirectory, match=f"60 users were read, and Graph counted {counted} before"):
        tenant.run(full=True)
    assert len(tenant.requests(COUNT)) > counts + 1
    assert tenant.files()["latest.json"] == before["latest.json"]


def test_graph_may_count_as_many_more_or_fewer_as_the_tolerance_says(tenant: Tenant) -> None:
    tenant.begin(users=25)
    tenant.options = replace(tenant.options, count_tolerance=0.2)
    tenant.azure.faults.plan(answered(200, "30", path=r"\$count$", times=2))
    assert tenant.run().users == 25


def test_a_directory_that_shrinks_too_much_is_published_by_force_alone(tenant: Tenant) -> None:
    """Both by an incremental run and by a full one; up to the limit it may shrink."""
    tenant.begin(users=60)
    tenant.run()
    users = sorted(tenant.directory())
    for user in users[:12]:
        tenant.azure.directory.remove(user)
    assert tenant.run().removed == 12
    for user in users[12:22]:
        tenant.azure.directory.remove(user)
    latest = tenant.store.read("latest.json")
    for full in (False, True):
        with pytest.raises(ShrinkRefused, match="from 48 to 38 users"):
            tenant.run(full=full)
        assert tenant.store.read("latest.json") == latest
    assert tenant.run(force=True).removed == 10
    assert tenant.stored() == tenant.directory()


# CSV


def test_csv_holds_everyone_and_no_formula(tenant: Tenant) -> None:
    tenant.begin(users=40)
    tenant.options = replace(tenant.options, formats=("ndjson", "csv"))
    evil = {"displayName": '=HYPERLINK("http://example.com")', "jobTitle": "+1", "department": "a\n@b,c"}
    new = [tenant.azure.directory.add(**evil)["id"]]
    tenant.run()
    first = rows(tenant)
    new.append(tenant.azure.directory.add(displayName="-1", businessPhones=["+1 425 555 0100", "2"])["id"])
    tenant.run()
    second = rows(tenant)
    for given, users in ((first, 41), (second, 42)):
        assert len(given) == users
        assert all(row.keys() == set(USUAL.select) for row in given.values())
    names = ["displayName", "jobTitle", "department", "businessPhones"]
    assert [tuple(second[user_id][name] for name in names) for user_id in new] == [
        ('\'=HYPERLINK("http://example.com")', "'+1", "a\n@b,c", "[]"),
        ("'-1", "", "", '["+1 425 555 0100","2"]'),
    ]
    plain = {user_id: user["userPrincipalName"] for user_id, user in tenant.directory().items()}
    assert {user_id: row["userPrincipalName"] for user_id, row in second.items()} == plain
    # Both snapshots are kept, and each has its own.
    assert sum(name.endswith("users.csv.gz") for name in tenant.store.names()) == 2


def rows(tenant: Tenant) -> dict[str, dict[str, str]]:
    """The users in the CSV, by id."""
    file = tenant.manifest.csv
    assert file is not None
    text = gzip.decompress(tenant.store.read(file.name).data).decode()
    return {row["id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


# Graph's faults

WEATHERED = [
    throttled("0.001", times=3, skip=2),
    server_error(503, "0.001", times=3, skip=4),
    page_fault("expired-page-token", times=3, path="/users$"),
    page_fault("empty-page", times=2, path="/users$"),
    page_fault("duplicate-user", path="/users$"),
]
FAILURES: dict[str, tuple[Fault, type[EntraUsersError]]] = {
    "throttled": (throttled("1000", skip=6, times=None), Throttled),
    "down": (server_error(503, "1000", skip=6, times=None), Unavailable),
    "not JSON": (not_json(path="/users$", skip=3), MalformedPage),
    "no value": (page_fault("no-value", path="/users$", skip=2), MalformedPage),
    "cut": (page_fault("cut-json", path="/users$", skip=2), MalformedPage),
    "a loop": (page_fault("repeat-next-link", path="/users$"), BrokenPaging),
    "elsewhere": (page_fault("foreign-next-link", path="/users$"), BrokenPaging),
    "expired again and again": (page_fault("expired-page-token", times=None, path="/users$"), PageTokenExpired),
}


@pytest.fixture
def paged(tenant: Tenant) -> Tenant:
    """A tenant of 2,500 users, a partition of whom has more than a page."""
    tenant.begin(users=2_500)
    tenant.options = replace(tenant.options, partition_users=1_200)
    return tenant


@pytest.mark.parametrize("fault", WEATHERED, ids=lambda fault: str(fault.kind or fault.status))
def test_a_fault_that_passes_changes_nothing(paged: Tenant, fault: Fault) -> None:
    paged.azure.faults.plan(fault)
    paged.run()
    assert paged.stored() == paged.directory()


@pytest.mark.parametrize(("fault", "error"), FAILURES.values(), ids=FAILURES.keys())
def test_a_fault_that_stays_is_named_and_publishes_nothing(
    paged: Tenant, fault: Fault, error: type[EntraUsersError]
) -> None:
    paged.run()
    before = paged.files()
    paged.azure.faults.plan(fault)
    with pytest.raises(error):
        paged.run(full=True)
    after = paged.files()
    assert {name: after[name] for name in before if not name.startswith("runs/")} == before
    paged.azure.faults.clear()
    paged.new_process()
    paged.azure.directory.add()
    paged.run()
    assert paged.stored() == paged.directory()


# The store's faults


def damage(tenant: Tenant, name: str, spoil: Callable[[bytes], bytes]) -> None:
    data = spoil(tenant.store.read(name).data)
    with tenant.store.create(name, replace=True) as writer:
        writer.write(data)


def another_user(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data).replace(b'"accountEnabled":true', b'"accountEnabled":false', 1))


SPOILS: list[Callable[[bytes], bytes]] = [
    lambda data: data[:-5],
    lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    lambda data: data + b"more",
    lambda _data: b"",
    another_user,
]


@pytest.mark.parametrize("spoil", SPOILS, ids=["cut", "one bit", "longer", "empty", "another user"])
def test_a_damaged_part_is_named_and_nothing_is_published_until_a_full_run(anywhere: Tenant, spoil: Any) -> None:
    """Every part is read, also those that no change touches; the full run says that nobody can tell what changed."""
    anywhere.run()
    part, other = anywhere.manifest.parts[1:3]
    ids = [next(iter(users_of(anywhere.store, [each]))) for each in (part, other)]
    damage(anywhere, part.file.name, spoil)
    anywhere.azure.directory.update(ids[1], jobTitle="Changed")
    before = anywhere.files()
    with pytest.raises(CorruptObject, match="part-00001"):
        anywhere.run()
    after = anywhere.files()
    assert {name: after[name] for name in before} == before
    anywhere.azure.directory.update(ids[0], jobTitle="Changed")
    record = anywhere.run(full=True)
    assert (record.changes, anywhere.manifest.changes_since) == (None, record.run)
    assert anywhere.stored() == anywhere.directory()


def test_a_damaged_part_in_which_nothing_changed_is_replaced_and_the_changes_are_known(tenant: Tenant) -> None:
    """For what it held is known by its sha256: the same as the new part's."""
    tenant.begin(users=60)
    tenant.run()
    since, part = tenant.manifest.run, tenant.manifest.parts[1]
    damage(tenant, part.file.name, lambda data: data[:-5])
    record = tenant.run(full=True)
    assert (record.added, record.updated, record.removed) == (0, 0, 0)
    assert tenant.changed(tenant.stored(), since) == tenant.stored() == tenant.directory()


def test_a_part_that_is_missing_is_named(anywhere: Tenant) -> None:
    anywhere.run()
    anywhere.store.delete(anywhere.manifest.parts[1].file.name)
    anywhere.azure.directory.add()
    with pytest.raises(ObjectNotFound):
        anywhere.run()
    anywhere.run(full=True)
    assert anywhere.stored() == anywhere.directory()


def test_a_new_part_that_was_damaged_before_it_is_published_is_not_published(tenant: Tenant) -> None:
    tenant.begin(users=60)
    tenant.run()
    latest, user = tenant.store.read("latest.json"), next(iter(users_of(tenant.store, tenant.manifest.parts[1:2])))
    tenant.azure.directory.update(user, jobTitle="Changed")
    start = tenant.new_start(full=True)
    plan = tenant.sync().begin(start)
    assert not isinstance(plan, Record)
    tenant.sync().export_all(plan)
    damage(tenant, f"snapshots/{start.run}/part-00001.ndjson.gz", another_user)
    with pytest.raises(CorruptObject, match=f"{start.run}/part-00001"):
        tenant.sync().publish(plan)
    assert tenant.store.read("latest.json") == latest


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not a manifest. Put back one of snapshots/<run>/manifest.json."),
        (b"<html>", "is not a manifest."),
        (b'{"format":2,"and":"more"}', "is in format 2, and this version reads 1"),
    ],
)
def test_a_manifest_that_is_none_ends_every_run_and_stays_as_it_is(anywhere: Tenant, data: bytes, says: str) -> None:
    anywhere.run()
    archived = f"snapshots/{anywhere.manifest.run}/manifest.json"
    damage(anywhere, "latest.json", lambda _data: data)
    before = anywhere.files()
    for full in (False, True):
        with pytest.raises(CorruptObject, match=says):
            anywhere.run(full=full)
    assert anywhere.files() == before
    # What the message advises.
    damage(anywhere, "latest.json", lambda _data: before[archived])
    anywhere.azure.directory.add()
    anywhere.run()
    assert anywhere.stored() == anywhere.directory()


def test_a_message_of_a_run_whose_manifest_is_none_ends_it_with_the_reason(tenant: Tenant) -> None:
    tenant.run()
    start = tenant.start()
    damage(tenant, "latest.json", lambda _data: b"{}")
    message = msgspec.json.encode(start)
    with pytest.raises(CorruptObject):
        tenant.deliver(message, [])
    tenant.deliver(message, [], delivery=2)
    end = json.loads(tenant.store.read(f"runs/{start.run}/end.json").data)
    assert (end["run"], end["error"]) == (start.run, "CorruptObject")


def test_only_as_many_snapshots_stay_as_are_to_be_kept(anywhere: Tenant) -> None:
    anywhere.options = replace(anywhere.options, keep=2)
    kept: list[str] = []
    for _ in range(4):
        kept.append(anywhere.run().run)
        anywhere.azure.directory.add()
    names = anywhere.store.names("snapshots/")
    assert [name.split("/")[1] for name in names if name.endswith("manifest.json")] == kept[-2:]
    # Of the others: the parts that these hold, and the changes since the first.
    needed = {part.file.name for part in anywhere.manifest.parts}
    needed |= {record.changes.name for record in anywhere.manifest.history if record.changes}
    older = [name for name in names if name.split("/")[1] not in kept[-2:]]
    assert set(older) <= needed


def test_a_stray_file_in_the_store_is_left_alone(anywhere: Tenant) -> None:
    for name in ("runs/README.md", "snapshots/old/part-00000.ndjson.gz", "notes.txt"):
        with anywhere.store.create(name) as writer:
            writer.write(b"mine")
    anywhere.run()
    anywhere.run(full=True)
    assert anywhere.stored() == anywhere.directory()
    assert {"runs/README.md", "snapshots/old/part-00000.ndjson.gz", "notes.txt"} <= set(anywhere.store.names())
