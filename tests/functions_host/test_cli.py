"""`python -m simulator.functions`, the command that stands in for `func start`."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.functions_host.small_app import ENVIRONMENT, write_app

PROJECT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulator.functions", *arguments]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_lists_the_functions_and_serves_until_interrupted(
    app: Path, session: requests.Session, end: signal.Signals
) -> None:
    """The list is that of `func start`: HTTP functions with methods and URL, then the others with their trigger."""
    arguments = command("--app", str(app), "--port", "0", "--key", "a-fixed-key", "--workers", "2")
    with subprocess.Popen(
        arguments, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        lines = list[str]()
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("Master key: "):
                break
        listed = [line for line in lines if line]
        url = next(line for line in listed if line.startswith("open_to_all: ")).removeprefix("open_to_all: ")
        base = url.removesuffix("/api/open")
        assert f"echo: [GET,POST,HEAD] {base}/api/echo/{{name}}" in listed
        assert listed[-4:-1] == ["nightly: timerTrigger", "work: queueTrigger", "Key: a-fixed-key"]
        assert session.get(url).status_code == 200
        assert session.get(f"{base}/api/log?code=a-fixed-key").status_code == 200
        process.send_signal(end)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "Warning: app.part log: one warning" in rest
    # The worker library's own records are left out, as `func start` leaves them out.
    assert "Function Type" not in rest


def test_a_taken_port_is_one_clear_line(app: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command("--app", str(app), "--port", port), cwd=PROJECT, capture_output=True, text=True, check=False
        )
    expected = (
        f"Port {port} is unavailable: Address already in use. "
        "Close the program that uses it, or choose another with --port.\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_an_app_that_cannot_start_is_told_plainly(tmp_path: Path) -> None:
    arguments = command(
        "--app", str(write_app(tmp_path, "raise ValueError('GRAPH_TENANT_ID is missing')")), "--port", "0"
    )
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(arguments, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "ValueError: GRAPH_TENANT_ID is missing\n")


def test_workers_end_normally_when_the_host_is_killed(app: Path, tmp_path: Path) -> None:
    """The worker's last act is to write into a named pipe, and reading that waits for it."""
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    arguments, environment = command("--app", str(app), "--port", "0"), os.environ | {"EXIT_MARK": str(mark)}
    with subprocess.Popen(arguments, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any(line.startswith("Master key: ") for line in process.stdout)
        process.kill()
        assert mark.read_text() == "ended normally"
