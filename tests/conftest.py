"""Fixtures for every test that talks to Azure: the simulator, and the environment that leads to it."""

from collections.abc import Iterator

import pytest

from simulator import Simulator


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
