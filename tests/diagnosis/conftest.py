"""The check of a tenant that is whole until a test breaks it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entra_users.console_check import table
from entra_users.diagnosis import Diagnosis, diagnose
from entra_users.settings import Settings
from simulator import Simulator
from tests.leaks import Leaks
from tests.product.conftest import console

__all__ = ["console"]

type MakeSettings = Callable[..., Settings]
type Check = Callable[..., Diagnosis]


@pytest.fixture
def tenant(azure: Simulator) -> Simulator:
    """A tenant with 30 users."""
    azure.reset(users=30)
    return azure


@pytest.fixture
def make_settings(tenant: Simulator, tmp_path: Path) -> MakeSettings:
    """Settings that work against the tenant, with a folder for a store and little patience, but for these changes."""

    def make(mode: str = "secret", cloud: str = "global", **changes: str) -> Settings:
        usual = {"USERS_STORE": str(tmp_path / "users"), "HTTP_BUDGET_SECONDS": "0.2"}
        return Settings.read(tenant.app_settings(mode, cloud=cloud) | usual | changes)

    return make


@pytest.fixture
def check(leaks: Leaks) -> Check:
    """The diagnosis; what it says is looked through for secrets."""

    def run(settings: Settings, **parameters: Any) -> Diagnosis:
        diagnosis = diagnose(settings, **parameters)
        leaks.note("the check as JSON", msgspec.json.encode(diagnosis).decode())
        leaks.note("the check as a table", table(diagnosis, width=200, colour=False))
        return diagnosis

    return run
