"""What is said of runs, the snapshot and changes, at every point of a run."""

import gzip
import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
import requests

from entra_users.errors import RunInProgress
from entra_users.runs import fail_run
from simulator import Simulator
from tests.jobs.app import App, directory, document, manifest_of, stored
from tests.jobs.conftest import MakeApp


def error_of(response: Any) -> tuple[int, str]:
    """Status and code of an answer that is an error."""
    return response.status, document(response)["error"]["code"]


def test_a_run_is_queued_then_running_with_its_progress_then_published(app: App) -> None:
    app.azure.reset(users=450)
    run = app.start()
    queued = app.status(run)
    assert queued == {"run": run, "state": "queued", "started_at": queued["started_at"]}
    app.deliver_start()
    total = len(app.partitions)
    assert total > 3
    for done in range(total - 1):
        running = app.status()
        receipts = [document_in(app, name) for name in app.store.names(f"runs/{run}/done-")]
        assert running == {
            "run": run,
            "state": "running",
            "started_at": queued["started_at"],
            "mode": "full",
            "reason": "there is no snapshot yet",
            "partitions": {"done": done, "total": total},
            "users": sum(receipt["part"]["file"]["lines"] for receipt in receipts),
            "expected": 450,
            "usage": running["usage"],
        }
        app.deliver_partition()
    app.deliver_partition()
    published = app.status(run)
    assert (published["state"], published["users"], published["partitions"]) == ("published", 450, total)
    assert published["started_at"] < published["ended_at"]
    assert stored(app.store) == directory(app.azure)


def document_in(app: App, name: str) -> Any:
    """A record in the store."""
    return json.loads(app.store.read(name).data)


def test_a_run_without_changes_is_unchanged_and_keeps_the_snapshot(app: App) -> None:
    app.azure.reset(users=30)
    first = app.run()["run"]
    second = app.run()
    assert (second["state"], second["users"]) == ("unchanged", 30)
    assert manifest_of(app.store).run == first


def test_a_failed_run_says_why_and_when(app: App) -> None:
    app.azure.reset(users=30)
    app.azure.entra.application.graph_roles.clear()
    failed = app.run()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "AccessDenied")
    assert "Authorization_RequestDenied" in failed["error"]["message"]
    assert datetime.fromisoformat(failed["ended_at"]) >= datetime.fromisoformat(failed["started_at"])
    assert app.status() == failed


def test_a_run_that_another_overtook_is_superseded(app: App) -> None:
    app.azure.reset(users=30)
    run = app.start()
    fail_run(app.store, run, RunInProgress("Another run published first."), manifest_time(app))
    assert app.status(run)["state"] == "superseded"
    assert app.status(run)["error"] == {"code": "RunInProgress", "message": "Another run published first."}


def manifest_time(app: App) -> datetime:
    """A time that a run can end at."""
    return datetime.fromisoformat(app.status()["started_at"])


@pytest.mark.parametrize("run", ["20261123T020000000Z-1a2b3c4d", "latest", "..", "", "20261123T020000000Z-"])
def test_a_run_that_is_not_known_is_not_found(app: App, run: str) -> None:
    assert error_of(app.service.get_run(run))[0] == 404


def test_before_the_first_run_nothing_is_found(app: App) -> None:
    answers = [
        app.service.get_run(),
        app.service.get_snapshot(),
        app.service.get_file("latest.json"),
        app.service.get_changes({"since": "20261123T020000000Z-1a2b3c4d"}),
    ]
    assert [answer.status for answer in answers] == [404] * 4
    for answer in answers:
        assert "POST /api/sync" in document(answer)["error"]["message"]


def test_the_snapshot_is_the_manifest_without_the_delta_link(app: App) -> None:
    app.azure.reset(users=30)
    app.run()
    manifest = manifest_of(app.store)
    assert manifest.delta_link is not None
    response = app.service.get_snapshot()
    expected = msgspec.to_builtins(manifest) | {"delta_link": None}
    assert (response.status, document(response)) == (200, expected)
    assert b"deltatoken" not in response.body.lower()


