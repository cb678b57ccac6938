"""The hook before everything is deleted: what `azd down` leaves behind is offered, never taken."""

import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.infra.conftest import HOOKS, FakeAz

type Hook = Callable[[str], ModuleType]

APP = "00001111-aaaa-2222-bbbb-3333cccc4444"


def answering(answer: str) -> Callable[[str], str]:
    def ask(question: str) -> str:
        return answer

    return ask


def test_after_a_yes_both_app_registrations_are_deleted(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("ad app delete", "empty.out")
    az.answer("ad app delete", "empty.out")
    asked: list[str] = []

    def yes(question: str) -> str:
        asked.append(question)
        return " Yes "

    assert hook("predown").main(provisioned | {"CALLER_CLIENT_ID": "the-callers-app"}, ask=yes) == 0
    assert asked == [
        f"Delete the app registration {APP} too? [y/N] ",
        "Delete the app registration the-callers-app too? [y/N] ",
    ]
    assert az.commands == [f"ad app delete --id {APP}", "ad app delete --id the-callers-app"]
    assert capsys.readouterr().out == (
        f"The app registration {APP} is deleted; Entra ID keeps it restorable for 30 days.\n"
        "The app registration the-callers-app is deleted; Entra ID keeps it restorable for 30 days.\n"
    )


@pytest.mark.parametrize("answer", ["", "n", "no", "maybe"])
def test_any_other_answer_keeps_it(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    assert hook("predown").main(provisioned, ask=answering(answer)) == 0
    assert capsys.readouterr().out == f"The app registration {APP} stays. To delete it: az ad app delete --id {APP}\n"
    assert az.calls == []


def test_with_nobody_to_ask_nothing_is_deleted(az: FakeAz, provisioned: dict[str, Any]) -> None:
    ended = subprocess.run(
        [sys.executable, HOOKS / "predown.py"],
        env=os.environ | provisioned,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, az.calls) == (0, [])
    assert ended.stdout == f"The app registration {APP} stays. To delete it: az ad app delete --id {APP}\n"


def test_another_teams_app_is_not_even_asked_about(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook("predown").main(provisioned | {"ENTRA_APP": "existing"}, ask=answering("y")) == 0
    assert (capsys.readouterr().out, az.calls) == ("", [])


def test_a_registration_that_cannot_be_deleted_does_not_keep_the_rest_from_going_down(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("ad app delete", "denied.txt")
    assert hook("predown").main(provisioned, ask=answering("y")) == 0
    assert capsys.readouterr().out.startswith(
        f"The app registration {APP} could not be deleted: az ad app delete: ERROR"
    )
