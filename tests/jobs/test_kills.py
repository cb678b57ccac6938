"""Whatever is killed, and when: the next attempt goes on, and what is published is the directory."""

import hashlib
import random
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

from entra_users.folder_store import FolderStore
from entra_users.retention import prune
from entra_users.snapshot import Manifest, decode, read_manifest
from entra_users.store import Store
from simulator import Simulator
from simulator.functions import FunctionsHost
from simulator.state import RecordedRequest
from tests.jobs.app import (
    GRAPH,
    SPREAD,
    directory,
    finished_partitions,
    hosted,
    lines_of,
    manifest_of,
    pages_asked,
    stored,
    watching,
)
from tests.leaks import Leaks
from tests.product.conftest import program_environment

USERS = 700
MANY = SPREAD | {"SYNC_PARTITION_USERS": "50", "SNAPSHOT_KEEP": "3"}
CONSOLE_KILLS, WORKER_KILLS = 75, 30

# `python -m entra_users`, which is killed as it does its n-th step in the store: opens, moves or removes a file.
STEPS = frozenset({"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.scandir", "os.listdir"})
CONSOLE = f"""
import os, runpy, signal, sys
left, store = int(sys.argv[1]), sys.argv[2]
sys.argv = ["entra_users", *sys.argv[3:]]
def count(event, arguments):
    global left
    if event in {set(STEPS)!r} and str(arguments[0]).startswith(store):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
runpy.run_module("entra_users", run_name="__main__")
"""


def published(store: Store) -> list[Manifest]:
    """The manifests of all snapshots that are kept, the published one last."""
    names = [name for name in store.names("snapshots/") if name.endswith("/manifest.json")]
    kept = [decode(store.read(name).data, Manifest, name) for name in names]
    manifest, _ = read_manifest(store)
    return [*kept, *([manifest] if manifest else [])]


def named_by(manifests: list[Manifest]) -> set[str]:
    """The files that they name, and their own."""
    files = {part.file.name for each in manifests for part in each.parts}
    files |= {record.changes.name for record in manifests[-1].history if record.changes}
    return files | {f"snapshots/{each.run}/manifest.json" for each in manifests}


def check_whole(store: Store, seen: dict[str, str]) -> None:
    """What has a name is whole, and all that a manifest names is there as it says; `seen` files are never changed."""
    names = store.names("snapshots/")
    for name in names:
        if name.endswith(".gz") and name not in seen:
            lines_of(store, name)
            seen[name] = hashlib.sha256(store.read(name).data).hexdigest()
    for manifest in published(store):
        files = {part.file.name: part.file.sha256 for part in manifest.parts}
        assert files == {name: seen[name] for name in set(names).intersection(files)}


def check_published(azure: Simulator, store: Store) -> None:
    """The published snapshot is the directory, and nothing else is kept for longer than a week."""
    assert stored(store) == directory(azure)
    check_whole(store, {})
    manifest = manifest_of(store)
    assert manifest.users == len(azure.directory)
    prune(store, manifest, keep=100, now=datetime.now(UTC) + timedelta(days=8))
    assert set(store.names("snapshots/")) == named_by(published(store))


def change(azure: Simulator, dice: random.Random) -> None:
    """People join, move and leave."""
    users = azure.directory.users(["id"])
    gone = {user["id"] for user in dice.sample(users, 3)}
    for each in gone:
        azure.directory.remove(each)
    for user in dice.sample([user for user in users if user["id"] not in gone], 3):
        azure.directory.update(user["id"], jobTitle=f"Title {dice.random()}")
    for _ in range(3):
        azure.directory.add(displayName=f"Joiner {dice.random()}")


def test_a_console_that_is_killed_at_any_step_loses_nothing_and_reads_nothing_twice(
    azure: Simulator, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 -- where to kill, not a secret
    print(f"seed {seed}")  # noqa: T201 -- shown where the test fails
    dice = random.Random(seed)  # noqa: S311
    azure.reset(users=USERS)
    folder = tmp_path / "users"
    store = FolderStore(folder)
    environment = program_environment(azure) | azure.app_settings("secret") | {"USERS_STORE": str(folder), **MANY}
    kills, runs, full, seen = 0, 0, False, dict[str, str]()
    while kills < CONSOLE_KILLS:
        done, asked = finished_partitions(store), len(azure.requests)
        flags = ["--full"] if full else []
        command = [sys.executable, "-c", CONSOLE, str(dice.randrange(1, 200)), str(folder), "sync", *flags]
        ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False, timeout=60)
        assert not done.intersection(pages_asked(azure, asked))
        if ended.returncode == -signal.SIGKILL:
            kills += 1
            check_whole(store, seen)
            continue
        assert (ended.returncode, ended.stderr) == (0, b"")
        runs += 1
        check_published(azure, store)
        change(azure, dice)
        full = dice.random() < 0.8
    assert runs > 0


class Killer:
    """Kills a worker of the host, whichever, whenever Graph was asked so many times again.

    Attributes:
        kills: how many it killed.
    """

    def __init__(self, azure: Simulator, host: FunctionsHost, store: Store, dice: random.Random, workers: int) -> None:
        self.kills = 0
        self._azure = azure
        self._host = host
        self._store = store
        self._dice = dice
        self._workers = workers
        self._left = dice.randrange(1, 30)
        self._due = SimpleQueue[bool]()
        self._done: list[tuple[set[str], int]] = []
        self._thread = threading.Thread(target=self._kill)
        self._thread.start()

    def heard(self, request: RecordedRequest) -> None:
        """A request came."""
        if request.host == GRAPH:
            self._left -= 1
            if self._left == 0:
                self._left = self._dice.randrange(3, 30)
                self._due.put(True)

    def stop(self) -> None:
        """Kill no more."""
        self._due.put(False)
        self._thread.join()

    def check(self) -> None:
        """No partition that was finished before a kill was read after it."""
        for done, asked in self._done:
            assert not done.intersection(pages_asked(self._azure, asked))
        self._done.clear()

    def _kill(self) -> None:
        while self._due.get():
            done = finished_partitions(self._store)
            self._done.append((done, len(self._azure.requests)))
            self.kills += self._host.kill_worker(self._dice.randrange(self._workers))


def test_workers_that_are_killed_at_any_moment_lose_nothing_and_read_nothing_twice(
    azure: Simulator, tmp_path: Path, leaks: Leaks
) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 -- where to kill, not a secret
    print(f"seed {seed}")  # noqa: T201 -- shown where the test fails
    dice = random.Random(seed)  # noqa: S311
    azure.reset(users=USERS)
    # A death costs every message that its worker held an attempt, and here most attempts end so.
    queues = {"batchSize": 1, "newBatchThreshold": 0, "maxDequeueCount": 1000}
    with hosted(azure, tmp_path, leaks, MANY, workers=3, queues=queues) as app:
        killer = Killer(azure, app.host, app.store, dice, workers=3)
        try:
            with watching(azure, killer.heard):
                while killer.kills < WORKER_KILLS:
                    run = app.run("?full=true" if dice.random() < 0.8 else "")
                    app.host.wait_ready()
                    assert run["state"] == "published"
                    killer.check()
                    check_published(azure, app.store)
                    change(azure, dice)
        finally:
            killer.stop()
