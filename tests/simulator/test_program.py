"""`python -m simulator` runs until it is told to stop, and says how to reach it."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from simulator import Simulator

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", *arguments], cwd=ROOT, text=True, stdout=-1, stderr=-1, env={**os.environ}
    )


def variables(text: str) -> dict[str, str]:
    pairs = [shlex.split(line) for line in text.splitlines()]
    assert {each[0] for each in pairs} == {"export"}
    return dict(each[1].split("=", 1) for each in pairs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_and_writes_its_environment_and_stops_when_told(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "azure.env"
    with start("--users", "7", "--env-file", str(file), "--credential", "certificate", "--cloud", "usgov") as process:
        assert process.stdout is not None
        lines = ""
        while "KEY_VAULT_URL" not in lines:
            lines += process.stdout.readline()
        told = variables(file.read_text())
        control = told["HTTPS_PROXY"] + "/control/settings?credential=certificate&cloud=usgov"
        settings = requests.get(control, timeout=10).json()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert variables(lines + rest) == told
    assert told.items() >= settings.items()
    assert settings["KEY_VAULT_URL"] == "https://contoso.vault.usgovcloudapi.net"
    assert not Path(told["REQUESTS_CA_BUNDLE"]).exists()


def test_a_taken_port_is_one_line_that_says_what_to_do(azure: Simulator) -> None:
    with start("--port", str(azure.port)) as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (
        2,
        "",
        f"Port {azure.port} is taken: choose another with --port, or 0 for a free one.\n",
    )
