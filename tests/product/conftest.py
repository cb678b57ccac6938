"""Graph over the simulator on a clock that only a test moves, and the console as a program."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from entra_users.graph import Graph
from entra_users.identity import AccessToken
from entra_users.tokens import Tokens
from simulator import Simulator
from simulator.clouds import CLOUDS
from simulator.demo import app_environment, app_folder
from simulator.functions import FunctionsHost
from simulator.tokens import issue
from tests.leaks import Leaks

ROOT = Path(__file__).parents[2]
GRAPH = "https://graph.microsoft.com"


class Clock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.slept.append(seconds)
        self.now += seconds


class IssuedTokens:
    """Graph tokens straight from the simulated Entra, for tests that are not about signing in."""

    def __init__(self, azure: Simulator, cloud: str = "global") -> None:
        self._azure = azure
        self._cloud = CLOUDS[cloud]
        self.acquired = 0

    def acquire(self) -> AccessToken:
        """A new token."""
        self.acquired += 1
        entra = self._azure.entra
        token, lifetime = issue(
            self._azure.state,
            tenant=entra.tenant_of(self._cloud),
            cloud=self._cloud,
            principal=entra.application,
            resource=self._cloud.graph_resource,
            credential="1",
        )
        return AccessToken(value=token, expires_on=self._azure.state.clock() + lifetime)


@pytest.fixture
def clock() -> Clock:
    """The clock of `graph`."""
    return Clock()


@pytest.fixture
def make_graph(azure: Simulator, clock: Clock) -> Callable[..., Graph]:
    """Makes a Graph with these parameters in place of the usual ones: a budget of 100 seconds, waits without chance."""

    def make(**parameters: Any) -> Graph:
        tokens = parameters.pop("tokens", None) or Tokens(IssuedTokens(azure))
        usual: dict[str, Any] = {
            "budget": 100.0,
            "clock": clock,
            "sleep": clock.sleep,
            "jitter": lambda: 1.0,
            "timeout": (5.0, 5.0),
        }
        return Graph(parameters.pop("root", GRAPH), tokens, **(usual | parameters))

    return make


@pytest.fixture
def graph(make_graph: Callable[..., Graph]) -> Graph:
    """Graph on the test's clock."""
    return make_graph()


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a program printed, and its exit status."""

    status: int
    out: bytes
    err: str = field(repr=False)

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


type Console = Callable[..., Printed]


@pytest.fixture
def console(azure: Simulator, tmp_path: Path) -> Console:
    """Runs `python -m entra_users` in an empty folder, with the settings given as environment variables."""

    def run(*arguments: str | Path, settings: Mapping[str, str] | None = None) -> Printed:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "entra_users", *map(str, arguments)],
            env=program_environment(azure) | dict(settings or {}),
            cwd=tmp_path,
            check=False,
            timeout=60,
            capture_output=True,
        )
        return Printed(status=done.returncode, out=done.stdout, err=done.stderr.decode())

    return run


def program_environment(azure: Simulator) -> dict[str, str]:
    """The environment of a program: the way to the simulator and what every program needs, no settings."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "COVERAGE_FILE")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    return inherited | azure.environment | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def host(_simulator: Simulator, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionsHost]:
    """The app in Microsoft's worker, behind the stand-in for `func start`; one for all tests of a module."""
    folder = tmp_path_factory.mktemp("app")
    _simulator.reset()
    # The budget is one that no wait for `Retry-After: 90` fits in.
    environment = app_environment(_simulator, folder) | {
        "HTTP_BUDGET_SECONDS": "10",
        "USERS_SELECT": "",
        "SYNC_LANES": "8",
    }
    with FunctionsHost(app_folder(folder), environment) as running:
        leaks.know(running.keys.default, running.keys.master)
        yield running
