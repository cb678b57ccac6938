"""The runbooks of docs/operations.md: their commands do what they say, wherever they need no Azure."""

import json
import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from entra_users.diagnosis import NAMES
from simulator import Simulator, client_certificate
from tests.leaks import Leaks
from tests.product.conftest import ROOT, program_environment

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BLOCKS = [
    (mark, textwrap.dedent(commands))
    for mark, commands in re.findall(
        r"^(?: *<!-- ([^\n]*) -->\n)? *```sh\n(.*?) *```\n", TEXT, re.DOTALL | re.MULTILINE
    )
]
SELECT = "USERS_SELECT=displayName,mail,employeeHireDate python -m entra_users"
RESTORE = """\
ls data/users/snapshots
cp "data/users/snapshots/$RUN/manifest.json" data/users/restored.json
mv data/users/restored.json data/users/latest.json
python -m entra_users status
"""
CERTIFICATE = (
    "GRAPH_CREDENTIAL=certificate KEY_VAULT_CERTIFICATE_NAME=graph-client-certificate-2 python -m entra_users check\n"
)
RUN_HERE = [
    "python -m entra_users check\n",
    CERTIFICATE,
    "python -m entra_users status\n",
    "python -m entra_users sync --force\n",
    RESTORE,
    "python -m entra_users sync\n",
    "python -m entra_users sync --full\n",
    "GRAPH_CREDENTIAL=federated python -m entra_users check\n",
    f"{SELECT} check\n",
    f"{SELECT} sync\n",
]


class Shell:
    """Runs commands as an operator does who has activated the virtual environment."""

    def __init__(self, azure: Simulator, folder: Path, leaks: Leaks) -> None:
        self._environment = program_environment(azure) | azure.app_settings("secret")
        self._environment["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{self._environment['PATH']}"
        self._folder = folder
        self._leaks = leaks

    def __call__(self, commands: str, status: int = 0, **variables: str) -> str:
        """Run them, and give what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self._folder,
            env=self._environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self._leaks.note("what a runbook's command printed", done.stdout + done.stderr)
        assert done.returncode == status, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `status` says."""
        return json.loads(self("python -m entra_users status"))


@pytest.fixture
def shell(azure: Simulator, tmp_path: Path, leaks: Leaks) -> Shell:
    """A shell in an empty folder, with settings for a tenant of 20 users."""
    azure.reset(users=20)
    return Shell(azure, tmp_path, leaks)


def ids(azure: Simulator) -> list[str]:
    return [user["id"] for user in azure.directory.users(["id"])]


def test_every_command_is_run_here_or_says_what_it_needs() -> None:
    assert [commands for mark, commands in BLOCKS if not mark] == RUN_HERE
    needed = {mark for mark, _ in BLOCKS if mark}
    services = ["Blob Storage", "Entra", "Graph", "Key Vault", "Key Vault and Entra", "the deployed app"]
    assert needed == {f"not run: needs {service}" for service in services}


def test_the_links_in_the_document_are_those_of_the_check() -> None:
    rows = re.findall(r"^\| ([a-zA-Z ,]+) \| .* \|$", TEXT, re.MULTILINE)
    assert ", ".join(rows[1:]) == ", ".join(NAMES)


def test_what_remedies_refer_to_is_in_the_document() -> None:
    headings = re.findall(r"^## (?:The |)(.*)$", TEXT, re.MULTILINE)
    errors = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").replace("{kind}", "certificate")
    referred = set(re.findall(r"docs/operations\.md, (?:the |)([a-z ]+)", errors))
    assert referred == {"rotate a certificate", "throttling", "shrink guard", "restore an older snapshot"}
    assert [each for each in referred if not any(heading.lower().startswith(each) for heading in headings)] == []


def test_a_new_secret_in_the_vault_is_taken_up_and_the_old_one_can_go(azure: Simulator, shell: Shell) -> None:
    application = azure.entra.application
    azure.vaults["contoso"].set_secret("graph-client-secret", application.add_secret())
    del application.secrets[0]
    assert "warning (10 ok, 1 warning)" in shell(RUN_HERE[0])


def test_the_next_certificate_is_tried_before_it_is_used(azure: Simulator, shell: Shell) -> None:
    following = client_certificate("next")
    azure.vaults["contoso"].set_certificate("graph-client-certificate-2", following)
    assert "AADSTS700027" in shell(CERTIFICATE, status=1)
    azure.entra.application.certificates.append(following)
    assert "certificate 'graph-client-certificate-2'" in shell(CERTIFICATE)


def test_after_the_shrink_guard_a_run_publishes_only_when_forced(azure: Simulator, shell: Shell) -> None:
    shell("python -m entra_users sync")
    for user_id in ids(azure)[:10]:
        azure.directory.remove(user_id)
    shell("python -m entra_users sync", status=1)
    status = json.loads(shell("python -m entra_users status\n"))
    assert (status["snapshot"]["users"], status["latest_run"]["error"]["code"]) == (20, "ShrinkRefused")
    shell("python -m entra_users sync --force\n")
    assert shell.status()["snapshot"]["users"] == 10


def test_an_older_snapshot_is_restored_and_the_next_run_goes_on_from_it(azure: Simulator, shell: Shell) -> None:
    shell("python -m entra_users sync")
    first = shell.status()["snapshot"]["run"]
    azure.directory.remove(ids(azure)[0])
    azure.directory.add(displayName="Added")
    shell("python -m entra_users sync")
    second = shell.status()["snapshot"]["run"]
    restored = json.loads(shell(RESTORE, RUN=first).partition("{")[2].join(["{", ""]))
    assert (restored["snapshot"]["run"], restored["snapshot"]["users"]) == (first, 20)
    assert "incremental" in shell("python -m entra_users sync\n")
    assert shell.status()["snapshot"]["users"] == 20
    changes = [json.loads(line) for line in shell(f"python -m entra_users changes --since {first}").splitlines()]
    assert sorted(change["change"] for change in changes) == ["added", "removed"]
    assert second not in (first, shell.status()["snapshot"]["run"])


def test_a_damaged_manifest_is_replaced_by_the_one_beside_its_parts(shell: Shell, tmp_path: Path) -> None:
    shell("python -m entra_users sync")
    run = shell.status()["snapshot"]["run"]
    (tmp_path / "data" / "users" / "latest.json").write_text("spoiled")
    assert "CorruptObject" not in shell(RUN_HERE[0], status=1)
    shell(RESTORE, RUN=run)
    assert "11 ok" in shell(RUN_HERE[0])


def test_a_damaged_part_is_replaced_by_a_full_run(shell: Shell, tmp_path: Path) -> None:
    shell("python -m entra_users sync")
    (part,) = (tmp_path / "data" / "users").rglob("part-*.gz")
    part.write_bytes(part.read_bytes()[:-8])
    shell("python -m entra_users sync --full\n")
    assert "11 ok" in shell(RUN_HERE[0])


def test_federated_credentials_are_tried_where_the_identity_is(shell: Shell) -> None:
    told = " ".join(shell("GRAPH_CREDENTIAL=federated python -m entra_users check\n").split())
    assert "acquired by a federated credential of managed identity" in told
    assert "Key Vault" not in told


def test_another_select_makes_the_next_run_a_full_one(shell: Shell) -> None:
    shell("python -m entra_users sync")
    assert "5 properties" in shell(f"{SELECT} check\n")
    assert "full (USERS_SELECT changed)" in shell(f"{SELECT} sync\n")
