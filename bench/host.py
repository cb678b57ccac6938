"""The app in Microsoft's Functions worker, behind the stand-in for `func start`, in processes of their own."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.measuring import ROOT, Failed

KEY = "bench"
_LISTENS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
_TICK = os.sysconf("SC_CLK_TCK")


class Host:
    """A host that serves the app.

    Args:
        port: on 127.0.0.1.
        process: the id of its process, whose children are the workers.
    """

    def __init__(self, port: int, process: int) -> None:
        self._port = port
        self._process = process

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
            connection.request(method, path, headers={"x-functions-key": KEY})
            response = connection.getresponse()
            return response.status, response.read()

    def read_pages(self, path: str, pages: int) -> None:
        """Follow next links from `path` on for so many pages, and from there again where there are fewer.

        Raises:
            Failed: the app answered with an error.
        """
        following = path
        for _ in range(pages):
            status, body = self.ask("GET", following)
            if status != 200:
                raise Failed(f"GET {following.partition('?')[0]} was answered with {status}: {body[:500]!r}")
            link: Any = json.loads(body).get("@odata.nextLink")
            following = link.partition(f":{self._port}")[2] if link else path

    def cpu(self) -> float:
        """Seconds of processor time that its workers have used."""
        stats = [_stat(worker) for worker in self._workers()]
        return sum(int(user) + int(system) for *_, user, system in (stat[:13] for stat in stats)) / _TICK

    def memory(self) -> float:
        """The most that one of its workers had resident at once, in MB of a million bytes."""
        return max(_peak(worker) for worker in self._workers())

    def _workers(self) -> list[int]:
        processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [each for each in processes if (stat := _stat(each)) and int(stat[1]) == self._process]


def _stat(process: int) -> list[str]:
    """What follows the name in /proc/PID/stat: state, parent, ..., user time and system time as 12th and 13th."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return []


def _peak(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


@contextmanager
def functions_host(environment: Mapping[str, str], *, workers: int = 1) -> Generator[Host]:
    """The app, served.

    Args:
        environment: of host and workers, the app's settings included.
        workers: how many worker processes.

    Raises:
        Failed: it did not start.
    """
    command = [sys.executable, "-m", "simulator.functions", "--app", str(ROOT), "--port", "0", "--key", KEY]
    with subprocess.Popen(
        [*command, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 -- it was asked for
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if found := _LISTENS.search(line):
                break
        else:
            raise Failed(f"The app did not start:\n{''.join(said)}")
        # A pipe that nobody reads would stop it once it is full.
        drain = threading.Thread(target=deque, args=(process.stdout, 0))
        drain.start()
        try:
            yield Host(int(found[1]), process.pid)
        finally:
            process.terminate()
            drain.join()
