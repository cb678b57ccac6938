"""`python -m entra_users sync`, `status` and `changes`: what they print, their exit status; two processes at once."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from entra_users.console_sync import SyncProgress, _summary
from entra_users.folder_store import FolderStore
from entra_users.graph import Graph
from simulator import Simulator
from simulator.faults import answered, server_error
from tests.jobs.app import App, directory, manifest_of, pages_asked, stored
from tests.jobs.conftest import MakeApp
from tests.leaks import Leaks
from tests.product.conftest import Printed, program_environment

COMMAND = [sys.executable, "-W", "error", "-m", "entra_users"]


class Console:
    """The console as a program, in an empty folder, with its store in `users`."""

    def __init__(self, azure: Simulator, folder: Path) -> None:
        self.folder = folder
        self.store = FolderStore(folder / "users")
        self.environment = program_environment(azure) | azure.app_settings("secret") | {"USERS_STORE": "users"}

    def __call__(self, *arguments: str, **settings: str) -> Printed:
        """Run a command to its end."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | settings,
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return Printed(status=done.returncode, out=done.stdout, err=done.stderr.decode())


@pytest.fixture
def console(azure: Simulator, tmp_path: Path) -> Console:
    """The console."""
    azure.reset(users=250)
    return Console(azure, tmp_path)


def test_a_sync_sums_itself_up(azure: Simulator, console: Console) -> None:
    printed = console("sync", SYNC_PARTITION_USERS="100")
    manifest = manifest_of(console.store)
    size = sum(part.file.bytes for part in manifest.parts)
    assert (printed.status, printed.err) == (0, "")
    said = re.sub(r"took  .*", "took", printed.out.decode())
    assert said.splitlines() == [
        f"run        {manifest.run}: full (there is no snapshot yet)",
        "users      250; 250 added, 0 updated, 0 removed",
        "took",
        f"snapshot   {manifest.run}: 250 users in {len(manifest.parts)} parts, {size:,} bytes",
        "store      users",
    ]
    assert re.search(
        r"\ntook +[\d.]+ s, \d+ requests, \d+ resource units, 0 retries, 0 s throttled\n", printed.out.decode()
    )
    assert stored(console.store) == directory(azure)


def test_a_second_sync_applies_what_changed_and_full_reads_everything(azure: Simulator, console: Console) -> None:
    console("sync")
    azure.directory.add(displayName="Joiner")
    assert b": incremental\nusers      251; 1 added, 0 updated, 0 removed\n" in console("sync").out
    assert b": unchanged\nusers      251; 0 added" in console("sync").out
    assert b": full (a full run was asked for)\nusers      251; 0 added" in console("sync", "--full").out
    assert stored(console.store) == directory(azure)


def test_a_note_of_the_snapshot_is_told(azure: Simulator, console: Console) -> None:
    gone = answered(400, '{"error":{"code":"Request_BadRequest","message":"no"}}', path="delta$", times=None)
    azure.faults.plan(gone)
    said = console("sync").out.decode()
    assert "\nnote       Graph has no delta queries here (Request_BadRequest): every run is a full run.\n" in said


def test_a_sync_that_shrank_is_refused_unless_forced(azure: Simulator, console: Console) -> None:
    console("sync")
    for user in azure.directory.users(["id"])[:200]:
        azure.directory.remove(user["id"])
    refused = console("sync")
    assert (refused.status, refused.out) == (1, b"")
    assert refused.err.startswith("error: ")
    assert console("status").document["latest_run"]["error"]["code"] == "ShrinkRefused"
    assert len(stored(console.store)) == 250
    assert console("sync", "--force").status == 0
    assert stored(console.store) == directory(azure)


def test_a_sync_that_fails_for_a_while_goes_on_from_its_receipts(azure: Simulator, console: Console) -> None:
    azure.faults.plan(server_error(503, "100000", path="^/v1.0/users$", skip=2, times=None))
    settings = {"SYNC_PARTITION_USERS": "50", "SYNC_LANES": "1"}
    failed = console("sync", **settings)
    assert (failed.status, failed.out) == (1, b"")
    status = console("status", **settings).document
    assert (status["snapshot"], status["latest_run"]["state"]) == (None, "running")
    assert status["latest_run"]["partitions"]["done"] == 2
    azure.faults.clear()
    before = pages_asked(azure)
    assert console("sync", **settings).status == 0
    again = pages_asked(azure)[len(before) :]
    assert set(again).intersection(before[:2]) == set()
    assert manifest_of(console.store).history[0].run == status["latest_run"]["run"]
    assert stored(console.store) == directory(azure)


def test_a_sync_that_cannot_begin_has_failed(azure: Simulator, console: Console) -> None:
    azure.faults.plan(server_error(503, "100000", path="delta$", times=None))
    assert console("sync").status == 1
    assert console("status").document["latest_run"]["state"] == "failed"


def test_status_tells_of_snapshot_and_latest_run(console: Console) -> None:
    assert console("status").document == {"store": "users", "snapshot": None, "latest_run": None}
    console("sync", SYNC_PARTITION_USERS="100")
    status = console("status").document
    manifest = manifest_of(console.store)
    snapshot = status["snapshot"]
    assert isinstance(snapshot.pop("age_seconds"), int)
    assert (status["latest_run"]["run"], status["latest_run"]["state"]) == (manifest.last_run, "unchanged")
    assert {key: snapshot[key] for key in ("run", "users", "parts")} == {
        "run": manifest.run,
        "users": 250,
        "parts": len(manifest.parts),
    }
    assert set(snapshot) == {"run", "users", "parts", "published_at", "checked_at"}


