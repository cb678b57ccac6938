"""The triggers: each hands what came in to the service, and what comes back to the host."""

# The library leaves its decorators' options untyped.
# pyright: reportUnknownMemberType=none

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, List, cast  # noqa: UP035 -- as below

import azure.functions as func

from entra_users.settings import Settings

if TYPE_CHECKING:
    from entra_users.api import Response
    from entra_users.service import Service

START, PARTITION, STORAGE = "users-sync-start", "users-sync-partition", "AzureWebJobsStorage"

# A fault in the settings ends the start with a message that names every one of them.
settings = Settings.read(os.environ)
# With CALLER_AUTH=entra App Service has checked the caller's token before a request comes here.
app = func.FunctionApp(
    http_auth_level=func.AuthLevel.FUNCTION if settings.caller_auth == "key" else func.AuthLevel.ANONYMOUS
)

_services: "list[Service]" = []
_opening = threading.Lock()


# An empty route would be the function's name: https://github.com/Azure/Azure-Functions/issues/2473
@app.route("{nothing:maxlength(0)?}", methods=["GET"])
def page(req: func.HttpRequest) -> func.HttpResponse:
    """The page for people."""
    return _answer(req, lambda service: service.get_page())


@app.route("users", methods=["GET"])
def users(req: func.HttpRequest) -> func.HttpResponse:
    """One live page of users."""
    return _answer(req, lambda service: service.list_users(req.url, req.params, _headers(req)))


@app.route("users/{key}", methods=["GET"])
def user(req: func.HttpRequest) -> func.HttpResponse:
    """One live user, by id or userPrincipalName."""
    return _answer(req, lambda service: service.get_user(req.route_params["key"], req.params))


@app.route("sync", methods=["POST"])
@app.queue_output("message", START, STORAGE)
def sync_start(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    """Start a run; `full=true` reads everything anew, `force=true` publishes even if the directory shrank."""
    return _answer(req, lambda service: service.request_run(req.url, req.params, message.set))


@app.route("sync", methods=["GET"])
def sync_latest(req: func.HttpRequest) -> func.HttpResponse:
    """How the run that began last stands."""
    return _answer(req, lambda service: service.get_run())


@app.route("sync/{run}", methods=["GET"])
def sync_status(req: func.HttpRequest) -> func.HttpResponse:
    """How a run stands."""
    return _answer(req, lambda service: service.get_run(req.route_params["run"]))


@app.route("snapshot", methods=["GET"])
def snapshot(req: func.HttpRequest) -> func.HttpResponse:
    """The manifest of the published snapshot."""
    return _answer(req, lambda service: service.get_snapshot())


@app.route("snapshot/{*file}", methods=["GET"])
def snapshot_file(req: func.HttpRequest) -> func.HttpResponse:
    """A file of the published snapshot."""
    return _answer(req, lambda service: service.get_file(req.route_params["file"]))


@app.route("changes", methods=["GET"])
def changes(req: func.HttpRequest) -> func.HttpResponse:
    """Who was added, updated and removed since a run."""
    return _answer(req, lambda service: service.get_changes(req.params))


@app.route("check", methods=["GET"])
def check(req: func.HttpRequest) -> func.HttpResponse:
    """Every link between the app and its users."""
    return _answer(req, lambda service: service.check())


# Apart from the check: the host does not tell a Python function whether who called it anonymously had a key.
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Alive: the app has started with settings that are whole."""
    return func.HttpResponse('{"status":"alive"}', mimetype="application/json")


# Timers are ended after minutes and HTTP requests after 230 seconds, so both only ask for a run.
@app.timer_trigger("timer", "%SYNC_SCHEDULE%", run_on_startup=False, use_monitor=True)
@app.queue_output("message", START, STORAGE)
def sync_timer(timer: func.TimerRequest, message: func.Out[str]) -> None:
    """Start a run on schedule; one that is past due is started too, and one that is active is left alone."""
    start = _service().run_is_due(past_due=timer.past_due)
    if start is not None:
        message.set(start)


@app.queue_trigger("message", START, STORAGE)
@app.queue_output("partitions", PARTITION, STORAGE)
def sync_run(message: func.QueueMessage, partitions: func.Out[List[str]]) -> None:  # noqa: UP006 -- all that the worker takes
    """Do a run, or spread it over the partition queue where the directory is large."""
    partitions.set(_service().do_start(message.get_body(), message.dequeue_count or 1))


@app.queue_trigger("message", PARTITION, STORAGE)
def sync_partition(message: func.QueueMessage) -> None:
    """Export one partition of a run."""
    _service().do_partition(message.get_body(), message.dequeue_count or 1)


@app.queue_trigger("message", f"{START}-poison", STORAGE)
def sync_run_poison(message: func.QueueMessage) -> None:
    """End a run whose message failed too often."""
    _service().do_poison(message.get_body())


@app.queue_trigger("message", f"{PARTITION}-poison", STORAGE)
def sync_partition_poison(message: func.QueueMessage) -> None:
    """End a run one of whose partitions failed too often."""
    _service().do_poison(message.get_body())


def _service() -> "Service":
    """One service for all invocations of this worker process, which run in several threads."""
    with _opening:
        if not _services:
            # Lazy: a start should not wait for what only an invocation needs.
            from entra_users.service import Service  # noqa: PLC0415

            _services.append(Service(settings))
        return _services[0]


def _answer(req: func.HttpRequest, ask: "Callable[[Service], Response]") -> func.HttpResponse:
    service = _service()
    response = service.refuse(_headers(req)) or ask(service)
    return func.HttpResponse(response.body, status_code=response.status, headers=response.headers)


def _headers(req: func.HttpRequest) -> Mapping[str, str]:
    return cast("Mapping[str, str]", req.headers)
