"""What the app tells of itself: events, metrics and traces, in Application Insights where that is configured.

No name, address, id or filter of a user is in any of it. Events are lines of the log too, wherever the app runs.

Events (`AppEvents`), each with what is known of its attributes, and with `run` where it is part of one:

    sync.completed       a snapshot was published, or nothing had changed: all of `Attributes` but the last
    sync.failed          a run ended without publishing: the same, and `error`
    sync.refused         a run was held back, since the directory would shrink: the same, and `error`
    consent.missing      Graph refused the app with 403: `error`
    credential.expiring  the secret or certificate ends within CREDENTIAL_WARN_DAYS: `credential_days_left`
    graph.throttled      Graph asks for longer waits than a request may take: `throttled_seconds`, `retries`, `error`

`throttled_seconds` of a run is averaged over the workers that read at once, in each of which all lanes wait together,
so that its share of `duration_seconds` is the share of the run. `snapshot_age_seconds` is how long ago the last run
that ended well began to read. `error` is the error's class with the service's status, code and request id, and never
its message.

Metrics (`AppMetrics`). These count up: `graph.users`, `graph.pages`, `graph.resource_units`, `graph.throttled_seconds`
(summed over the workers), `graph.retries` by `cause` (`429`, `503`, ..., `timeout`, `connection`), `directory.added`,
`directory.updated`, `directory.removed`. These are measured once a run: `directory.users`, `snapshot.age_seconds`,
`sync.duration_seconds` by `outcome` (the event); and `credential.days_left` once a token.

Traces (`AppDependencies`): a run is one trace, whichever workers do it, with the spans `run` (begin to end), `plan`,
`partition`, `follow` (the changes since the last run) and `publish`. Its id follows from the run's id, so that no
message has to carry it: `operation_Id` of a run is the first half of the SHA-256 of its id.
"""

import logging
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, get_args

from entra_users.errors import EntraUsersError

if TYPE_CHECKING:
    from entra_users.insights import Insights

logger = logging.getLogger(__name__)

type Event = Literal[
    "sync.completed", "sync.failed", "sync.refused", "consent.missing", "credential.expiring", "graph.throttled"
]


class Attributes(TypedDict, total=False):
    """What an event may tell beside its error."""

    run: str
    mode: str
    users: int
    added: int
    updated: int
    removed: int
    duration_seconds: float
    graph_requests: int
    resource_units: int
    throttled_seconds: float
    retries: int
    snapshot_age_seconds: float
    credential_days_left: int


type Span = Literal["run", "plan", "partition", "follow", "publish"]

type Counter = Literal[
    "graph.users",
    "graph.pages",
    "graph.resource_units",
    "graph.throttled_seconds",
    "graph.retries",
    "directory.added",
    "directory.updated",
    "directory.removed",
]
type Measure = Literal["directory.users", "sync.duration_seconds", "snapshot.age_seconds", "credential.days_left"]

_run: ContextVar[str | None] = ContextVar("run", default=None)
_insights: "list[Insights]" = []


def configure(connection_string: str) -> None:
    """Send what is told from now on to Application Insights too; done once, and never with an empty string.

    Who sends it stands in APPLICATIONINSIGHTS_AUTHENTICATION_STRING, which the exporter reads itself:
    https://learn.microsoft.com/en-us/azure/azure-functions/functions-app-settings#applicationinsights_authentication_string
    """
    if connection_string and not _insights:
        from entra_users.insights import Insights  # noqa: PLC0415 -- lazy: 0.2 s of imports

        insights = Insights(
            connection_string,
            logger=__name__,
            counters=get_args(Counter.__value__),
            measures=get_args(Measure.__value__),
        )
        _insights.append(insights)


def event(name: Event, *, error: EntraUsersError | None = None, **attributes: Unpack[Attributes]) -> None:
    """Tell that something happened; within a span it belongs to that span's run, and its error is the span's."""
    told: dict[str, object] = {"run": _run.get(), **attributes}
    if error is not None:
        told["error"] = _without_message(error)
        for insights in _insights:
            insights.fail(error)
    told = {key: value for key, value in told.items() if value is not None}
    line = " ".join([name, *(f"{key}={value}" for key, value in told.items())])
    # Never with exc_info: the exporter would send an exception, its message included, in the event's place.
    # https://learn.microsoft.com/en-us/azure/azure-monitor/app/opentelemetry-add-modify#send-custom-events
    logger.info(line, extra={"microsoft.custom_event.name": name, **told})


def count(metric: Counter, value: float, **labels: str) -> None:
    """Count a metric up."""
    for insights in _insights:
        insights.counters[metric].add(value, labels)


def record(metric: Measure, value: float, **labels: str) -> None:
    """Add what was measured once to a metric."""
    for insights in _insights:
        insights.measures[metric].record(value, labels)


@contextmanager
def span(name: Span, run: str, *, began: datetime | None = None, **attributes: int) -> Generator[None]:
    """A stretch of a run; the run's trace has it even where another worker does the rest.

    Args:
        name: of the span.
        run: the run's id.
        began: aware UTC; None for now.
        attributes: whatever tells it apart from the others of this name.
    """
    token = _run.set(run)
    try:
        with ExitStack() as stack:
            for insights in _insights:
                stack.enter_context(insights.span(name, run, began, attributes))
            yield
    finally:
        _run.reset(token)


def flush() -> None:
    """Send what is still held back; for a worker that may be stopped as soon as it has nothing to do."""
    for insights in _insights:
        insights.flush()


def _without_message(error: EntraUsersError) -> str:
    """The error's class and the service's own marks; a message may quote what a user is found by."""
    facts = {"status": error.status, "code": error.code, "request-id": error.request_id}
    told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    return f"{type(error).__name__} ({told})" if told else type(error).__name__
