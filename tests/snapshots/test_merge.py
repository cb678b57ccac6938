"""Changes merged into parts are changes applied to users, and two snapshots compared tell what lies between them."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entra_users.errors import CorruptObject
from entra_users.merge import Outcome, compare, merge
from entra_users.snapshot import Part
from entra_users.store import Store, open_store
from tests.snapshots.stored import SELECT, User, Users, apply, partitions_at, read_gzip, users_of, write_parts

IN_A_FOLDER = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
OLD, NEW = "20261122T020000000Z-old", "20261123T020000000Z-new"

DATES = [
    None,
    "1999-01-01T00:00:00Z",
    "2021-06-30T23:59:59.9999999Z",
    "2021-07-01T00:00:00Z",
    "2021-07-01T00:00:00.5Z",
    "2021-07-01T00:00:01Z",
    "2026-11-23T00:00:00Z",
    "2099-01-01T00:00:00Z",
]
# When someone was created never changes, so that it follows from the id.
IDS = [f"user-{number}" for number in range(24)]
BORDERS = st.none() | st.sets(
    st.sampled_from(["2005-01-01T00:00:00Z", "2021-07-01T00:00:00Z", "2021-07-01T00:00:01Z", "2039-01-10T00:00:00Z"])
)
NAMES = st.sampled_from([None, "", "Adele", "Ana María 🌍", 'a "b"\\ \t,\u2028'])
PHONES = st.lists(st.sampled_from(["1", "2"]), max_size=2)
FACTS = st.fixed_dictionaries({"displayName": NAMES, "businessPhones": PHONES})
# Properties that were never set are left out of changes; ones that are not selected may be told all the same.
PARTIAL = st.fixed_dictionaries({}, optional={"displayName": NAMES, "businessPhones": PHONES, "jobTitle": NAMES})
CHANGES = st.dictionaries(st.sampled_from(IDS), st.none() | PARTIAL, max_size=8)


def whole(user_id: str, facts: Mapping[str, Any]) -> User:
    return {"id": user_id, "createdDateTime": DATES[IDS.index(user_id) % len(DATES)], **facts}


USERS = st.dictionaries(st.sampled_from(IDS), FACTS, max_size=16).map(
    lambda users: {user_id: whole(user_id, facts) for user_id, facts in users.items()}
)


def raw(changes: Mapping[str, Mapping[str, Any] | None]) -> dict[str, bytes | msgspec.Raw | None]:
    """Changes as Graph sends them, with all that is known of who is new."""
    return {
        user_id: None if facts is None else json.dumps(whole(user_id, facts)).encode()
        for user_id, facts in changes.items()
    }


def changed(users: Users, changes: Mapping[str, Mapping[str, Any] | None]) -> Users:
    """Users after changes, as a dict has it: what is absent stays, and is null or [] for who is new."""
    users = dict(users)
    for user_id, facts in changes.items():
        if facts is None:
            users.pop(user_id, None)
        else:
            unset = {"displayName": None, "businessPhones": []}
            known = {name: value for name, value in facts.items() if name in SELECT}
            users[user_id] = {**whole(user_id, unset), **users.get(user_id, {}), **known}
    return users


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where each example has a store of its own."""
    return tmp_path


def another_store(folder: Path) -> Store:
    return open_store(str(folder / uuid.uuid4().hex))


def merged(store: Store, run: str, parts: Sequence[Part], changes: Mapping[str, Any]) -> tuple[Outcome, list[bytes]]:
    outcome = Outcome()
    return outcome, list(merge(store, run, parts, raw(changes), SELECT, outcome))


def compared(store: Store, before: Sequence[Part], after: Sequence[Part]) -> tuple[Outcome, list[bytes]]:
    outcome = Outcome()
    return outcome, list(compare(store, before, after, outcome))


def counts(outcome: Outcome) -> dict[str, int]:
    return {"added": outcome.added, "updated": outcome.updated, "removed": outcome.removed}


def tallied(told: Sequence[bytes]) -> dict[str, int]:
    kinds = [json.loads(line)["change"] for line in told]
    return {kind: kinds.count(kind) for kind in ("added", "updated", "removed")}


@IN_A_FOLDER
@given(users=USERS, borders=BORDERS, rounds=st.lists(CHANGES, min_size=1, max_size=3))
def test_merging_changes_is_applying_them_to_each_user(
    folder: Path, users: Users, borders: set[str] | None, rounds: list[dict[str, Any]]
) -> None:
    store = another_store(folder)
    parts = write_parts(store, OLD, users, partitions_at(borders))
    for number, changes in enumerate(rounds):
        outcome, told = merged(store, f"{NEW}{number}", parts, changes)
        after = changed(users, changes)
        assert users_of(store, outcome.parts) == after
        assert apply(users, told) == after
        assert counts(outcome) == tallied(told)
        assert [part.partition for part in outcome.parts][: len(partitions_at(borders))] == partitions_at(borders)
        assert all(part.partition is None for part in outcome.parts[len(partitions_at(borders)) :])
        for old, new in zip(parts, outcome.parts, strict=False):
            untouched = not any(user["id"] in changes for user in read_gzip(store, old.file.name))
            if old.partition is not None and untouched:
                assert new == old
        users, parts = after, outcome.parts


@IN_A_FOLDER
@given(users=USERS, borders=BORDERS, changes=CHANGES)
def test_changes_that_were_merged_before_change_nothing(
    folder: Path, users: Users, borders: set[str] | None, changes: dict[str, Any]
) -> None:
    store = another_store(folder)
    once, _ = merged(store, f"{NEW}1", write_parts(store, OLD, users, partitions_at(borders)), changes)
    again, told = merged(store, f"{NEW}2", once.parts, changes)
    assert (told, counts(again)) == ([], {"added": 0, "updated": 0, "removed": 0})
    assert users_of(store, again.parts) == users_of(store, once.parts)


