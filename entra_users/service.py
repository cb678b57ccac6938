"""The app in one worker process: what its triggers ask for, done with one Graph, one token and one store for all."""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from entra_users import api, jobs, remedies, sync_api, telemetry
from entra_users.api import Response
from entra_users.connection import connect, connect_store, connect_sync
from entra_users.diagnosis import diagnose
from entra_users.errors import EntraUsersError, RunInProgress
from entra_users.formats import MEDIA_TYPES
from entra_users.graph import Graph
from entra_users.page import page
from entra_users.settings import Settings
from entra_users.snapshot import Start
from entra_users.store import Store
from entra_users.sync import Sync

logger = logging.getLogger(__name__)
# The SDKs tell of every request and of its headers; identity.py sees to azure.identity.
logging.getLogger("azure.core").setLevel(logging.WARNING)


class Once[T]:
    """Something that is made at its first use, by one thread, for all."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None

    def get(self) -> T:
        """It."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


class Service:
    """Answers requests and does what messages say; nothing is asked of anyone before the first that needs it."""

    def __init__(self, settings: Settings) -> None:
        telemetry.configure(settings.applicationinsights_connection_string)
        self._settings = settings
        self._graph = Once[Graph](lambda: connect(settings, budget=settings.http_budget_seconds))
        self._store = Once[Store](lambda: connect_store(settings))
        self._sync = Once[Sync](lambda: connect_sync(settings))

    def get_page(self) -> Response:
        """The page for people."""
        return page(self._settings.users_select)

    def list_users(self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Response:
        """One live page of users."""
        return self._answer(
            lambda: api.list_users(
                self._graph.get(),
                parameters,
                disclosed=self._settings.users_select,
                address=_address(url),
                accept=headers.get("Accept", ""),
                advanced=headers.get("ConsistencyLevel", "").lower() == "eventual",
            )
        )

    def get_user(self, key: str, parameters: Mapping[str, str]) -> Response:
        """One live user, by id or userPrincipalName."""
        disclosed = self._settings.users_select
        return self._answer(lambda: api.get_user(self._graph.get(), key, parameters, disclosed=disclosed))

    def refuse(self, headers: Mapping[str, str]) -> Response | None:
        """The answer to a caller whom App Service has not let through, although it should stand in front of the app.

        The platform takes this header away from requests and sets it itself once it has checked the caller's token:
        https://learn.microsoft.com/en-us/azure/app-service/configure-authentication-user-identities
        """
        if self._settings.caller_auth == "key" or headers.get("X-MS-CLIENT-PRINCIPAL-ID"):
            return None
        return api.unauthorized()

    def request_run(self, url: str, parameters: Mapping[str, str], send: Callable[[str], object]) -> Response:
        """The answer to who asks for a run; the message that starts it is sent, unless one is active."""
        address = _address(url)

        def work() -> Response:
            try:
                start = self._start(**sync_api.run_flags(parameters))
            except RunInProgress as error:
                return sync_api.run_refused(error, address)
            send(_text(start))
            return sync_api.run_started(start, address)

        return self._answer(work)

    def run_is_due(self, *, past_due: bool) -> str | None:
        """The message that starts a run on schedule; None when one is active.

        Raises:
            EntraUsersError: as the store; the next time it is due another is tried.
        """
        try:
            start = self._start()
        except RunInProgress as error:
            logger.info("No run is started on schedule: %s", error)
            return None
        logger.info("Run %s is started on schedule%s.", start.run, ", past its time" if past_due else "")
        return _text(start)

    def do_start(self, message: bytes, delivery: int) -> list[str]:
        """Do a run, or give the messages for the partitions that others export."""
        inline = self._settings.sync_inline_users
        spread = jobs.do_start(self._sync.get(), self._store.get(), message, delivery=delivery, inline_users=inline)
        return [each.decode() for each in spread]

    def do_partition(self, message: bytes, delivery: int) -> None:
        """Export a partition of a run."""
        jobs.do_partition(self._sync.get(), self._store.get(), message, delivery=delivery)

    def do_poison(self, message: bytes) -> None:
        """End a run one of whose messages failed too often."""
        jobs.do_poison(self._store.get(), message, now=datetime.now(UTC))

    def get_run(self, run: str | None = None) -> Response:
        """How a run stands, or the one that began last."""
        return self._answer(lambda: sync_api.get_run(self._store.get(), run))

    def get_snapshot(self) -> Response:
        """The manifest of the published snapshot."""
        return self._answer(lambda: sync_api.get_snapshot(self._store.get()))

    def get_file(self, name: str) -> Response:
        """A file of the published snapshot."""
        return self._answer(lambda: sync_api.get_file(self._store.get(), name))

    def get_changes(self, parameters: Mapping[str, str]) -> Response:
        """Who was added, updated and removed since a run."""
        return self._answer(lambda: sync_api.get_changes(self._store.get(), parameters.get("since", "")))

    def check(self) -> Response:
        """Every link between the app and its users: 503 where one failed, with what to do."""
        diagnosis = diagnose(self._settings)
        headers = {"Content-Type": MEDIA_TYPES["json"], "Cache-Control": "no-store"}
        status = 503 if diagnosis.status == "failed" else 200
        return Response(status=status, headers=headers, body=msgspec.json.encode(diagnosis))

    def _start(self, *, full: bool = False, force: bool = False) -> Start:
        select, suffix = self._settings.users_select, secrets.token_hex(4)
        now = datetime.now(UTC)
        return jobs.start_run(self._store.get(), select, now=now, suffix=suffix, full=full, force=force)

    def _answer(self, work: Callable[[], Response]) -> Response:
        """What `work` gives, or its error as Graph's error object; the log names no one whom a query could name."""
        try:
            return work()
        except EntraUsersError as error:
            response = api.error_response(error, remedies.advice(error, remedies.facts(self._settings)))
            facts = (type(error).__name__, error.status, error.code, error.request_id)
            level = logging.WARNING if response.status < 500 else logging.ERROR
            logger.log(level, "%s: status %s, code %s, request-id %s", *facts)
            return response


def _address(url: str) -> str:
    return url.partition("?")[0]


def _text(start: Start) -> str:
    return msgspec.json.encode(start).decode()
