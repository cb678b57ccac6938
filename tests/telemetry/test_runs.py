"""Runs of the app in Microsoft's worker, spread over three processes, as Application Insights is told of them."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import quote

import pytest
import requests

from entra_users import telemetry
from simulator import Simulator
from simulator.demo import app_folder
from simulator.faults import answered, connection_reset, server_error, throttled
from simulator.functions import FunctionsHost, LogEntry
from simulator.insights import INGESTION_HOST
from tests.leaks import Leaks
from tests.telemetry.conftest import insights_environment
from tests.telemetry.told import Told

USERS = 600
LIST = r"^/v1\.0/users$"
DENIED = '{"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the app did, in `runs` and their states by what they are for, and what it told."""

    runs: dict[str, dict[str, Any]]
    told: Told
    lines: list[str]
    users: list[dict[str, Any]]
    hosts: set[str]
    statuses: list[int]


@pytest.fixture(scope="module")
def story(_simulator: Simulator, leaks: Leaks, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A full run over the queue, one with changes, one without, one that is refused, one without consent; requests."""
    azure, folder = _simulator, tmp_path_factory.mktemp("told")
    azure.reset(users=USERS)
    secret = azure.entra.application.secrets[0].value
    azure.vaults["contoso"].set_secret(
        "graph-client-secret", secret, expires_on=datetime.now(UTC) + timedelta(days=10, hours=1)
    )
    azure.faults.plan(
        throttled("0.3", path=LIST, skip=5), server_error(503, path=LIST, skip=9), connection_reset(path=LIST, skip=12)
    )
    azure.state.latency = 0.05
    environment = insights_environment(azure, folder) | {
        "SYNC_PARTITION_USERS": "25",
        "SYNC_INLINE_USERS": "100",
        "HTTP_BUDGET_SECONDS": "10",
    }
    shown: list[str] = []

    def show(entry: LogEntry) -> None:
        shown.append(f"{entry.category} {entry.message}")
        leaks.note("the log of the Functions host", str(entry))

    with FunctionsHost(app_folder(folder), environment, workers=3, show=show) as host, requests.Session() as session:
        leaks.know(host.keys.default, host.keys.master)
        session.trust_env = False
        session.headers["x-functions-key"] = host.keys.default

        def run() -> dict[str, Any]:
            started = session.post(f"{host.url}/api/sync", timeout=60).json()
            host.drain()
            return session.get(f"{host.url}/api/sync/{started['run']}", timeout=60).json()

        runs = {"full": run()}
        users = azure.directory.users()
        for user in users[:2]:
            azure.directory.remove(user["id"])
        for user in users[2:5]:
            azure.directory.update(user["id"], jobTitle="Director")
        for number in range(4):
            azure.directory.add(displayName=f"Joiner {number}", userPrincipalName=f"joiner{number}@contoso.example")
        users += azure.directory.users()
        runs |= {"changes": run(), "nothing": run()}
        for user in azure.directory.users()[:300]:
            azure.directory.remove(user["id"])
        runs["shrunk"] = run()
        azure.faults.plan(answered(403, DENIED))
        runs["unconsented"] = run()
        someone = azure.directory.users()[0]
        asked = [
            f"users?$filter=displayName eq '{quote(someone['displayName'])}'",
            f'users?$search="displayName:{quote(someone["displayName"])}"&$count=true',
            f"users/{quote(someone['userPrincipalName'])}",
            "users/nobody@contoso.example",
        ]
        statuses = [session.get(f"{host.url}/api/{path}", timeout=60).status_code for path in asked]
        azure.faults.plan(throttled("200", path=LIST))
        statuses.append(session.get(f"{host.url}/api/users", timeout=60).status_code)
    told = Told(azure)
    for body in told.bodies:
        leaks.note("what Application Insights was told", body.decode())
    return Story(
        runs=runs,
        told=told,
        lines=shown,
        users=users,
        hosts={request.host for request in azure.requests},
        statuses=statuses,
    )


def trace_of(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()[:32]


def test_it_went_as_it_should(story: Story) -> None:
    states = {what: (run["state"], run.get("mode")) for what, run in story.runs.items()}
    assert states == {
        "full": ("published", "full"),
        "changes": ("published", "incremental"),
        "nothing": ("unchanged", "unchanged"),
        "shrunk": ("failed", None),
        "unconsented": ("failed", None),
    }
    assert story.statuses == [200, 200, 200, 404, 429]


@pytest.mark.parametrize("what", ["full", "changes", "nothing"])
def test_a_run_that_ended_well_is_told_as_its_record_has_it(story: Story, what: str) -> None:
    run = story.runs[what]
    (event,) = [each for each in story.told.events_of(run["run"]) if each.name != "credential.expiring"]
    took = event.attributes["duration_seconds"]
    assert (event.name, event.attributes) == (
        "sync.completed",
        {
            **{name: str(run[name]) for name in ("run", "mode", "users", "added", "updated", "removed")},
            "duration_seconds": took,
            "snapshot_age_seconds": took,
            "graph_requests": str(run["usage"]["requests"]),
            "resource_units": str(run["usage"]["resource_units"]),
            "throttled_seconds": str(round(run["usage"]["throttled_seconds"], 3)),
            "retries": str(run["usage"]["retries"]),
        },
    )
    recorded = datetime.fromisoformat(run["ended_at"]) - datetime.fromisoformat(run["started_at"])
    assert round(recorded.total_seconds(), 3) <= float(took) < 60


def test_what_changed_while_a_full_run_was_reading_is_told_as_a_run_of_its_own(story: Story) -> None:
    told = [event for event in story.told.events if event.attributes.get("run", "").endswith("-catchup")]
    found = {(event.name, event.attributes["mode"], event.attributes["users"]) for event in told}
    assert found == {("sync.completed", "unchanged", "600")}


def test_a_run_that_would_shrink_the_directory_is_told_with_the_numbers(story: Story) -> None:
    (event,) = story.told.events_of(story.runs["shrunk"]["run"])
    took, age = event.attributes["duration_seconds"], event.attributes["snapshot_age_seconds"]
    assert (event.name, event.attributes) == (
        "sync.refused",
        {
            "run": story.runs["shrunk"]["run"],
            "users": "302",
            "removed": "300",
            "duration_seconds": took,
            "snapshot_age_seconds": age,
            "error": "ShrinkRefused",
        },
    )
    # The snapshot that stands is that of the run before.
    assert 0 < float(took) < float(age) < 60


def test_missing_consent_is_told_and_so_is_the_run_that_failed_for_it(story: Story) -> None:
    run = story.runs["unconsented"]["run"]
    missing, failed = story.told.events_of(run)
    error = "AccessDenied (status 403, code Authorization_RequestDenied)"
    assert (missing.name, missing.attributes) == ("consent.missing", {"run": run, "error": error})
    assert (failed.name, failed.attributes["error"]) == ("sync.failed", error)
    assert set(failed.attributes) == {"run", "error", "duration_seconds", "snapshot_age_seconds"}


def test_a_secret_that_is_about_to_expire_is_told_with_the_days_left(story: Story) -> None:
    told = [event.attributes for event in story.told.events if event.name == "credential.expiring"]
    assert {each["credential_days_left"] for each in told} == {"10"}
    assert {metric.value / metric.count for metric in story.told.metrics if metric.name == "credential.days_left"} == {
        10
    }


def test_a_request_that_was_given_up_for_throttling_is_told_outside_of_any_run(story: Story) -> None:
    (event,) = [each for each in story.told.events if each.name == "graph.throttled"]
    waited = event.attributes["throttled_seconds"]
    assert float(waited) < 10
    assert event.attributes == {
        "throttled_seconds": waited,
        "retries": "0",
        "error": "Throttled (status 429, code TooManyRequests)",
    }
    assert int(event.trace, 16) == int(event.span, 16) == 0


def test_every_event_is_a_line_of_the_log_too(story: Story) -> None:
    lines = [line.removeprefix("entra_users.telemetry ") for line in story.lines if line.startswith("entra_users.tele")]
    told = [
        " ".join([each.name, *(f"{key}={value}" for key, value in each.attributes.items())])
        for each in story.told.events
    ]
    assert sorted(lines) == sorted(told)


def test_a_run_is_one_trace_whichever_workers_do_it(story: Story) -> None:
    run = story.runs["full"]["run"]
    spans = story.told.spans_of(run)
    assert {span.trace for span in spans} == {trace_of(run)}
    assert len({span.worker for span in spans}) > 1
    # Two workers may find that all is exported, and publish; for the second, what is done is done.
    once = sorted((span.name, span.success) for span in spans if span.name not in {"publish", "follow"})
    count = story.runs["full"]["partitions"]
    assert once == [*[("partition", True)] * count, ("plan", True), ("run", True)]
    assert {("publish", True), ("follow", True)} <= {(span.name, span.success) for span in spans}
    numbers = [int(span.attributes["number"]) for span in spans if span.name == "partition"]
    assert sorted(numbers) == list(range(count))
    assert story.told.spans_of(story.runs["changes"]["run"])[0].trace != trace_of(run)


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("changes", ["follow", "run"]),
        ("nothing", ["follow", "run"]),
        ("shrunk", ["follow", "run"]),
        ("unconsented", ["follow", "run"]),
    ],
)
def test_the_span_of_a_run_spans_it_and_has_failed_where_the_run_has(story: Story, what: str, names: list[str]) -> None:
    run = story.runs[what]["run"]
    follow, whole = sorted(story.told.spans_of(run), key=lambda span: span.name)
    assert [follow.name, whole.name] == names
    assert follow.trace == whole.trace == trace_of(run)
    assert {follow.success, whole.success} == {what in {"changes", "nothing"}}
    (end,) = [event for event in story.told.events_of(run) if event.name.startswith("sync.")]
    assert (end.trace, end.span) == (whole.trace, whole.id)


def test_metrics_add_up_to_what_was_read_and_changed(story: Story) -> None:
    sums = story.told.sums()
    ended = [event for event in story.told.events if event.name == "sync.completed"]
    assert set(sums) == {
        "graph.users",
        "graph.pages",
        "graph.resource_units",
        "graph.throttled_seconds",
        "graph.retries cause=429",
        "graph.retries cause=503",
        "graph.retries cause=connection",
        "directory.users",
        "directory.added",
        "directory.updated",
        "directory.removed",
        "sync.duration_seconds outcome=sync.completed",
        "sync.duration_seconds outcome=sync.failed",
        "sync.duration_seconds outcome=sync.refused",
        "snapshot.age_seconds",
        "credential.days_left",
    }
    assert (sums["directory.added"], sums["directory.updated"], sums["directory.removed"]) == (604, 3, 2)
    assert sums["directory.users"] == sum(int(event.attributes["users"]) for event in ended)
    assert {cause: sums[f"graph.retries cause={cause}"] for cause in ("429", "503", "connection")} == {
        "429": 1,
        "503": 1,
        "connection": 1,
    }
    assert sums["graph.throttled_seconds"] >= 0.3
    # Every user of the full run, the nine changes, the 300 that were then gone, and a page for each of two requests.
    assert sums["graph.users"] > 600 + 9 + 300
    assert sums["sync.duration_seconds outcome=sync.completed"] == pytest.approx(
        sum(float(event.attributes["duration_seconds"]) for event in ended)
    )


def test_nothing_is_told_but_what_is_named(story: Story) -> None:
    """No request that the app makes or answers is told by the libraries themselves."""
    kinds = {each["data"]["baseType"] for each in story.told.envelopes}
    assert kinds == {"EventData", "RemoteDependencyData", "MetricData"}
    assert {event.name for event in story.told.events} == set(get_args(telemetry.Event.__value__))
    assert {key for event in story.told.events for key in event.attributes} == {
        *telemetry.Attributes.__annotations__,
        "error",
    }
    assert {span.name for span in story.told.spans} == set(get_args(telemetry.Span.__value__))
    assert {key for span in story.told.spans for key in span.attributes} == {"run", "number"}
    metrics = {*get_args(telemetry.Counter.__value__), *get_args(telemetry.Measure.__value__)}
    assert {metric.name for metric in story.told.metrics} == metrics
    assert {key for metric in story.told.metrics for key in metric.labels} == {"cause", "outcome"}


def test_no_one_in_the_directory_is_named_and_no_query_is_quoted(story: Story) -> None:
    """What was sent is searched as it was sent."""
    traffic = b"\n".join(story.told.bodies).decode().lower()
    identifying = ("id", "displayName", "userPrincipalName", "mail", "mobilePhone", "mailNickname")
    told_of = {str(user[name]).lower() for user in story.users for name in identifying if user.get(name)}
    # Someone is called "]}", as any JSON is.
    named = {value for value in told_of if re.search(r"\w{3}", value)}
    assert len(named) > 4 * USERS
    assert [value for value in named if value in traffic or quote(value) in traffic] == []
    assert [
        word for word in ("filter", "search", "token=", "select", "nobody@", "/users", "http") if word in traffic
    ] == []


def test_only_the_resource_of_the_connection_string_is_told(story: Story) -> None:
    assert story.hosts == {
        "contoso.vault.azure.net",
        "graph.microsoft.com",
        "login.microsoftonline.com",
        "managed-identity",
        INGESTION_HOST,
    }
    assert {each["iKey"] for each in story.told.envelopes} == {"b3f5c3a0-7d8e-4a4e-9a53-0c8f6d6a5e11"}
