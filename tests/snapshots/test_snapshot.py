"""The manifest and the small records beside it: read as written, or refused by name."""

import json
from datetime import timedelta, timezone

import pytest

from entra_users.errors import CorruptObject
from entra_users.snapshot import (
    FORMAT,
    LATEST,
    Plan,
    Start,
    create_record,
    decode,
    encode,
    new_run,
    read_manifest,
    read_record,
)
from entra_users.store import Store
from tests.snapshots.stored import NOW, a_manifest, a_plan, a_record, changes_of, run_at

RUN = run_at(1)
LINK = "https://graph.microsoft.com/v1.0/users/delta?kept"


def test_before_the_first_run_there_is_no_manifest(store: Store) -> None:
    assert read_manifest(store) == (None, None)


def test_a_manifest_is_read_as_it_was_written_with_its_etag(store: Store) -> None:
    manifest = a_manifest(a_record(RUN, changes=changes_of(RUN)), delta_link=LINK, notes=["A note."])
    etag = store.swap(LATEST, encode(manifest), None)
    assert read_manifest(store) == (manifest, etag)


def test_a_manifest_is_json_that_people_can_read() -> None:
    text = encode(a_manifest(a_record(RUN))).decode()
    assert text.startswith('{\n  "format": 1,\n')
    assert text.endswith("}\n")
    assert json.loads(text)["run"] == RUN


def test_members_that_another_version_adds_are_passed_over(store: Store) -> None:
    manifest = a_manifest(a_record(RUN))
    store.swap(LATEST, json.dumps({**json.loads(encode(manifest)), "later": 1}).encode(), None)
    assert read_manifest(store)[0] == manifest


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b'{"format": "1"}', b"<html>", b"\xff\xfe"])
def test_what_is_no_manifest_says_what_to_put_back(store: Store, data: bytes) -> None:
    store.swap(LATEST, data, None)
    with pytest.raises(
        CorruptObject, match=r"latest\.json is not a manifest\. Put back one of snapshots/<run>/manifest"
    ):
        read_manifest(store)


def test_a_manifest_in_a_newer_format_is_refused_rather_than_misread(store: Store) -> None:
    store.swap(LATEST, json.dumps({"format": FORMAT + 1, "run": ["unlike", "today"]}).encode(), None)
    with pytest.raises(CorruptObject) as caught:
        read_manifest(store)
    assert str(caught.value) == (
        "latest.json is in format 2, and this version reads 1: a newer version of the app wrote it."
        " Upgrade this one, or give it a USERS_STORE of its own."
    )


def test_a_manifest_with_a_member_missing_is_named_with_the_member(store: Store) -> None:
    store.swap(LATEST, b'{"format": 1}', None)
    with pytest.raises(
        CorruptObject, match=r"latest\.json is not what it should be: Object missing required field `run`"
    ):
        read_manifest(store)


def test_a_small_record_is_written_once(store: Store) -> None:
    start = Start(run=RUN, at=NOW, full=True)
    assert read_record(store, f"runs/{RUN}/start.json", Start) is None
    assert create_record(store, f"runs/{RUN}/start.json", start)
    assert not create_record(store, f"runs/{RUN}/start.json", Start(run=RUN, at=NOW, force=True))
    assert read_record(store, f"runs/{RUN}/start.json", Start) == start


def test_a_record_that_is_another_is_named(store: Store) -> None:
    create_record(store, "runs/x/plan.json", Start(run=RUN, at=NOW))
    with pytest.raises(CorruptObject, match=r"runs/x/plan\.json is not what it should be.* Another program wrote"):
        read_record(store, "runs/x/plan.json", Plan)


def test_what_is_wrong_with_a_record_is_told_without_its_content() -> None:
    with pytest.raises(CorruptObject) as caught:
        decode(encode(a_plan(RUN)).replace(b'"users": 30', b'"users": "many of them"'), Plan, "plan.json")
    assert "`$.users`" in str(caught.value)
    assert "many of them" not in str(caught.value)


def test_what_holds_a_delta_link_is_shown_without_it() -> None:
    assert repr(a_plan(RUN)) == f"Plan(run={RUN!r})"
    assert repr(a_manifest(a_record(RUN), delta_link=LINK)) == f"Manifest(run={RUN!r})"


def test_the_last_run_is_the_last_that_ended_well_whether_or_not_it_changed_anything() -> None:
    manifest = a_manifest(a_record(run_at(2)), a_record(RUN, "unchanged"))
    assert (manifest.run, manifest.last_run) == (run_at(2), RUN)


def test_ids_are_in_utc_and_tell_milliseconds() -> None:
    moment = NOW.replace(microsecond=7_999).astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert new_run(moment, "1a2b3c4d") == "20261123T020000007Z-1a2b3c4d"
