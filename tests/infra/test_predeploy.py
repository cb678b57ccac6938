"""The hook before a deployment: young role assignments are given time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from tests.infra.conftest import FakeAz

type Hook = Callable[[str], ModuleType]

CREATED = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


def run(hook: Hook, environment: dict[str, Any], age: float, slept: list[float]) -> int:
    return hook("predeploy").main(environment, clock=lambda: CREATED + timedelta(seconds=age), sleep=slept.append)


@pytest.mark.parametrize(("age", "waits"), [(0, [180.0]), (100, [80.0]), (180, []), (86400, [])])
def test_the_hook_waits_until_the_assignment_is_three_minutes_old(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], age: float, waits: list[float]
) -> None:
    slept: list[float] = []
    az.answer("role assignment list", "role-assignments.json")
    assert run(hook, provisioned, age, slept) == 0
    assert slept == waits
    assert az.commands == [
        (
            f"role assignment list --scope {provisioned['HOST_STORAGE_ID']}"
            f" --assignee-object-id {provisioned['FUNCTION_IDENTITY_PRINCIPAL_ID']}"
            " --role b7e6dc6d-f1e8-4753-8033-0f276bb0955b --fill-principal-name false"
        )
    ]


def test_without_the_assignment_a_deployment_cannot_work_and_is_stopped(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("role assignment list", [])
    assert run(hook, provisioned, 0, []) == 1
    assert capsys.readouterr().err == "The app's identity may not write the package container: run `azd provision`.\n"


def test_whoever_may_not_read_role_assignments_deploys_without_waiting(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("role assignment list", "no-right-to-register.txt")
    assert run(hook, provisioned, 0, []) == 0
    assert capsys.readouterr().out.startswith("Could not look at the identity's roles, so not waiting for them: ")
