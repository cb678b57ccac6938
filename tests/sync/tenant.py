"""A simulated tenant, and a store that runs keep equal to it."""

import gzip
import itertools
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from entra_users.errors import EntraUsersError
from entra_users.graph import Graph
from entra_users.identity import AccessToken
from entra_users.jobs import do_partition, do_start, ends_run, start_run
from entra_users.partitions import Partition
from entra_users.runs import changes_files, fail_run, next_run
from entra_users.snapshot import Manifest, Part, Record, Start, read_manifest
from entra_users.store import Store
from entra_users.sync import Options, Sync
from entra_users.tokens import Tokens
from simulator import Simulator
from simulator.clouds import GLOBAL
from simulator.directory import Directory
from simulator.tokens import issue

type Users = dict[str, dict[str, Any]]

SELECT = "id createdDateTime userPrincipalName displayName jobTitle department businessPhones accountEnabled".split()
USUAL = Options(
    select=tuple(SELECT),
    lanes=4,
    partition_users=20,
    count_tolerance=0.001,
    max_shrink=0.2,
    full_days=7,
    formats=("ndjson",),
    keep=7,
    changes_days=30,
)


def graph_token(azure: Simulator) -> AccessToken:
    """A Graph token straight from the simulated Entra: these tests are not about signing in."""
    entra = azure.entra
    token, lifetime = issue(
        azure.state,
        tenant=entra.tenant_of(GLOBAL),
        cloud=GLOBAL,
        principal=entra.application,
        resource=GLOBAL.graph_resource,
        credential="1",
    )
    return AccessToken(value=token, expires_on=azure.state.clock() + lifetime)


class Issued:
    """Graph tokens for as long as they are asked for."""

    def __init__(self, azure: Simulator) -> None:
        self._azure = azure

    def acquire(self) -> AccessToken:
        """A new token."""
        return graph_token(self._azure)


def open_graph(tokens: Tokens, budget: float = 100.0) -> Graph:
    """Graph that repeats without a pause, unless the service asks for one: backoff is another test's business."""
    return Graph(
        "https://graph.microsoft.com", tokens, budget=budget, timeout=(5.0, 5.0), sleep=_no_pause, jitter=lambda: -1.0
    )


def _no_pause(seconds: float) -> None:
    assert seconds < 1


class Tenant:
    """A directory in the simulator, a store, and the runs between them; days pass when a test says so."""

    def __init__(self, azure: Simulator, store: Store) -> None:
        self.azure = azure
        self.store = store
        self.options = USUAL
        self.ahead = timedelta()
        self._suffixes = (f"{number:08x}" for number in itertools.count())
        azure.state.clock = self._clock
        self._graph = self.graph()

    def _clock(self) -> float:
        return time.time() + self.ahead.total_seconds()

    def begin(self, users: int = 0, **directory: Any) -> None:
        """Another directory."""
        self.azure.state.directory = Directory(users, clock=self._clock, **directory)

    def new_process(self) -> None:
        """Runs from now on know nothing of what Graph asked of those before, such as to wait."""
        self._graph = self.graph()

    def now(self) -> datetime:
        """The time of the services and of the runs."""
        return datetime.now(UTC) + self.ahead

    def pass_days(self, days: float) -> None:
        """Let days pass."""
        self.ahead += timedelta(days=days)

    def graph(self) -> Graph:
        """The tenant's Graph, as another process has it."""
        return open_graph(Tokens(Issued(self.azure), clock=self.azure.state.clock))

    def sync(self, store: Store | None = None) -> Sync:
        """What does runs."""
        return Sync(self._graph, store or self.store, self.options, now=self.now)

    def start(
        self, *, full: bool = False, force: bool = False, take_over: bool = True, store: Store | None = None
    ) -> Start:
        """A run is asked for, as by the console."""
        return start_run(
            store or self.store,
            self.options.select,
            now=self.now(),
            suffix=next(self._suffixes),
            full=full,
            force=force,
            take_over=take_over,
        )

    def new_start(self, *, full: bool = False, force: bool = False) -> Start:
        """A run of its own, whatever else was left undone."""
        run = next_run(self.manifest, self.now(), next(self._suffixes))
        return Start(run=run, at=self.now(), full=full, force=force)

    def run(self, *, full: bool = False, force: bool = False, store: Store | None = None) -> Record:
        """A run as the console does it: one that was left undone is gone on with."""
        store = store or self.store
        start = self.start(full=full, force=force, store=store)
        try:
            return self.sync(store).run(start)
        except EntraUsersError as error:
            if ends_run(error):
                fail_run(store, start.run, error, self.now())
            raise

    def deliver(
        self,
        message: bytes,
        queue: list[bytes],
        *,
        inline_users: int = 1000,
        delivery: int = 1,
        store: Store | None = None,
    ) -> None:
        """What a worker does with a message of either queue; the messages that it sends are added to `queue`."""
        store = store or self.store
        if b'"number"' in message:
            do_partition(self.sync(store), store, message, delivery=delivery)
        else:
            queue += do_start(self.sync(store), store, message, delivery=delivery, inline_users=inline_users)

    @property
    def manifest(self) -> Manifest:
        """The published manifest."""
        manifest, _ = read_manifest(self.store)
        assert manifest is not None
        return manifest

    def stored(self, manifest: Manifest | None = None) -> Users:
        """The users of a snapshot, the published one unless another is given; none twice."""
        return users_of(self.store, (manifest or self.manifest).parts)

    def directory(self, select: Sequence[str] | None = None) -> Users:
        """The users there are, with the properties that runs select."""
        return {user["id"]: user for user in self.azure.directory.users(select or self.options.select)}

    def files(self) -> dict[str, bytes]:
        """Everything in the store."""
        return {name: self.store.read(name).data for name in self.store.names()}

    def requests(self, path: str = "/v1.0/users") -> list[dict[str, str]]:
        """The queries of the requests to a path of Graph, oldest first."""
        return [
            {name: values[0] for name, values in parse_qs(each.query).items()}
            for each in self.azure.requests
            if each.host == "graph.microsoft.com" and each.path == path
        ]

    def reads(self, partition: Partition) -> int:
        """How many pages of a partition were asked for."""
        return sum(each.get("$filter") == partition.where for each in self.requests())

    def changed(self, users: Users, since: str) -> Users:
        """Users of the snapshot of a run, after all changes since then."""
        return apply(users, [read_gzip(self.store, file.name) for file in changes_files(self.manifest, since)])


def users_of(store: Store, parts: Sequence[Part]) -> Users:
    """The users in these parts, none twice."""
    users = [user for part in parts for user in read_gzip(store, part.file.name)]
    found = {user["id"]: user for user in users}
    assert len(found) == len(users)
    return found


def read_gzip(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of a file, read as any program would."""
    with store.open(name) as stream, gzip.open(stream) as lines:
        return [json.loads(line) for line in lines]


def apply(users: Users, files: Sequence[Sequence[dict[str, Any]]]) -> Users:
    """Users after changes, as a consumer applies them: whoever is added is new, and nobody else is."""
    users = dict(users)
    for change in itertools.chain.from_iterable(files):
        if change["change"] == "removed":
            del users[change["id"]]
        else:
            assert (change["change"] == "added") == (change["id"] not in users)
            assert change["user"]["id"] == change["id"]
            users[change["id"]] = change["user"]
    return users
