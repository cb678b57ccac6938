"""README.md tells the truth: its commands do what it says, and those that were not run here are listed."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from entra_users.remedies import REMEDIES
from simulator import Simulator
from simulator.functions import FunctionsHost
from tests.docs.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:<!-- ([^\n]*) -->\n)?```(\w+)\n(.*?)```\n", README, re.DOTALL)
SHELL = [(mark, text) for mark, language, text in BLOCKS if language == "sh"]
ANSWER, ERROR = (json.loads(text) for _, language, text in BLOCKS if language == "json")
NOT_RUN = {
    "azd up\n": "not run: needs an Azure subscription, azd and the Azure CLI",
    "func start\n": "not run: needs Azure Functions Core Tools",
}
STAYS_UP = ["make demo\n", ".venv/bin/python -m simulator --users 100000\n"]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "data", "node_modules", "tests", "local.settings.json")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as it is cloned, with the virtual environment that `make` made."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture
def environment(azure: Simulator) -> dict[str, str]:
    """What leads to a tenant of 2,000 users, and nothing else of this machine."""
    azure.reset(users=2000)
    own = {name: os.environ[name] for name in ("HOME", "PATH")}
    return {**own, **azure.environment, **azure.app_settings("secret")}


@pytest.fixture
def demo(clone: Path) -> Iterator[int]:
    """The port on which `make demo` serves the app."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    own = {name: os.environ[name] for name in ("HOME", "PATH")}
    with start(STAYS_UP[0], clone, {**own, "PORT": str(port)}) as running:
        try:
            assert running.stdout
            for _ in iter(running.stdout.readline, "Ctrl-C stops it.\n"):
                assert running.poll() is None
            yield port
        finally:
            os.killpg(running.pid, signal.SIGINT)


def start(command: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Begin what a block says, as a group of processes of its own."""
    return subprocess.Popen(
        ["bash", "-euc", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Do what a block says, and give what it prints."""
    command = command.removesuffix("\n")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_venv(environment: dict[str, str]) -> dict[str, str]:
    """The environment after `source .venv/bin/activate`."""
    return {**environment, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"}


def test_every_block_is_shell_or_json_and_every_command_that_is_not_run_says_why() -> None:
    assert {language for _, language, _ in BLOCKS} == {"sh", "json"}
    assert {text: mark for mark, text in SHELL if mark.startswith("not run")} == NOT_RUN
    assert [text for mark, text in SHELL if mark == "stays up"] == STAYS_UP
    assert {mark for mark, _ in SHELL} == {"", "stays up", "CI runs it", *NOT_RUN.values()}


def test_what_ci_is_said_to_run_it_runs() -> None:
    (commands,) = (text.splitlines() for mark, text in SHELL if mark == "CI runs it")
    assert [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line in commands] == commands


def test_the_request_gives_the_answer_shown(clone: Path, demo: int) -> None:
    (command,) = (text for mark, text in SHELL if not mark and text.startswith("curl"))
    own = {name: os.environ[name] for name in ("HOME", "PATH")}
    answer: dict[str, Any] = json.loads(run(command.replace("7071", str(demo)), clone, own))
    link = answer["@odata.nextLink"].replace(str(demo), "7071")
    assert {**answer, "@odata.nextLink": re.sub(r"=[\w-]+$", "=...", link)} == ANSWER


def test_the_console_commands_do_what_is_said(azure: Simulator, clone: Path, environment: dict[str, str]) -> None:
    settings = azure.app_settings("secret")
    quickstart = {
        "authority": f"https://login.microsoftonline.com/{settings['GRAPH_TENANT_ID']}",
        "client_id": settings["GRAPH_CLIENT_ID"],
        "scope": ["https://graph.microsoft.com/.default"],
        "secret": azure.entra.application.secrets[0].value,
        "endpoint": "https://graph.microsoft.com/v1.0/users",
    }
    (clone / "parameters.json").write_text(json.dumps(quickstart))
    first, second, third = (text for mark, text in SHELL if not mark and not text.startswith("curl"))

    assert len(json.loads(run(first, clone, environment))["value"]) == 999
    with (clone / "users.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert sorted(ids) == sorted(user["id"] for user in azure.directory.users(["id"]))
    assert json.loads(run(second, clone, in_venv(environment)))["value"][0].keys() >= {"id", "displayName"}

    begin, keep_run, *go_on = third.splitlines()
    full, *_, since = run(f'{begin}\n{keep_run}\necho "$since"', clone, in_venv(environment)).splitlines()
    assert "full" in full
    joiner = azure.directory.add(displayName="Joiner")
    incremental, *_, change = run("\n".join([f"since={since}", *go_on]), clone, in_venv(environment)).splitlines()
    assert "incremental" in incremental
    assert (json.loads(change)["change"], json.loads(change)["id"]) == ("added", joiner["id"])


def test_the_simulator_prints_what_leads_to_it(clone: Path) -> None:
    own = {name: os.environ[name] for name in ("HOME", "PATH")}
    with start(STAYS_UP[1], clone, own) as running:
        assert running.stdout
        line = running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
    assert re.fullmatch(r"export HTTPS_PROXY=http://127.0.0.1:\d+\n", line)


def test_the_error_shown_is_the_one_without_consent(tenant: Simulator, host: FunctionsHost) -> None:
    tenant.entra.application.graph_roles.clear()
    command = f"curl -s '{host.url}/api/users' -H 'x-functions-key: {host.keys.default}'"
    error = json.loads(run(command, ROOT, {"PATH": os.environ["PATH"]}))["error"]
    shown = ERROR["error"]
    assert error["code"] == shown["code"]
    assert error["message"].startswith(shown["message"].removesuffix("..."))
    assert error["innerError"].keys() == shown["innerError"].keys()


def test_the_codes_explained_are_the_apps() -> None:
    explained = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", README.partition("## Errors")[2], re.MULTILINE)
    own = {"Request_BadRequest", "TooManyRequests", "resyncRequired", "incompleteAnswer"}
    assert len(explained) == 13
    assert set(explained) <= REMEDIES.keys() | own


def test_the_routes_listed_are_those_of_the_openapi_document() -> None:
    paths = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8"))["paths"]
    known = {f"{method.upper()} /api{path}" for path, item in paths.items() for method in item}
    rows = re.findall(r"^\| (`[A-Z]+ /.*?) \|", README, re.MULTILINE)
    named = {route.partition("?")[0] for row in rows for route in re.findall(r"`([^`]+)`", row)}
    assert {re.sub(r"/users/\{.*\}", "/users/{key}", route) for route in named} == known


def test_the_files_linked_to_exist() -> None:
    linked = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []
