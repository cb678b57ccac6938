"""What a program costs: time, processor time and memory of the process alone, as the system counts them at its end."""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one run of a program took.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of processor time, the system's on its behalf included.
        memory: the most that was resident at once, in MB of a million bytes.
        output: what it printed.
    """

    seconds: float
    cpu: float
    memory: float
    output: bytes = b""


class Failed(Exception):
    """A program that was to be measured did not do its work."""


def python(*arguments: str, program: Path | str = sys.executable) -> list[str]:
    """The command that runs this Python, or another, with these arguments."""
    return [str(program), *arguments]


def spend(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Spent:
    """Run a program in a folder to its end.

    The system counts what a process held before it became another program too, so whoever measures must stay small.

    Raises:
        Failed: it ended with another status than 0.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            tail = said.read().decode(errors="replace")[-2000:]
            raise Failed(f"{' '.join(command[:5])} ended with status {process.returncode}:\n{tail}")
        output.seek(0)
        unit = 1 if sys.platform == "darwin" else 1024
        return Spent(
            seconds=seconds,
            cpu=usage.ru_utime + usage.ru_stime,
            memory=usage.ru_maxrss * unit / 1e6,
            output=output.read(),
        )


def interleaved[T](rounds: int, variants: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """The results of every variant, one a round: all take turns, so that whatever drifts hits all alike."""
    results: dict[str, list[T]] = {name: [] for name in variants}
    for forwards in itertools.islice(itertools.cycle((True, False)), rounds):
        for name in variants if forwards else reversed(list(variants)):
            results[name].append(variants[name]())
    return results


def base_environment() -> dict[str, str]:
    """What every measured program finds: no setting of this machine beyond where things are."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONPATH": str(ROOT)}
