"""Whatever happens to directory, Graph and runs: what is published is the whole directory, and changes lead to it."""

import logging
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, override

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from entra_users.errors import EntraUsersError, RunInProgress, StoreDenied, StoreError, StoreFull, StoreUnavailable
from entra_users.folder_store import FolderStore
from entra_users.snapshot import Manifest, Record, decode
from simulator import Simulator
from simulator.faults import (
    PAGE_KINDS,
    Fault,
    answered,
    connection_reset,
    not_json,
    page_fault,
    server_error,
    throttled,
    truncated,
)
from tests.sync.steps import Killed, Step, SteppedStore, end_at
from tests.sync.tenant import SELECT, USUAL, Tenant, Users, users_of

DATES = (
    st.none()
    | st.sampled_from(
        ["2001-02-03T04:05:06Z", "2019-03-01T10:00:00Z", "2019-03-01T10:00:00.5Z", "2190-01-01T00:00:00Z"]
    )
    | st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z" if moment.year > 1999 else None)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "displayName": st.sampled_from(["Ada", "Grace\u2028Hopper", "=1+1", "a,b;c\"d'e", "\x7f\U0001f600"]),
    "jobTitle": st.none() | st.sampled_from(["Engineer", "Manager"]),
    "businessPhones": st.lists(st.sampled_from(["+1 425 555 0100", "+1 425 555 0101"]), max_size=2),
    "accountEnabled": st.booleans(),
}
CHANGES = st.fixed_dictionaries({}, optional=VALUES)
TIMES = {"skip": st.integers(0, 12), "times": st.integers(1, 3)}
FAULTS: st.SearchStrategy[Fault] = st.one_of(
    st.builds(throttled, st.sampled_from([None, "0", "0.001"]), **TIMES),
    st.builds(server_error, st.sampled_from([500, 502, 503, 504]), st.sampled_from([None, "0.001"]), **TIMES),
    st.builds(server_error, st.just(503), st.just("1000"), **TIMES),
    st.builds(connection_reset, **TIMES),
    st.builds(truncated, st.integers(0, 3000), **TIMES),
    st.builds(not_json, **TIMES),
    st.builds(answered, st.just(200), st.sampled_from(["0", "1000"]), path=st.just(r"\$count$"), **TIMES),
    st.builds(page_fault, st.sampled_from(sorted(PAGE_KINDS)), **TIMES),
)


def fail_at(step: int, error: StoreError) -> Step:
    """Lets the store fail once, before this step; one that does not answer may have done it."""
    steps = iter([*[False] * step, True])

    def count(action: str, _name: str) -> None:
        done = action in {"created", "swapped", "deleted"}
        if not (done and not isinstance(error, StoreUnavailable)) and next(steps, False):
            raise error

    return count


INTERRUPTIONS: st.SearchStrategy[Step] = st.one_of(
    st.builds(end_at, st.integers(1, 120)),
    st.builds(
        fail_at,
        st.integers(0, 60),
        st.sampled_from([StoreFull("no more"), StoreDenied("no more"), StoreUnavailable("no more")]),
    ),
)


