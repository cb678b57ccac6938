"""A run that ends at any of its steps, and what is made of it afterwards."""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from entra_users.errors import (
    EntraUsersError,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from entra_users.folder_store import FolderStore
from entra_users.snapshot import Start
from simulator import Simulator
from tests.sync.steps import Killed, Step, SteppedStore, end_at
from tests.sync.tenant import USUAL, Tenant

KINDS = ["first", "full", "incremental", "unchanged"]


class Scene:
    """A tenant whose next run has been asked for, and its store, which can be put back to that moment.

    `kind` is what that run will be.
    """

    def __init__(self, azure: Simulator, folder: Path, kind: str) -> None:
        azure.reset(users=50)
        self._folder = folder
        self.tenant = Tenant(azure, FolderStore(folder / "users"))
        self._options = self.tenant.options = replace(USUAL, lanes=1, formats=("ndjson", "csv"), keep=2)
        directory = azure.directory
        for number in range(5):
            directory.add(createdDateTime="2020-01-01T00:00:00Z", jobTitle=f"{number}")
        if kind != "first":
            self.tenant.run()
        if kind in {"full", "incremental"}:
            first, second, *_, last = self.tenant.directory()
            directory.update(first, jobTitle="Changed")
            directory.remove(second)
            directory.update(last, jobTitle=None)
            directory.add(businessPhones=["+1 425 555 0100"])
        self.since = {} if kind == "first" else self.tenant.stored()
        self.since_run = "" if kind == "first" else self.tenant.manifest.run
        self.earlier = self.tenant.start()
        self.start = self.tenant.start(full=kind == "full")
        if kind != "first":
            shutil.copytree(folder / "users", folder / "before")

    def again(self) -> None:
        """Put store, settings and clock back; the directory stays as it is."""
        self.tenant.options, self.tenant.ahead = self._options, timedelta()
        shutil.rmtree(self._folder / "users", ignore_errors=True)
        if (self._folder / "before").exists():
            shutil.copytree(self._folder / "before", self._folder / "users")

    def deliver(self, step: Step | None = None, start: Start | None = None) -> None:
        """The message that starts the run, or another, comes to a worker."""
        store = SteppedStore(self.tenant.store, step) if step else self.tenant.store
        self.tenant.deliver(msgspec.json.encode(start or self.start), [], store=store)

    def killed(self, stride: int = 1) -> Iterator[int]:
        """The run is killed at its first step, then so many further on, and so on, until it ends before that."""
        for step in range(1, 1000, stride):
            self.again()
            try:
                self.deliver(end_at(step))
            except Killed:
                yield step
            else:
                return

    def written(self) -> dict[str, bytes]:
        """The files of the run's snapshot, without the manifest, which tells when it was written."""
        prefix = f"snapshots/{self.start.run}/"
        return {name: data for name, data in self.tenant.files().items() if name.startswith(prefix) and ".gz" in name}

    def check_consumers(self) -> None:
        """Who has the snapshot from before comes by the changes to what is published."""
        if self.since:
            assert self.tenant.changed(self.since, self.since_run) == self.tenant.stored()


@pytest.fixture
def scene(azure: Simulator, tmp_path: Path) -> Callable[[str], Scene]:
    """Makes a scene."""
    return lambda kind: Scene(azure, tmp_path, kind)


def check_whole(files: dict[str, bytes]) -> None:
    """Nothing has a name that is not complete."""
    for name, data in files.items():
        if name.endswith(".gz"):
            gzip.decompress(data)
        else:
            json.loads(data)


def named_by(files: dict[str, bytes]) -> dict[str, bytes]:
    """The manifest, and the parts that it names."""
    if "latest.json" not in files:
        return {}
    parts = json.loads(files["latest.json"])["parts"]
    return {name: files[name] for name in ["latest.json", *(part["file"]["name"] for part in parts)]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_any_step_leaves_the_published_snapshot_and_does_the_same_when_it_is_done_again(
    scene: Callable[[str], Scene], kind: str
) -> None:
    made = scene(kind)
    made.again()
    before = made.tenant.files()
    made.deliver()
    expected, users = made.written(), made.tenant.directory()
    assert made.tenant.stored() == users
    steps = 0
    for step in made.killed():
        steps = step
        after = made.tenant.files()
        check_whole(after)
        if after.get("latest.json") == before.get("latest.json"):
            assert {name: after.get(name) for name in named_by(before)} == named_by(before)
        made.deliver()
        assert made.tenant.stored() == users
        assert made.written() == expected
        made.check_consumers()
        assert made.tenant.store.names(f"runs/{made.start.run}/") == []
    assert steps > {"first": 60, "full": 60, "incremental": 30, "unchanged": 5}[kind]


def another_publishes(made: Scene) -> None:
    made.tenant.azure.directory.add()
    made.tenant.run()


def one_asked_for_earlier_publishes(made: Scene) -> None:
    made.tenant.azure.directory.add()
    made.deliver(start=made.earlier)


def another_finds_no_change(made: Scene) -> None:
    made.tenant.run()


def another_reads_everything(made: Scene) -> None:
    made.tenant.run(full=True)


def select_changes(made: Scene) -> None:
    made.tenant.options = replace(made.tenant.options, select=made.tenant.options.select[:-1])


def days_pass(made: Scene) -> None:
    made.tenant.pass_days(8)


def directory_changes(made: Scene) -> None:
    changed, removed, *_ = made.tenant.directory()
    made.tenant.azure.directory.update(changed, jobTitle="Changed again")
    made.tenant.azure.directory.remove(removed)
    made.tenant.azure.directory.add()


@pytest.mark.parametrize("kind", ["full", "incremental"])
@pytest.mark.parametrize(
    "meanwhile",
    [
        another_publishes,
        one_asked_for_earlier_publishes,
        another_finds_no_change,
        another_reads_everything,
        select_changes,
        days_pass,
        directory_changes,
    ],
)
def test_whatever_happens_before_a_killed_run_is_done_again_nothing_is_lost(
    scene: Callable[[str], Scene], kind: str, meanwhile: Callable[[Scene], None]
) -> None:
    made = scene(kind)
    for _ in made.killed(5 if kind == "full" else 2):
        meanwhile(made)
        latest = made.tenant.manifest
        made.deliver()
        if meanwhile in {another_publishes, another_reads_everything} and made.start.run != latest.run:
            # The other's snapshot stands, and it was asked for later.
            assert made.tenant.manifest == latest
        made.check_consumers()
        made.tenant.run()
        assert made.tenant.stored() == made.tenant.directory()
        made.check_consumers()
        runs = [record.run for record in made.tenant.manifest.history]
        assert runs == sorted(set(runs))


FAULTS = [StoreFull("There is no space left."), StoreDenied("No right."), StoreUnavailable("No answer.")]


@pytest.mark.parametrize(("kind", "fault"), [*zip(KINDS, FAULTS * 2, strict=False), ("incremental", FAULTS[0])])
def test_a_store_that_fails_at_any_step_is_told_and_the_published_snapshot_stays(
    scene: Callable[[str], Scene], kind: str, fault: StoreError
) -> None:
    """Or the run has published already: what it could not tidy up then waits for the next one."""
    made = scene(kind)
    made.again()
    before = made.tenant.files()
    failures = 0
    for number in range(0, 1000, 13 if kind in {"first", "full"} else 1):
        made.again()
        steps = iter([*[False] * number, True])

        def step(_action: str, _name: str, steps: Iterator[bool] = steps) -> None:
            if next(steps, False):
                raise fault

        with suppress(EntraUsersError):
            made.tenant.sync(SteppedStore(made.tenant.store, step)).run(made.start)
            assert made.tenant.stored() == made.tenant.directory()
            if next(steps, False):
                break
            continue
        after = made.tenant.files()
        check_whole(after)
        if after.get("latest.json") == before.get("latest.json"):
            failures += 1
            assert {name: after.get(name) for name in named_by(before)} == named_by(before)
        made.tenant.run()
        assert made.tenant.stored() == made.tenant.directory()
        made.check_consumers()
    assert failures > {"first": 3, "full": 3, "incremental": 20, "unchanged": 4}[kind]
