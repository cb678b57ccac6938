"""The app as its documents tell of it: served on this machine, with the settings of the demo."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import Simulator
from simulator.demo import app_environment, app_folder
from simulator.functions import FunctionsHost

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tenant(azure: Simulator) -> Simulator:
    """A tenant with 250 users."""
    azure.reset(users=250)
    return azure


@pytest.fixture
def host(tenant: Simulator, tmp_path: Path) -> Iterator[FunctionsHost]:
    """The app, which stores users in `tmp_path / "users"`."""
    with FunctionsHost(app_folder(tmp_path), app_environment(tenant, tmp_path)) as running:
        yield running