class Warned(logging.Handler):
    """What was logged as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class AnySequence(RuleBasedStateMachine):
    """Users come, change and go; runs are begun, disturbed, killed and repeated."""

    def __init__(self, azure: Simulator) -> None:
        super().__init__()
        self.azure = azure
        self.temporary = tempfile.TemporaryDirectory()
        self.warned = Warned()
        logging.getLogger("entra_users").addHandler(self.warned)

    @override
    def teardown(self) -> None:
        logging.getLogger("entra_users").removeHandler(self.warned)
        self.temporary.cleanup()

    @initialize(users=st.integers(0, 40), shuffle=st.none() | st.integers(0, 9))
    def begin(self, users: int, shuffle: int | None) -> None:
        self.azure.reset(users=users)
        self.azure.directory.shuffle = shuffle
        self.tenant = Tenant(self.azure, FolderStore(Path(self.temporary.name) / "users"))
        self.tenant.options = replace(USUAL, partition_users=8, keep=3, formats=("ndjson", "csv"))
        self.deleted: list[str] = []
        self.messages: list[bytes] = []

    # Users

    def pick(self, ids: list[str], number: int) -> str | None:
        return ids[number % len(ids)] if ids else None

    @rule(date=DATES, values=CHANGES, times=st.integers(1, 4))
    def add(self, date: str | None, values: dict[str, Any], times: int) -> None:
        for _ in range(times):
            self.azure.directory.add(createdDateTime=date, **values)

    @rule(number=st.integers(0, 99), values=CHANGES)
    def update(self, number: int, values: dict[str, Any]) -> None:
        if user := self.pick(list(self.tenant.directory()), number):
            self.azure.directory.update(user, **values)

    @rule(number=st.integers(0, 99))
    def remove(self, number: int) -> None:
        if user := self.pick(list(self.tenant.directory()), number):
            self.azure.directory.remove(user)
            self.deleted.append(user)

    @rule(number=st.integers(0, 99))
    def restore(self, number: int) -> None:
        if user := self.pick(self.deleted, number):
            self.deleted.remove(user)
            self.azure.directory.restore(user)

    @rule(number=st.integers(0, 99))
    def purge(self, number: int) -> None:
        if user := self.pick(self.deleted, number):
            self.deleted.remove(user)
            self.azure.directory.purge(user)

    # Time and settings

    @rule(days=st.sampled_from([0.5, 3, 8, 40]))
    def pass_days(self, days: float) -> None:
        self.tenant.pass_days(days)

    @rule(names=st.sets(st.sampled_from(SELECT[2:])))
    def select(self, names: set[str]) -> None:
        select = [name for name in SELECT if name in {"id", "createdDateTime", *names}]
        self.tenant.options = replace(self.tenant.options, select=tuple(select))

    # Runs

    @rule(full=st.booleans())
    def run(self, full: bool) -> None:
        """Undisturbed."""
        self.check_success(self.tenant.run(full=full, force=True))

    @rule(full=st.booleans(), force=st.booleans(), faults=st.lists(FAULTS, max_size=3))
    def run_with_faults(self, full: bool, force: bool, faults: list[Fault]) -> None:
        self.azure.faults.plan(*faults)
        with self.published_snapshot_is_whole():
            self.check_success(self.tenant.run(full=full, force=force))

    @rule(full=st.booleans(), faults=st.lists(FAULTS, max_size=1), interruption=INTERRUPTIONS)
    def run_interrupted(self, full: bool, faults: list[Fault], interruption: Step) -> None:
        self.azure.faults.plan(*faults)
        store = SteppedStore(self.tenant.store, interruption)
        with self.published_snapshot_is_whole():
            self.check_success(self.tenant.run(full=full, force=True, store=store))

    # Runs by messages, which come in any order and again

    @rule(full=st.booleans(), take_over=st.booleans())
    def ask_for_run(self, full: bool, take_over: bool) -> None:
        with suppress(RunInProgress):
            self.messages.append(msgspec.json.encode(self.tenant.start(full=full, force=True, take_over=take_over)))

    @precondition(lambda self: self.messages)
    @rule(
        number=st.integers(0, 99),
        spread=st.booleans(),
        faults=st.lists(FAULTS, max_size=1),
        interruption=st.none() | INTERRUPTIONS,
    )
    def deliver(self, number: int, spread: bool, faults: list[Fault], interruption: Step | None) -> None:
        """One message; it stays, since any may be delivered again."""
        store, message = self.tenant.store, self.messages[number % len(self.messages)]
        store = SteppedStore(store, interruption) if interruption else store
        self.azure.faults.plan(*faults)
        with self.published_snapshot_is_whole():
            self.tenant.deliver(message, self.messages, inline_users=0 if spread else 1000, store=store)

    @rule()
    def deliver_all(self) -> None:
        """All messages, the latest last; then a run: it has everything."""
        for message in self.messages:
            with suppress(EntraUsersError):
                self.tenant.deliver(message, self.messages)
        self.run(full=False)

    @contextmanager
    def published_snapshot_is_whole(self) -> Generator[None]:
        """What follows may fail by a named error: then what is published is what it was, byte for byte.

        Where the run was killed, or the store did not answer, it may have published before that.
        """
        before = self.tenant.files()
        try:
            yield
        except (EntraUsersError, Killed) as error:
            after = self.tenant.files()
            if not isinstance(error, (Killed, StoreUnavailable)) or not self.is_new(before, after):
                assert {name: after.get(name) for name in published(before)} == published(before)
        finally:
            self.azure.faults.clear()

    def is_new(self, before: dict[str, bytes], after: dict[str, bytes]) -> bool:
        return before.get("latest.json") != after.get("latest.json")

    def check_success(self, record: Record) -> None:
        said, self.warned.said = self.warned.said, []
        stored = self.tenant.stored()
        if stored != self.tenant.directory(self.tenant.manifest.select):
            # A run that was gone on with has read some users long ago, and the changes since wait for the next one.
            assert any("wait for the next run" in each for each in said)
            self.azure.faults.clear()
            self.tenant.run(force=True)
            stored = self.tenant.stored()
        assert stored == self.tenant.directory(self.tenant.manifest.select)
        assert record in self.tenant.manifest.history

    @invariant()
    def changes_lead_to_what_is_published(self) -> None:
        """From every snapshot that is kept, since whose run the changes are."""
        if "latest.json" not in self.tenant.store.names():
            return
        manifest, stored = self.tenant.manifest, self.tenant.stored()
        assert len(stored) == manifest.users
        runs = [record.run for record in manifest.history]
        assert runs == sorted(runs)
        users: Users | None = None
        for record in manifest.history:
            if record.mode != "unchanged":
                users = self.archived(record.run)
            if users is not None and record.run >= manifest.changes_since:
                assert self.tenant.changed(users, record.run) == stored
        assert self.tenant.changed(stored, manifest.run) == stored

    def archived(self, run: str) -> Users | None:
        """The users of a snapshot that is still kept."""
        name = f"snapshots/{run}/manifest.json"
        if name not in self.tenant.store.names():
            return None
        return users_of(self.tenant.store, decode(self.tenant.store.read(name).data, Manifest, name).parts)


def published(files: dict[str, bytes]) -> dict[str, bytes]:
    """The manifest and all that it names."""
    if "latest.json" not in files:
        return {}
    manifest = decode(files["latest.json"], Manifest, "latest.json")
    named = [part.file for part in manifest.parts] + [record.changes for record in manifest.history] + [manifest.csv]
    return {name: files[name] for name in ["latest.json", *(file.name for file in named if file)]}


def test_after_any_sequence_what_is_published_is_the_directory(azure: Simulator) -> None:
    class Machine(AnySequence):
        def __init__(self) -> None:
            super().__init__(azure)

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
