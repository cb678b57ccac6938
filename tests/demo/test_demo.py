"""`make demo` as a newcomer runs it: in processes of its own, with nothing in the environment but what is said here."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from simulator.demo import SELECT
from simulator.directory import Directory

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A clean environment, without Core Tools on its path."""
    (tmp_path / "bin").mkdir()
    return {"HOME": os.environ["HOME"], "PATH": str(tmp_path / "bin")}


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def make(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `make demo` in the project's folder."""
    program = shutil.which("make")
    assert program
    command = [program, "--no-print-directory", "demo", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def demo(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program behind it."""
    command = [sys.executable, "-m", "simulator.demo", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_it_shows_users_a_sync_and_its_changes_and_where_to_go_on(environment: dict[str, str], port: int) -> None:
    done = make(environment, "ONCE=1", f"PORT={port}")
    assert (done.returncode, done.stderr) == (0, "")
    page, manifest = (json.loads(found) for found in re.findall(r"^\{\n.*?^\}$", done.stdout, re.DOTALL | re.MULTILINE))
    assert (page["@odata.count"], len(page["value"])) == (2000, 3)
    known = {user["id"]: user for user in Directory(2000).users(SELECT.split(","))}
    assert page["value"] == [known[user["id"]] for user in page["value"]]
    assert (manifest["users"], manifest["counted"]) == (2000, 2000)
    changes = [json.loads(line)["change"] for line in done.stdout.splitlines() if line.startswith('{"change"')]
    assert sorted(changes) == ["added"] * 3 + ["removed"] * 3 + ["updated"] * 4
    assert f"  http://127.0.0.1:{port}/api/users?code=demo\n" in done.stdout


def test_settings_and_proxies_of_the_machine_do_not_disturb_it(environment: dict[str, str], port: int) -> None:
    own = {
        "KEY_VAULT_SECRET_NAME": "another",
        "USERS_SELECT": "id",
        "AzureWebJobsStorage__queueServiceUri": "https://nowhere.queue.core.windows.net",
        "https_proxy": "http://127.0.0.1:9",
        "no_proxy": "graph.microsoft.com",
        "REQUESTS_CA_BUNDLE": "/nowhere.pem",
    }
    done = demo(environment | own, "--once", "--port", port)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 of 2,000 users" in done.stdout


def test_it_stays_up_until_ctrl_c_and_every_address_it_names_answers(environment: dict[str, str], port: int) -> None:
    command = [sys.executable, "-m", "simulator.demo", "--port", str(port)]
    with (
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as running,
        requests.Session() as session,
    ):
        try:
            assert running.stdout
            shown = "".join(iter(running.stdout.readline, "Ctrl-C stops it.\n"))
            session.trust_env = False
            addresses = re.findall(r"^  (http\S+)$", shown, re.MULTILINE)
            answers = {address: session.get(address, timeout=60).status_code for address in addresses}
            assert answers == dict.fromkeys(addresses, 200)
            assert len(addresses) == 9
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait() == 0
    with socket.create_server(("127.0.0.1", port)):
        """The port is free again."""


def test_a_taken_port_is_one_line_that_says_what_to_do(environment: dict[str, str], taken_port: int) -> None:
    done = demo(environment, "--once", "--port", taken_port)
    assert done.stderr == (
        f"Port {taken_port} is taken: end the program that uses it, or run `make demo PORT={taken_port + 1}`.\n"
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_another_python_is_one_line_that_says_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    done = make(environment, "ONCE=1", "PYTHON=no-such-python", f"VENV={tmp_path / 'venv'}")
    first, _, rest = done.stderr.partition("\n")
    assert first == (
        "Python 3.13 is needed and 'no-such-python' is not it: install it (python.org, pyenv, apt) or run"
        " 'make demo PYTHON=/path/to/python3.13'."
    )
    assert rest.startswith("make: ***")
    assert (done.returncode, done.stdout) == (2, "")


def test_core_tools_serve_the_app_where_they_are_installed(
    environment: dict[str, str], port: int, tmp_path: Path
) -> None:
    func = tmp_path / "bin" / "func"
    func.write_text(
        f'#!/bin/sh\necho "func $*"\ntest ! -e local.settings.json && test "$VIRTUAL_ENV" = "{sys.prefix}" || exit 9\n'
        f'PYTHONPATH="{ROOT}" exec python -m simulator.functions --app . --port "$3" --key demo\n'
    )
    func.chmod(0o755)
    done = demo(environment, "--once", "--port", port)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"func start --port {port}\n" in done.stdout
    assert "3 of 2,000 users" in done.stdout


def test_core_tools_that_do_not_start_are_an_error(environment: dict[str, str], port: int, tmp_path: Path) -> None:
    func = tmp_path / "bin" / "func"
    func.write_text("#!/bin/sh\nexit 3\n")
    func.chmod(0o755)
    done = demo(environment, "--once", "--port", port)
    assert (done.returncode, done.stderr) == (1, "`func start` ended with status 3; it says why above.\n")