def test_changes_since_a_run_lead_from_its_snapshot_to_the_directory(app: App) -> None:
    app.azure.reset(users=30)
    since = app.run()["run"]
    before = stored(app.store)
    users = app.azure.directory.users(["id"])
    app.azure.directory.remove(users[0]["id"])
    app.azure.directory.update(users[1]["id"], jobTitle="Director")
    app.run()
    added = app.azure.directory.add(displayName="Joiner")["id"]
    app.run(full="true")
    response = app.service.get_changes({"since": since})
    changes = [json.loads(line) for line in response.body.splitlines()]
    assert {(change["change"], change["id"]) for change in changes} == {
        ("removed", users[0]["id"]),
        ("updated", users[1]["id"]),
        ("added", added),
    }
    after = {change["id"]: change.get("user") for change in changes}
    assert {key: user for key, user in {**before, **after}.items() if user} == directory(app.azure)
    assert response.headers == {
        "Content-Type": "application/x-ndjson",
        "X-Snapshot-Run": manifest_of(app.store).run,
    }
    since = manifest_of(app.store).run
    assert app.service.get_changes({"since": since}).body == b""


def test_changes_need_a_run_that_is_still_kept(app: App, make_app: MakeApp) -> None:
    app.azure.reset(users=30)
    app.run()
    assert error_of(app.service.get_changes({})) == (400, "Request_BadRequest")
    assert error_of(app.service.get_changes({"since": "yesterday"}))[0] == 404
    assert error_of(app.service.get_changes({"since": "20140701T000000000Z-1a2b3c4d"}))[0] == 410


def test_csv_and_changes_are_files_of_the_snapshot(azure: Simulator, make_app: MakeApp) -> None:
    azure.reset(users=30)
    app = make_app(SNAPSHOT_FORMATS="ndjson,csv")
    app.run()
    azure.directory.add(displayName="Joiner")
    app.run()
    manifest = document(app.service.get_snapshot())
    csv, changes = manifest["csv"], manifest["history"][-1]["changes"]
    for file in (csv, changes):
        response = app.service.get_file(file["name"])
        assert (response.status, response.headers) == (200, {"Content-Type": "application/gzip"})
        assert len(response.body) == file["bytes"]
        assert response.body == app.store.read(file["name"]).data
    assert len(gzip.decompress(app.service.get_file(csv["name"]).body).splitlines()) == 1 + 31


def test_a_file_of_another_run_is_not_found_once_the_snapshot_does_not_name_it(app: App) -> None:
    app.azure.reset(users=30)
    run = app.run()["run"]
    old = f"snapshots/{run}/part-00000.ndjson.gz"
    assert app.service.get_file(old).status == 200
    app.run(full="true")
    assert app.store.read(old).data
    for name in (old, f"snapshots/{run}/manifest.json", "latest.json", f"runs/{run}/plan.json", "../users/latest.json"):
        assert error_of(app.service.get_file(name)) == (404, "Request_ResourceNotFound")


def test_on_blob_a_file_is_a_link_that_downloads_it_and_nothing_else(
    blob_app: App, azure: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.reset(users=30)
    assert blob_app.run()["state"] == "published"
    file = manifest_of(blob_app.store).parts[0].file
    response = blob_app.service.get_file(file.name)
    assert (response.status, response.headers["Cache-Control"], response.body) == (302, "no-store", b"")
    with requests.Session() as session:
        link = response.headers["Location"]
        downloaded = session.get(link, timeout=60)
        assert (downloaded.status_code, len(downloaded.content)) == (200, file.bytes)
        assert downloaded.content == blob_app.store.read(file.name).data
        assert session.get(link.replace(file.name, "latest.json"), timeout=60).status_code == 403
        assert session.put(link, headers={"x-ms-blob-type": "BlockBlob"}, timeout=60).status_code == 403
    for name in ("latest.json", f"runs/{manifest_of(blob_app.store).run}/plan.json", f"../tenant/{file.name}"):
        assert error_of(blob_app.service.get_file(name)) == (404, "Request_ResourceNotFound")


def test_a_page_a_user_and_the_check_come_from_the_same_service(app: App) -> None:
    app.azure.reset(users=3)
    someone = app.azure.directory.users(["id"])[0]["id"]
    listed = app.service.list_users("http://localhost/api/users", {}, {})
    assert {user["id"]: user for user in document(listed)["value"]} == directory(app.azure)
    assert document(app.service.get_user(someone, {}))["id"] == someone
    assert app.service.get_page().status == 200
    app.run()
    assert app.service.check().status == 200
    app.azure.entra.application.graph_roles.clear()
    assert app.service.check().status == 503


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"X-MS-CLIENT-PRINCIPAL-ID": "someone"}, None)])
def test_behind_app_service_only_callers_it_let_through_are_answered(
    make_app: MakeApp, headers: dict[str, str], status: int | None
) -> None:
    refused = make_app(CALLER_AUTH="entra").service.refuse(headers)
    assert (refused.status if refused else None) == status
    assert make_app().service.refuse(headers) is None
