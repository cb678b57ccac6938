"""The hook after a deployment: the app answers, its own check is shown, the first sync starts."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import pytest

from tests.infra.conftest import HOOKS, FakeAz

type Hook = Callable[[str], ModuleType]


class App:
    """A deployed app: what it answers by method and path, and what it was asked with which key."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, list[tuple[int, object]]] = {}
        self.asked: list[tuple[str, str | None]] = []


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """An HTTP server on loopback; the last answer laid out for a path is given again and again."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = f"{self.command} {self.path}"
            app.asked.append((request, self.headers.get("x-functions-key")))
            answers = app.answers[request]
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    app = App(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield app
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_first_deployment_ends_with_the_first_sync_started_and_no_key_printed(
    az: FakeAz, provisioned: dict[str, Any], app: App
) -> None:
    az.answer("functionapp keys list --resource-group rg-x --name func-x", "keys.json")
    app.answers = {
        "GET /api/health": [(200, {"status": "alive"})],
        "GET /api/check": [(200, {"status": "warning"})],
        "GET /api/snapshot": [(404, {"error": {"code": "notFound"}})],
        "POST /api/sync": [(202, {"run": "r1"})],
    }
    ended = subprocess.run(
        [sys.executable, HOOKS / "postdeploy.py"],
        env=os.environ | provisioned | {"FUNCTION_URL": app.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"The app is up: {app.url}/api/users\n"
        "Callers need a function key: az functionapp keys list --resource-group rg-x --name func-x"
        " --query functionKeys\n"
        'Its own check (200):\n{\n  "status": "warning"\n}\n'
        "The first sync is on its way.\n"
    )
    assert app.asked == [
        ("GET /api/health", None),
        ("GET /api/check", "the-function-key"),
        ("GET /api/snapshot", "the-function-key"),
        ("POST /api/sync", "the-function-key"),
    ]


def test_an_app_with_a_snapshot_is_not_synced_by_an_upgrade(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], app: App
) -> None:
    az.answer("functionapp keys list", "keys.json")
    app.answers = {
        "GET /api/health": [(200, {"status": "alive"})],
        "GET /api/check": [(200, {"status": "ok"})],
        "GET /api/snapshot": [(200, {"run": "r0"})],
    }
    assert hook("postdeploy").main(provisioned | {"FUNCTION_URL": app.url}) == 0
    assert [request for request, _ in app.asked] == ["GET /api/health", "GET /api/check", "GET /api/snapshot"]


def test_a_check_that_finds_a_fault_is_shown_and_fails_nothing(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("functionapp keys list", "keys.json")
    app.answers = {
        "GET /api/health": [(200, {"status": "alive"})],
        "GET /api/check": [(503, {"status": "failed"})],
    }
    assert hook("postdeploy").main(provisioned | {"FUNCTION_URL": app.url}) == 0
    assert capsys.readouterr().out.endswith(
        'Its own check (503):\n{\n  "status": "failed"\n}\n'
        'Put that right, then start a sync: docs/deploy.md, "First users".\n'
    )


def test_a_sync_that_does_not_start_is_told_with_the_answer(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("functionapp keys list", "keys.json")
    app.answers = {
        "GET /api/health": [(200, {"status": "alive"})],
        "GET /api/check": [(200, {"status": "warning"})],
        "GET /api/snapshot": [(404, "")],
        "POST /api/sync": [(409, "a run is active")],
    }
    assert hook("postdeploy").main(provisioned | {"FUNCTION_URL": app.url}) == 0
    assert capsys.readouterr().out.endswith("The first sync did not start (409): a run is active\n")


def test_an_app_that_starts_slowly_is_waited_for(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("functionapp keys list", "vault-forbidden.txt")
    slept: list[float] = []
    app.answers = {"GET /api/health": [(404, ""), (503, "starting"), (200, {"status": "alive"})]}
    assert hook("postdeploy").main(provisioned | {"FUNCTION_URL": app.url}, sleep=slept.append) == 0
    assert slept == [10.0, 10.0]
    out = capsys.readouterr().out
    assert out.startswith(f"Not up yet (404).\nNot up yet (503).\nThe app is up: {app.url}/api/users\n")
    assert "No function key to check further with: az functionapp keys list: ERROR" in out


def test_an_app_that_never_answers_is_a_failure(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    # Nothing listens on the discard port.
    assert hook("postdeploy").main(provisioned | {"FUNCTION_URL": "http://127.0.0.1:9"}, sleep=slept.append) == 1
    assert slept == [10.0] * 30
    out, err = capsys.readouterr()
    assert out == "Not up yet (no answer).\n" * 30
    assert err == "http://127.0.0.1:9/api/health does not answer: look at the app's log stream in the portal.\n"


def test_behind_entra_authentication_no_key_is_asked_for(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    app.answers = {"GET /api/health": [(200, {"status": "alive"})]}
    entra = {"FUNCTION_URL": app.url, "CALLER_AUTH": "entra", "CALLER_AUDIENCE": "api://t/entra-users-callers-x"}
    assert hook("postdeploy").main(provisioned | entra) == 0
    assert capsys.readouterr().out == (
        f"The app is up: {app.url}/api/users\n"
        'Callers come with a token for api://t/entra-users-callers-x: docs/deploy.md, "Callers".\n'
        "The first sync runs on schedule.\n"
    )
    assert az.calls == []
