"""Events as lines of the log, and which run they belong to; telemetry is not configured in this process."""

import logging

import pytest

from entra_users import telemetry
from entra_users.errors import AccessDenied, IncompleteDirectory

NAME = "microsoft.custom_event.name"
USUAL = set(vars(logging.makeLogRecord({})))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, from the level on that the Functions worker has."""
    caplog.set_level(logging.INFO)
    return caplog


def told(log: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """The lines, and what they hold beside what every line does."""
    return [
        (record.getMessage(), {key: value for key, value in vars(record).items() if key not in {*USUAL, "message"}})
        for record in log.records
    ]


def test_an_event_is_a_line_with_its_attributes_both_to_read_and_to_query(log: pytest.LogCaptureFixture) -> None:
    telemetry.event("sync.completed", run="a", users=3, duration_seconds=1.5)
    assert told(log) == [
        (
            "sync.completed run=a users=3 duration_seconds=1.5",
            {NAME: "sync.completed", "run": "a", "users": 3, "duration_seconds": 1.5},
        )
    ]
    assert [record.exc_info for record in log.records] == [None]


def test_an_error_is_told_without_its_message(log: pytest.LogCaptureFixture) -> None:
    """Graph's own message may quote the filter, or the user who was asked for."""
    error = AccessDenied("ada@contoso.example is not yours.", status=403, code="Denied", request_id="1-2")
    telemetry.event("consent.missing", error=error)
    telemetry.event("sync.failed", error=IncompleteDirectory("2 users were read, and Graph counted 3."))
    assert [line for line, _ in told(log)] == [
        "consent.missing error=AccessDenied (status 403, code Denied, request-id 1-2)",
        "sync.failed error=IncompleteDirectory",
    ]


def fail_within(run: str) -> None:
    with telemetry.span("partition", run, number=1):
        telemetry.event("graph.throttled")
        raise ValueError("on the way")


def test_within_a_span_an_event_belongs_to_its_run(log: pytest.LogCaptureFixture) -> None:
    with telemetry.span("plan", "outer"):
        with pytest.raises(ValueError, match="on the way"):
            fail_within("inner")
        telemetry.event("graph.throttled")
        telemetry.event("graph.throttled", run="named")
    telemetry.event("graph.throttled")
    assert [line for line, _ in told(log)] == [
        "graph.throttled run=inner",
        "graph.throttled run=outer",
        "graph.throttled run=named",
        "graph.throttled",
    ]
