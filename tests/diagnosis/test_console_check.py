"""`python -m entra_users check`: its table, its JSON, its exit status."""

import datetime as dt
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from entra_users.console_check import exit_status, table
from entra_users.diagnosis import NAMES, Diagnosis, Link, State
from simulator import Simulator
from tests.product.conftest import Console, program_environment

DIAGNOSIS = Diagnosis(
    status="failed",
    at=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
    credential="secret",
    cloud="global",
    tenant="contoso.example",
    app="91709ab4",
    links=[
        Link(
            name="settings", state="ok", seconds=0.004, detail="15 properties of each user; the store is ./data/users"
        ),
        Link(
            name="Key Vault",
            state="warning",
            seconds=1.5,
            detail="secret 'a' expires in 3 days",
            meaning="It expires soon.",
            who="owner",
            remedy="Renew it at https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/appId/91709ab4 .",
            code="credentialExpires",
        ),
        Link(
            name="token", state="failed", seconds=20, detail="No.\nNever.", meaning="Refused.", who="you", remedy="Ask."
        ),
        Link(name="advanced queries", state="not reached", seconds=0, detail="needs a link that failed"),
    ],
)
TABLE = """\
app 91709ab4, tenant contoso.example, cloud global, by secret

settings          ok            0.00 s  15 properties of each user; the store is
                                        ./data/users
Key Vault         warning       1.50 s  secret 'a' expires in 3 days
                                        It expires soon.
                                        To do (owner): Renew it at
                                        https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/appId/91709ab4
                                        .
token             failed       20.00 s  No.
                                        Never.
                                        Refused.
                                        To do (you): Ask.
advanced queries  not reached           needs a link that failed

failed (1 ok, 1 warning, 1 failed, 1 not reached)"""


def test_the_table_tells_state_time_and_what_to_do_and_breaks_no_address() -> None:
    assert table(DIAGNOSIS, width=80, colour=False) == TABLE


def test_states_are_coloured_on_a_terminal_and_nothing_else_changes() -> None:
    coloured = table(DIAGNOSIS, width=80, colour=True)
    for state, colour in {"ok": 32, "warning": 33, "failed": 31, "not reached": 2}.items():
        assert f"\x1b[{colour}m{state:<12}\x1b[0m" in coloured
        coloured = coloured.replace(f"\x1b[{colour}m", "")
    assert coloured.replace("\x1b[0m", "") == TABLE


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["ok", "ok"], 0),
        (["ok", "warning"], 0),
        (["ok", "failed"], 1),
        (["failed", "not reached"], 2),
    ],
)
def test_the_exit_status_tells_wrong_settings_from_a_link_that_failed(states: list[State], status: int) -> None:
    found = [Link(name=f"link {number}", state=state, seconds=0, detail="") for number, state in enumerate(states)]
    worst: State = "failed" if "failed" in states else "ok"
    assert exit_status(Diagnosis(status=worst, at=DIAGNOSIS.at, links=found)) == status


def settings_of(azure: Simulator, **changes: str) -> dict[str, str]:
    return azure.app_settings("secret") | {"HTTP_BUDGET_SECONDS": "1"} | changes


def test_a_chain_that_holds_ends_with_0(azure: Simulator, console: Console) -> None:
    azure.reset(users=3)
    done = console("check", settings=settings_of(azure))
    lines = done.out.decode().splitlines()
    assert (done.status, done.err) == (0, "")
    assert lines[0] == (
        f"app {azure.entra.application.client_id}, tenant {azure.entra.tenants[0].id}, cloud global, by secret"
    )
    assert [line[:18].strip() for line in lines[2:] if line[:1].strip()] == [*NAMES, "warning (10 ok, 1"]


def test_a_failed_link_ends_with_1_as_json_too(azure: Simulator, console: Console) -> None:
    azure.reset(users=3)
    azure.entra.application.graph_roles.clear()
    done = console("check", "--json", settings=settings_of(azure))
    assert (done.status, done.err) == (1, "")
    states = {link["name"]: link["state"] for link in done.document["links"]}
    assert states == {
        **dict.fromkeys(("settings", "managed identity", "Key Vault", "token", "store"), "ok"),
        "permissions": "failed",
        **dict.fromkeys(("users", "count", "changes", "advanced queries"), "not reached"),
        "snapshot": "warning",
    }
    assert done.document["status"] == "failed"


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_wrong_settings_end_with_2_and_every_fault_is_told(
    azure: Simulator, console: Console, arguments: tuple[str, ...]
) -> None:
    wrong = {"GRAPH_TENANT_ID": "common", "SYNC_LANES": "none", "SYNC_SCHEDULE": "0 0 25 * * *"}
    done = console("check", *arguments, settings=settings_of(azure) | wrong)
    assert (done.status, done.err) == (2, "")
    assert [name for name in wrong if name.encode() not in done.out] == []
    assert done.out.count(b"not reached") == (len(NAMES) - 1 if arguments else len(NAMES))


def test_a_settings_file_that_is_none_ends_with_2(azure: Simulator, console: Console, tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text("{")
    done = console("check", settings=settings_of(azure))
    assert done.status == 2
    assert b"local.settings.json is not JSON" in done.out


@pytest.mark.parametrize(
    ("given", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)], ids=str
)
def test_colour_is_for_terminals_whose_user_wants_it(
    azure: Simulator, tmp_path: Path, given: dict[str, str], coloured: bool
) -> None:
    """https://no-color.org"""
    reader, writer = pty.openpty()
    environment = program_environment(azure) | settings_of(azure) | {"GRAPH_CLOUD": "none"} | given
    with os.fdopen(reader, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-m", "entra_users", "check"], env=environment, cwd=tmp_path, stdout=writer, check=False
        )
        os.close(writer)
        shown = b""
        while not shown.endswith(b"not reached)\r\n"):
            shown += terminal.read(4096)
    assert done.returncode == 2
    assert (b"\x1b[31mfailed" in shown) is coloured
    assert (b"\x1b" in shown) is coloured
