"""The examples of docs/consumers.md, run as they stand on a store that real runs have made."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import Simulator

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"## (.+?)\n.*?```python\n(.*?)```", (ROOT / "docs/consumers.md").read_text(), re.DOTALL)


@pytest.fixture
def folder(azure: Simulator, tmp_path: Path) -> Path:
    """A folder with a store of 2,500 users in several parts."""
    azure.reset(users=2500)
    sync(azure, tmp_path)
    return tmp_path


def sync(azure: Simulator, folder: Path) -> None:
    settings = azure.app_settings("secret") | {"USERS_STORE": "data/users", "SYNC_PARTITION_USERS": "500"}
    environment = os.environ | settings | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "entra_users", "sync"], cwd=folder, env=environment, check=True)


def run(example: str, folder: Path) -> str:
    """What an example prints, run in a folder that holds the store."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_there_is_an_example_for_each_way_to_read() -> None:
    titles = [title for title, _ in EXAMPLES]
    assert titles == [
        "Plain Python",
        "DuckDB",
        "pandas",
        "Keep a copy of your own up to date",
    ]


def test_plain_python_reads_every_user(folder: Path) -> None:
    checked = json.loads((folder / "data/users/latest.json").read_text())["checked_at"]
    assert run(EXAMPLES[0][1], folder) == f"2500 users as of {checked}\n"


def test_duckdb_reads_every_user(azure: Simulator, folder: Path) -> None:
    total = "\nprint(duckdb.sql('select count(*), count(distinct id) from users').fetchall())"
    assert run(EXAMPLES[1][1] + total, folder).endswith("[(2500, 2500)]\n")


def test_pandas_reads_every_user(azure: Simulator, folder: Path) -> None:
    departments = {user["department"] for user in azure.directory.users()} - {None}
    assert run(EXAMPLES[2][1], folder) == f"2500 users, {len(departments)} departments\n"


def test_a_copy_that_follows_the_changes_equals_the_snapshot(azure: Simulator, folder: Path) -> None:
    keep = "\nPath('copy.json').write_text(json.dumps([copy, since]))"
    run(EXAMPLES[3][1] + keep, folder)
    first, second, third = (user["id"] for user in azure.directory.users()[:3])
    azure.directory.update(first, displayName="Someone Else")
    azure.directory.remove(second)
    azure.directory.add(displayName="Newcomer", userPrincipalName="newcomer@contoso.onmicrosoft.com")
    sync(azure, folder)
    azure.directory.remove(third)
    sync(azure, folder)
    follow = (
        "\ncopy, since = update(*json.loads(Path('copy.json').read_text()))"
        "\nmanifest = json.loads((store / 'latest.json').read_text())"
        "\nprint(copy == read_snapshot(manifest), len(copy), copy['%s']['displayName'], since == manifest['run'])"
    )
    assert run(EXAMPLES[3][1] + follow % first, folder) == "True 2499 Someone Else True\n"
