"""The app whose runs are tested, with a store of each kind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import Simulator
from tests.jobs.app import App

type MakeApp = Callable[..., App]


@pytest.fixture
def make_app(azure: Simulator, tmp_path: Path) -> MakeApp:
    """Opens the app over one folder with the settings given, each time as in another process."""

    def make(**settings: str) -> App:
        return App(azure, str(tmp_path / "users"), **settings)

    return make


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """The app over a folder; 450 users are many."""
    return make_app(SYNC_PARTITION_USERS="100", SYNC_INLINE_USERS="200", SYNC_LANES="4")


@pytest.fixture
def blob_app(azure: Simulator, container: str) -> App:
    """The app over a Blob container."""
    return App(azure, f"{container}/tenant")
