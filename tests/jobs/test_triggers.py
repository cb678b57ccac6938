"""What starts a run: the timer and POST /api/sync, in Microsoft's worker."""

import http.client
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from entra_users.jobs import MAX_DELIVERIES
from simulator import Simulator
from simulator.demo import ROOT
from tests.jobs.app import PARTITION, START, Hosted, directory, hosted, manifest_of, stored
from tests.leaks import Leaks


@pytest.fixture(scope="module")
def running(
    _simulator: Simulator, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Hosted, Path]]:
    """The app, and the folder of its store."""
    folder = tmp_path_factory.mktemp("app")
    with hosted(_simulator, folder, leaks, {}) as app:
        yield app, folder / "users"


@pytest.fixture
def app(running: tuple[Hosted, Path], azure: Simulator) -> Hosted:
    """The app with nothing stored, and 30 users to read."""
    app, folder = running
    shutil.rmtree(folder, ignore_errors=True)
    azure.reset(users=30)
    return app


def status_of(app: Hosted, path: str) -> int:
    """The status that a path is answered with as it is written; requests would resolve its dots first."""
    with closing(http.client.HTTPConnection(urlsplit(app.host.url).netloc, timeout=60)) as connection:
        connection.request("GET", path, headers={"x-functions-key": app.host.keys.default})
        return connection.getresponse().status


def ask_and_lose_the_message(app: Hosted) -> str:
    """Ask for a run that never begins, as its message could not be sent; its id."""
    run = "20990101T000000000Z-1a2b3c4d"
    app.store.swap(f"runs/{run}/start.json", json.dumps({"run": run, "at": "2099-01-01T00:00:00Z"}).encode(), None)
    return run


@pytest.mark.parametrize("past_due", [False, True])
def test_the_timer_starts_a_run_past_its_time_too(app: Hosted, past_due: bool) -> None:
    app.host.run_timer("sync_timer", past_due=past_due)
    app.host.drain()
    assert stored(app.store) == directory(app.azure)
    run, mode = (manifest := manifest_of(app.store)).run, manifest.history[0].mode
    said = [entry.message for entry in app.host.logs if "is started on schedule" in entry.message][-1]
    assert (mode, said) == ("full", f"Run {run} is started on schedule{', past its time' if past_due else ''}.")


def test_the_timer_starts_nothing_while_a_run_is_active(app: Hosted) -> None:
    run = ask_and_lose_the_message(app)
    app.host.run_timer("sync_timer")
    app.host.drain()
    assert app.store.names() == [f"runs/{run}/start.json"]
    assert any(f"No run is started on schedule: Run {run} is active" in entry.message for entry in app.host.logs)


def test_a_run_that_is_asked_for_is_accepted_with_its_address(app: Hosted) -> None:
    response = app.post()
    run = response.json()["run"]
    assert re.fullmatch(r"\d{8}T\d{9}Z-[0-9a-f]{8}", run)
    assert (response.status_code, response.json()) == (202, {"run": run, "state": "queued"})
    assert response.headers["Location"] == f"{app.host.url}/api/sync/{run}"
    app.host.drain()
    followed = app.session.get(response.headers["Location"], timeout=60).json()
    assert (followed["run"], followed["state"], followed["users"]) == (run, "published", 30)
    assert stored(app.store) == directory(app.azure)


def test_a_run_is_refused_while_one_is_active_with_the_address_of_that(app: Hosted) -> None:
    run = ask_and_lose_the_message(app)
    response = app.post("?full=true")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "runInProgress")
    assert run in response.json()["error"]["message"]
    assert response.headers["Location"] == f"{app.host.url}/api/sync/{run}"
    assert app.store.names() == [f"runs/{run}/start.json"]


def test_another_run_applies_what_changed_and_full_reads_everything_anew(app: Hosted) -> None:
    assert app.run()["mode"] == "full"
    assert app.run()["state"] == "unchanged"
    app.azure.directory.add(displayName="Joiner")
    changed = app.run("?full=false&force=false")
    assert (changed["mode"], changed["added"]) == ("incremental", 1)
    full = app.run("?full=true")
    assert (full["mode"], full["reason"]) == ("full", "a full run was asked for")
    assert stored(app.store) == directory(app.azure)


@pytest.mark.parametrize("full", ["", "&full=true"])
def test_a_directory_that_shrank_is_refused_unless_forced(app: Hosted, full: str) -> None:
    app.run()
    for user in app.azure.directory.users(["id"])[:10]:
        app.azure.directory.remove(user["id"])
    refused = app.run(f"?force=false{full}")
    assert (refused["state"], refused["error"]["code"]) == ("failed", "ShrinkRefused")
    assert len(stored(app.store)) == 30
    assert app.run(f"?force=true{full}")["state"] == "published"
    assert stored(app.store) == directory(app.azure)


@pytest.mark.parametrize("query", ["?ful=true", "?full=yes", "?force=1", "?full=true&users=5"])
def test_an_unknown_flag_is_refused_and_starts_nothing(app: Hosted, query: str) -> None:
    response = app.post(query)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "Request_BadRequest")
    assert "there are full and force" in response.json()["error"]["message"]
    assert app.store.names() == []


def test_a_key_in_the_address_is_no_flag(app: Hosted) -> None:
    del app.session.headers["x-functions-key"]
    try:
        assert app.post(f"?code={app.host.keys.default}").status_code == 202
        assert app.post().status_code == 401
    finally:
        app.session.headers["x-functions-key"] = app.host.keys.default
    app.host.drain()


def test_a_file_in_a_folder_comes_as_its_bytes_and_no_other_path_leads_to_one(app: Hosted) -> None:
    run = app.run()["run"]
    manifest = app.get("snapshot").json()
    name = manifest["parts"][0]["file"]["name"]
    response = app.get(f"snapshot/{name}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/gzip")
    assert response.content == app.store.read(name).data
    assert len(response.content) == manifest["parts"][0]["file"]["bytes"]
    there = [f"snapshots/{run}/../../latest.json", f"snapshots/{run}/manifest.json", "latest.json"]
    for path in [
        *there,
        f"%2e%2e/users/{name}",
        f"snapshots%2f..%2f{name.replace('/', '%2f')}",
        name.replace("/", "%5c"),
        name.upper(),
        "../../../../etc/passwd",
        f"snapshots/{run}/part-00001.ndjson.gz",
        ".lock",
    ]:
        assert status_of(app, f"/api/snapshot/{path}") == 404, path


def test_the_host_gives_a_message_up_when_the_app_does() -> None:
    queues = json.loads((ROOT / "host.json").read_bytes())["extensions"]["queues"]
    assert queues["maxDequeueCount"] == MAX_DELIVERIES


def test_every_queue_has_a_function_and_so_has_its_poison_queue(app: Hosted) -> None:
    queues = {function.queue for function in app.host.functions if function.queue}
    assert queues == {START, PARTITION, f"{START}-poison", f"{PARTITION}-poison"}