def test_changes_are_printed_or_written_to_a_file(azure: Simulator, console: Console) -> None:
    missing = console("changes", "--since", "20261123T020000000Z-1a2b3c4d")
    assert (missing.status, missing.out) == (1, b"")
    assert "There is no snapshot yet: python -m entra_users sync makes one." in missing.err
    console("sync")
    since = manifest_of(console.store).run
    added = azure.directory.add(displayName="Joiner")["id"]
    console("sync")
    printed = console("changes", "--since", since)
    (change,) = [json.loads(line) for line in printed.out.splitlines()]
    assert (change["change"], change["id"], change["user"]) == ("added", added, directory(azure)[added])
    assert console("changes", "--since", since, "--output", "changes.ndjson").out == b""
    assert (console.folder / "changes.ndjson").read_bytes() == printed.out
    assert console("changes", "--since", "yesterday").status == 1
    assert console("changes").status == 2


@contextmanager
def terminal() -> Generator[tuple[int, int]]:
    """A pseudo-terminal: our end, and the program's."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def read_all(descriptor: int) -> str:
    """What a terminal shows until the program's end is closed."""
    shown = b""
    try:
        while block := os.read(descriptor, 4096):
            shown += block
    except OSError:
        pass  # how Linux tells that nobody has the other end any more
    return shown.decode()


def test_progress_is_a_line_on_a_terminal(console: Console, leaks: Leaks) -> None:
    with terminal() as (ours, theirs):
        environment = console.environment | {"SYNC_PARTITION_USERS": "100"}
        program = subprocess.Popen(
            [*COMMAND, "sync"], env=environment, cwd=console.folder, stdout=subprocess.DEVNULL, stderr=theirs
        )
        os.close(theirs)
        shown = read_all(ours)
        assert program.wait(60) == 0
    leaks.note("what the console showed", shown)
    steps = shown.removesuffix("\r\n").split("\r")
    number = r"[\d,]+"
    form = re.compile(rf"\[#* *\] ({number}) of 250 users, {number} a second, {number} requests, 0 s throttled |")
    found = [match for step in steps if (match := form.fullmatch(step))]
    assert len(found) == len(steps)
    assert shown.endswith("\r\n")
    assert found[-1][1] == "250"
    assert "[####################] 250" in steps[-1]


def test_progress_without_an_expectation_has_no_bar(app: App) -> None:
    shown = io.StringIO()
    graph: Graph = app.service._graph.get()
    progress = SyncProgress(shown, graph, None, clock=iter([0.0, 2.0, 4.0]).__next__)
    progress.count(10)
    progress.count(10)
    progress.end()
    assert shown.getvalue() == (
        "\r10 users, 5 a second, 0 requests, 0 s throttled \r20 users, 5 a second, 0 requests, 0 s throttled \n"
    )


def test_a_run_is_summed_up_even_where_its_snapshot_was_removed_meanwhile(app: App) -> None:
    app.azure.reset(users=30)
    app.run()
    (record, _) = manifest_of(app.store).history
    said = _summary(record, None, 1.5, "users").splitlines()
    assert [line.partition(" ")[0] for line in said] == ["run", "users", "took", "store"]


def start(console: Console, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """Run a command while others run."""
    environment: Mapping[str, str] = console.environment | settings
    return subprocess.Popen(
        [*COMMAND, "sync", *arguments],
        env=environment,
        cwd=console.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_of_two_syncs_at_once_one_publishes_and_the_other_ends_cleanly(
    azure: Simulator, console: Console, full: list[str]
) -> None:
    """Two consoles: each goes on with a run of its own, or with that of the other."""
    console("sync")
    azure.directory.add(displayName="Joiner")
    azure.state.latency = 0.05
    both = [start(console, *full, SYNC_PARTITION_USERS="50") for _ in range(2)]
    ended = [(*program.communicate(timeout=60), program.returncode) for program in both]
    for out, err, status in ended:
        # Either it did the run, or found that the other had.
        assert (status, err) == (0, b"") or (status == 1 and out == b"" and b"nother run" in err), err
    assert 0 in {status for *_, status in ended}
    assert stored(console.store) == directory(azure)
    runs = [record.run for record in manifest_of(console.store).history]
    assert runs == sorted(set(runs))
    joined = [record for record in manifest_of(console.store).history[1:] if record.added]
    assert [record.added for record in joined] == [1]


def test_a_console_and_a_worker_at_the_same_run_publish_it_once(
    azure: Simulator, console: Console, make_app: MakeApp
) -> None:
    worker = make_app(SYNC_PARTITION_USERS="50", SYNC_INLINE_USERS="100")
    run = worker.start()
    worker.deliver_start()
    worker.deliver_partition()
    assert console("sync", SYNC_PARTITION_USERS="50").status == 0
    worker.drain()
    history = manifest_of(console.store).history
    assert [record.run for record in history if record.mode == "full"] == [run]
    assert worker.status(run)["state"] == "published"
    assert stored(console.store) == directory(azure)


def test_the_settings_are_named_where_they_are_wrong(console: Console) -> None:
    printed = console("sync", SYNC_LANES="none")
    assert (printed.status, printed.out) == (2, b"")
    assert "SYNC_LANES must be a whole number" in printed.err
