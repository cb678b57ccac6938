"""Fixtures for every test: the simulator with the environment that leads to it, and the watch for secrets."""

import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from simulator import Simulator
from simulator.azurite import Azurite, missing
from tests.leaks import Leaks

# A law holds however long it takes to show on a busy machine.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def leaks() -> Iterator[Leaks]:
    """Sees every log record and every error of the suite; a test that runs a program notes what it printed."""
    with Leaks() as watch:
        yield watch
        watch.check()


@pytest.fixture(autouse=True)
def _no_leak(leaks: Leaks) -> Iterator[None]:
    """Nothing that a test logged, raised or printed holds a secret, a token, a key or a continuation."""
    yield
    leaks.check()


@pytest.fixture(scope="session")
def _simulator(leaks: Leaks) -> Iterator[Simulator]:
    with Simulator() as simulator:
        leaks.azure = simulator
        yield simulator


@pytest.fixture
def azure(_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A fresh simulated Azure without users, found by this process's clients through the environment."""
    _simulator.reset()
    for name, value in _simulator.environment.items():
        monkeypatch.setenv(name, value)
    return _simulator


@pytest.fixture(scope="session")
def azurite(_simulator: Simulator) -> Iterator[Azurite]:
    """Blob and queue storage of the account `account`; without Node its tests are skipped, in CI they fail."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with Azurite(_simulator) as storage:
        yield storage


@pytest.fixture
def container(azurite: Azurite) -> str:
    """The URL of an empty Blob container."""
    return azurite.create_container(f"users-{uuid.uuid4()}")
