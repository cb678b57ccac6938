"""The app whose runs are tested: in this process, its messages delivered by hand, or in Microsoft's worker."""

import gzip
import json
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qs

import requests

from entra_users.api import Response
from entra_users.connection import connect_store
from entra_users.properties import DEFAULT_SELECT
from entra_users.runs import names_by_run
from entra_users.service import Service
from entra_users.settings import Settings
from entra_users.snapshot import Manifest, Plan, read_manifest, read_record
from entra_users.store import Store
from simulator import Simulator
from simulator.demo import app_environment, app_folder
from simulator.functions import FunctionsHost
from simulator.state import RecordedRequest
from tests.leaks import Leaks

GRAPH = "graph.microsoft.com"
START, PARTITION = "users-sync-start", "users-sync-partition"
SPREAD = {"SYNC_PARTITION_USERS": "100", "SYNC_INLINE_USERS": "200", "SYNC_LANES": "4"}
"""A directory of more than 200 users is spread over the partition queue."""

type Users = dict[str, dict[str, Any]]


class App:
    """The service in this process; the messages it sends wait until a test delivers them.

    Attributes:
        store: what it writes to.
        starts: messages that start a run.
        partitions: messages for one partition each.
    """

    def __init__(self, azure: Simulator, users_store: str, **settings: str) -> None:
        self.azure = azure
        self._settings = Settings.read({**azure.app_settings("secret"), "USERS_STORE": users_store, **settings})
        self.store = connect_store(self._settings)
        self.service = Service(self._settings)
        self.starts: list[str] = []
        self.partitions: list[str] = []

    def ask_for_run(self, **flags: str) -> Response:
        """POST /api/sync."""
        return self.service.request_run("http://localhost/api/sync?code=key", flags, self.starts.append)

    def start(self, **flags: str) -> str:
        """Ask for a run; its id."""
        return document(self.ask_for_run(**flags))["run"]

    def deliver_start(self, delivery: int = 1) -> None:
        """A worker does the next message that starts a run, which is gone unless that raises."""
        self.partitions += self.service.do_start(self.starts[0].encode(), delivery)
        del self.starts[0]

    def deliver_partition(self, delivery: int = 1) -> None:
        """A worker does the next message for a partition, which is gone unless that raises."""
        self.service.do_partition(self.partitions[0].encode(), delivery)
        del self.partitions[0]

    def drain(self) -> None:
        """Deliver every message."""
        while self.starts:
            self.deliver_start()
        while self.partitions:
            self.deliver_partition()

    def run(self, **flags: str) -> dict[str, Any]:
        """A whole run; how it ended."""
        run = self.start(**flags)
        self.drain()
        return self.status(run)

    def status(self, run: str | None = None) -> dict[str, Any]:
        """GET /api/sync/{run}, or GET /api/sync."""
        return document(self.service.get_run(run))

    def files(self) -> dict[str, bytes]:
        """Everything in the store."""
        return {name: self.store.read(name).data for name in self.store.names()}


def document(response: Response) -> Any:
    """The body of an answer."""
    return json.loads(response.body)


def manifest_of(store: Store) -> Manifest:
    """The published manifest."""
    manifest, _ = read_manifest(store)
    assert manifest is not None
    return manifest


def lines_of(store: Store, name: str) -> list[Any]:
    """The lines of a file, read as any program would: it is whole, or this raises."""
    with store.open(name) as stream, gzip.open(stream) as file:
        return [json.loads(line) for line in file]


def stored(store: Store) -> Users:
    """The users of the published snapshot, none twice."""
    users = [user for part in manifest_of(store).parts for user in lines_of(store, part.file.name)]
    found = {user["id"]: user for user in users}
    assert len(found) == len(users)
    return found


def directory(azure: Simulator) -> Users:
    """The users there are, with all the properties that are read."""
    return {user["id"]: user for user in azure.directory.users(DEFAULT_SELECT)}


def pages_asked(azure: Simulator, since: int = 0) -> list[str]:
    """The filters of the first pages of users that were asked for, after so many requests."""
    asked = (parse_qs(each.query) for each in azure.requests[since:] if is_list(each))
    return [query["$filter"][0] for query in asked if "$filter" in query and "$skiptoken" not in query]


def is_list(request: RecordedRequest) -> bool:
    """Whether a request was for a page of users."""
    return request.host == GRAPH and request.path == "/v1.0/users"


def finished_partitions(store: Store) -> set[str]:
    """The filters of the partitions of runs under way that have a receipt."""
    manifest, _ = read_manifest(store)
    last = manifest.last_run if manifest else ""
    found: set[str] = set()
    for run, names in names_by_run(store, "runs/").items():
        plan = read_record(store, f"runs/{run}/plan.json", Plan)
        if run > last and plan is not None:
            done = (each for each in plan.partitions if f"runs/{run}/done-{each.number:05d}.json" in names)
            found |= {str(each.where) for each in done}
    return found


class Hosted:
    """The app in Microsoft's worker, asked over HTTP."""

    def __init__(self, azure: Simulator, host: FunctionsHost, session: requests.Session, store: Store) -> None:
        self.azure = azure
        self.host = host
        self.session = session
        self.store = store

    def get(self, path: str) -> requests.Response:
        """GET a path below /api; redirects are not followed."""
        return self.session.get(f"{self.host.url}/api/{path}", timeout=60, allow_redirects=False)

    def post(self, query: str = "") -> requests.Response:
        """POST /api/sync."""
        return self.session.post(f"{self.host.url}/api/sync{query}", timeout=60)

    def run(self, query: str = "") -> dict[str, Any]:
        """A whole run; how it ended."""
        run = self.post(query).json()["run"]
        self.host.drain()
        return self.get(f"sync/{run}").json()


@contextmanager
def hosted(
    azure: Simulator,
    folder: Path,
    leaks: Leaks,
    settings: dict[str, str],
    *,
    workers: int = 1,
    queues: dict[str, Any] | None = None,
) -> Generator[Hosted]:
    """The app in a folder of its own, with these settings and options of `extensions.queues` in its host.json.

    A message that failed comes back at once.
    """
    app, environment = app_folder(folder), app_environment(azure, folder) | settings
    configuration = json.loads((app / "host.json").read_bytes())
    configuration["extensions"]["queues"] |= {"visibilityTimeout": "00:00:00", **(queues or {})}
    (app / "host.json").unlink()
    (app / "host.json").write_text(json.dumps(configuration))
    store = connect_store(Settings.read(environment))
    with FunctionsHost(app, environment, workers=workers) as host, requests.Session() as session:
        leaks.know(host.keys.default, host.keys.master)
        session.trust_env = False
        session.headers["x-functions-key"] = host.keys.default
        yield Hosted(azure, host, session, store)


class Watched(deque[RecordedRequest]):
    """The simulator's record of requests, which tells of every one as it comes."""

    def __init__(self, told: Callable[[RecordedRequest], object]) -> None:
        super().__init__(maxlen=100_000)
        self._told = told

    @override
    def append(self, x: RecordedRequest, /) -> None:
        super().append(x)
        self._told(x)


@contextmanager
def watching(azure: Simulator, told: Callable[[RecordedRequest], object]) -> Generator[None]:
    """Within the context `told` hears of every request, in the simulator's thread."""
    before = azure.state.requests
    azure.state.requests = watched = Watched(told)
    watched.extend(before)
    try:
        yield
    finally:
        azure.state.requests = before
        before.extend(list(watched)[len(before) :])