@IN_A_FOLDER
@given(users=USERS, borders=BORDERS, changes=CHANGES)
def test_a_merge_done_again_for_the_same_run_finds_its_own_parts(
    folder: Path, users: Users, borders: set[str] | None, changes: dict[str, Any]
) -> None:
    store = another_store(folder)
    parts = write_parts(store, OLD, users, partitions_at(borders))
    first = merged(store, NEW, parts, changes)
    kept = {name: store.read(name) for name in store.names()}
    assert merged(store, NEW, parts, changes) == first
    assert {name: store.read(name) for name in store.names()} == kept


@IN_A_FOLDER
@given(before=USERS, after=USERS, borders=BORDERS, later=BORDERS, changes=CHANGES, spaced=st.booleans())
def test_what_a_comparison_tells_leads_from_one_snapshot_to_the_other(
    folder: Path,
    before: Users,
    after: Users,
    borders: set[str] | None,
    later: set[str] | None,
    changes: dict[str, Any],
    spaced: bool,
) -> None:
    store = another_store(folder)
    full = write_parts(store, OLD, before, partitions_at(borders))
    old = merged(store, f"{OLD}1", full, changes)[0].parts
    new = write_parts(store, NEW, after, partitions_at(later), (", ", ": ") if spaced else (",", ":"))
    outcome, told = compared(store, old, new)
    assert apply(changed(before, changes), told) == after
    assert counts(outcome) == tallied(told)
    assert outcome.parts == new


@IN_A_FOLDER
@given(users=USERS, borders=BORDERS, later=BORDERS)
def test_nothing_is_told_of_users_who_were_only_written_in_another_way(
    folder: Path, users: Users, borders: set[str] | None, later: set[str] | None
) -> None:
    store = another_store(folder)
    old = write_parts(store, OLD, users, partitions_at(borders))
    turned = {user_id: dict(reversed(user.items())) for user_id, user in users.items()}
    new = write_parts(store, NEW, turned, partitions_at(later))
    outcome, told = compared(store, old, new)
    assert (told, counts(outcome)) == ([], {"added": 0, "updated": 0, "removed": 0})


ADELE, ANA = whole(IDS[3], {"displayName": "Adele", "businessPhones": ["1"]}), whole(IDS[5], {"displayName": "Ana"})


def test_a_property_that_is_null_is_cleared_and_one_that_is_absent_stays(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    outcome, _ = merged(store, NEW, parts, {ADELE["id"]: {"displayName": None}})
    assert users_of(store, outcome.parts) == {ADELE["id"]: {**ADELE, "displayName": None}}


def test_a_property_that_is_not_selected_is_not_stored(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    outcome, told = merged(store, NEW, parts, {ADELE["id"]: {"jobTitle": "Engineer"}})
    assert users_of(store, outcome.parts) == {ADELE["id"]: ADELE}
    assert told == []


def test_who_was_added_goes_into_a_part_of_its_own_with_every_property(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(["2021-07-01T00:00:00Z"]))
    outcome, told = merged(store, NEW, parts, {ANA["id"]: {"displayName": "Ana"}})
    *same, added = outcome.parts
    assert same == parts
    assert (added.partition, added.file.name) == (None, f"snapshots/{NEW}/part-added.ndjson.gz")
    assert read_gzip(store, added.file.name) == [{**ANA, "businessPhones": []}]
    assert [json.loads(line) for line in told] == [
        {"change": "added", "id": ANA["id"], "user": {**ANA, "businessPhones": []}}
    ]


def test_the_part_of_who_was_added_is_taken_over_where_nothing_changes_in_it(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    once, _ = merged(store, f"{NEW}1", parts, {ANA["id"]: {}})
    again, _ = merged(store, f"{NEW}2", once.parts, {ADELE["id"]: None})
    assert again.parts[1] == once.parts[1]
    assert users_of(store, again.parts).keys() == {ANA["id"]}


def test_who_left_before_being_stored_is_not_told(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    outcome, told = merged(store, NEW, parts, {ANA["id"]: None})
    assert (outcome.parts, told) == (parts, [])


def test_parts_that_are_the_same_file_are_not_compared(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    store.delete(parts[0].file.name)
    assert compared(store, parts, parts) == (Outcome(parts=parts), [])


@pytest.mark.parametrize("changes", [{}, {ADELE["id"]: {"displayName": "Ada"}}, {ADELE["id"]: None}, {ANA["id"]: {}}])
def test_a_damaged_part_ends_a_merge_even_where_nothing_changes_in_it(
    store: Store, tmp_path: Path, changes: dict[str, Any]
) -> None:
    (part,) = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    file = msgspec.structs.replace(part.file, sha256="0" * 64)
    with pytest.raises(CorruptObject, match="part-00000"):
        merged(store, NEW, [Part(partition=part.partition, file=file)], changes)
    assert store.names() == [part.file.name]


def test_a_damaged_part_ends_a_comparison(store: Store) -> None:
    parts = write_parts(store, OLD, {ADELE["id"]: ADELE}, partitions_at(None))
    damaged = [
        Part(partition=each.partition, file=msgspec.structs.replace(each.file, sha256="0" * 64)) for each in parts
    ]
    with pytest.raises(CorruptObject, match="part-00000"):
        compared(store, damaged, parts)
    with pytest.raises(CorruptObject, match="part-00000"):
        compared(store, parts, damaged)
