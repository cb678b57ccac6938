"""The console as a program: what it loads, and what Application Insights is told of its runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import Simulator
from simulator.faults import Fault, answered, connection_reset, unreachable
from simulator.insights import INGESTION_HOST
from tests.leaks import Leaks
from tests.telemetry.conftest import insights_environment
from tests.telemetry.told import Told

ROOT = Path(__file__).parents[2]
SYNC = ("-m", "entra_users", "sync")

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python(azure: Simulator, tmp_path: Path, leaks: Leaks) -> Run:
    """Runs Python with the settings of an app that tells Application Insights of itself, or with others."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            env={**os.environ, **insights_environment(azure, tmp_path), **settings, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        leaks.note("what a program printed", done.stdout + done.stderr)
        return done

    return run


def test_a_sync_on_the_console_is_told_and_all_of_it_when_the_program_ends(azure: Simulator, python: Run) -> None:
    azure.reset(users=30)
    done = python(*SYNC)
    assert done.returncode == 0
    told = Told(azure)
    completed = [event.attributes["users"] for event in told.events if event.name == "sync.completed"]
    assert completed == ["30", "30"]
    run = told.events[0].attributes["run"]
    assert sorted(span.name for span in told.spans_of(run)) == ["follow", "partition", "plan", "publish", "run"]
    assert told.sums()["directory.added"] == 30


def test_without_a_connection_string_nothing_of_opentelemetry_is_loaded(azure: Simulator, python: Run) -> None:
    azure.reset(users=30)
    done = python("-X", "importtime", *SYNC, APPLICATIONINSIGHTS_CONNECTION_STRING="")
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"entra_users.telemetry", "azure.identity", "azure.keyvault.secrets"} < loaded
    foreign = ("opentelemetry", "azure.monitor", "azure.core.tracing.opentelemetry", "entra_users.insights")
    assert [name for name in loaded if name.startswith(foreign)] == []
    assert azure.insights.bodies == []


@pytest.mark.parametrize(
    "fault",
    [
        unreachable(host=INGESTION_HOST, times=None),
        connection_reset(host=INGESTION_HOST, times=None),
        answered(503, host=INGESTION_HOST, times=None),
        answered(400, host=INGESTION_HOST, times=None),
    ],
)
def test_a_run_is_none_the_worse_for_an_application_insights_that_fails(
    azure: Simulator, python: Run, fault: Fault
) -> None:
    azure.reset(users=30)
    azure.faults.plan(fault)
    done = python(*SYNC)
    assert (done.returncode, "30 added, 0 updated, 0 removed" in done.stdout) == (0, True)
    assert azure.insights.bodies == []


def test_an_identity_that_may_not_tell_is_named_the_role_that_it_lacks(azure: Simulator, python: Run) -> None:
    azure.reset(users=30)
    azure.insights.publishers.clear()
    done = python(*SYNC)
    assert done.returncode == 0
    assert "Monitoring Metrics Publisher" in done.stderr
    assert azure.insights.bodies == []


def test_telemetry_is_configured_once(azure: Simulator, python: Run) -> None:
    text = """
import os
from entra_users import telemetry
for _ in range(2):
    telemetry.configure(os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"])
telemetry.event("sync.completed", run="a")
telemetry.count("graph.pages", 2)
telemetry.flush()
os._exit(0)
"""
    assert python("-c", text).returncode == 0
    told = Told(azure)
    assert [(event.name, event.attributes) for event in told.events] == [("sync.completed", {"run": "a"})]
    assert told.sums() == {"graph.pages": 2}


def test_libraries_tell_nothing_of_the_requests_that_are_made_with_them(azure: Simulator, python: Run) -> None:
    """Their addresses hold filters, page tokens and names of users."""
    azure.reset(users=3)
    text = """
import os, urllib.request, requests, urllib3
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from entra_users import telemetry
telemetry.configure(os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"])
with telemetry.span("plan", "a"):
    requests.get("https://graph.microsoft.com/v1.0/users?$filter=x", timeout=10)
    urllib3.PoolManager().request("GET", os.environ["IDENTITY_ENDPOINT"])
    try:
        urllib.request.urlopen(os.environ["IDENTITY_ENDPOINT"])
    except OSError:
        pass
    with (
        ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]) as credential,
        SecretClient(os.environ["KEY_VAULT_URL"], credential) as client,
    ):
        client.get_secret("graph-client-secret")
"""
    assert python("-c", text).returncode == 0
    told = Told(azure)
    assert [span.name for span in told.spans] == ["plan"]
    assert (told.events, told.metrics) == ([], [])
    # Nor is anyone told which run asks.
    sent = {name for request in azure.requests for name in request.headers}
    assert sent.isdisjoint({"traceparent", "tracestate", "request-id"})
