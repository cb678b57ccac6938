"""Fixtures for every test that talks to Azure: the simulator, and the environment that leads to it."""

import os
import uuid
from collections.abc import Iterator

import pytest

from simulator import Simulator
from simulator.azurite import Azurite, missing


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
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
