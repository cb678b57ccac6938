"""Microsoft's own SDK for Graph reads the simulated Graph, and the app, as it reads Graph.

`make conformance` runs this; the SDK's virtual environment is too large for `make test`.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator
from simulator.demo import app_environment, app_folder
from simulator.functions import FunctionsHost

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-conformance" / "bin" / "python"
SELECT = (
    "id createdDateTime userPrincipalName displayName givenName surname mail jobTitle department officeLocation"
    " mobilePhone businessPhones preferredLanguage accountEnabled userType"
).split()


@pytest.fixture
def tenant(azure: Simulator) -> Simulator:
    """A tenant whose list of users has four pages."""
    azure.reset(users=1000)
    return azure


@pytest.fixture
def sdk(tenant: Simulator) -> dict[str, str]:
    """The environment in which the SDK signs in to the simulated tenant with the app's secret."""
    settings = tenant.app_settings("secret")
    return {
        **os.environ,
        "SSL_CERT_FILE": tenant.environment["REQUESTS_CA_BUNDLE"],
        "USERS_URL": "https://graph.microsoft.com/v1.0",
        "AZURE_TENANT_ID": settings["GRAPH_TENANT_ID"],
        "AZURE_CLIENT_ID": settings["GRAPH_CLIENT_ID"],
        "AZURE_CLIENT_SECRET": tenant.entra.application.secrets[0].value,
    }


@pytest.fixture
def host(tenant: Simulator, tmp_path: Path) -> Iterator[FunctionsHost]:
    """The app, started against the simulated tenant."""
    with FunctionsHost(app_folder(tmp_path), app_environment(tenant, tmp_path)) as running:
        yield running


def run(environment: Mapping[str, str], mode: str, given: str = "") -> list[Any]:
    """The lines of JSON that the SDK's program prints."""
    program = Path(__file__).with_name("sdk_client.py")
    # By a file: a delta link may be handed on here, and the suite watches what programs print for continuations.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as lines:
        subprocess.run([PYTHON, program, mode], env=environment, input=given, stdout=lines, check=True, text=True)
        lines.seek(0)
        return [json.loads(line) for line in lines]


def in_order(users: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same users by id; Graph promises no order."""
    return sorted(users, key=lambda user: user["id"])


def everyone(tenant: Simulator) -> list[dict[str, Any]]:
    """The tenant's users, by id."""
    return in_order(tenant.directory.users(SELECT))


def test_its_page_iterator_lists_every_user_of_the_simulated_graph(tenant: Simulator, sdk: dict[str, str]) -> None:
    assert in_order(run(sdk, "list")) == everyone(tenant)


def test_its_page_iterator_lists_every_user_through_the_app(
    tenant: Simulator, sdk: dict[str, str], host: FunctionsHost
) -> None:
    users = run({**sdk, "USERS_URL": f"{host.url}/api", "USERS_KEY": host.keys.default}, "list")
    assert in_order(users) == everyone(tenant)


def test_it_follows_the_simulated_graphs_delta_links(tenant: Simulator, sdk: dict[str, str]) -> None:
    *before, link = run(sdk, "delta")
    assert in_order(before) == everyone(tenant)

    changed, removed = before[0]["id"], before[1]["id"]
    tenant.directory.update(changed, displayName="Changed since")
    tenant.directory.remove(removed)
    added = tenant.directory.add(displayName="Added since", businessPhones=["+1 425 555 0100"])["id"]
    *changes, _ = run(sdk, "delta", link)

    assert {user["id"] for user in changes} == {changed, removed, added}
    after = {user["id"]: user for user in before + changes if user["id"] != removed}
    assert in_order(after.values()) == everyone(tenant)
    assert next(user["@removed"] for user in changes if user["id"] == removed) == {"reason": "changed"}
