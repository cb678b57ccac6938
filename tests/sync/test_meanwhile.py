"""What happens at any step of a run that goes on: users change, or another run publishes."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from entra_users.errors import RunInProgress
from entra_users.snapshot import Record
from tests.sync.steps import Step, SteppedStore
from tests.sync.tenant import USUAL, Tenant

DELTA = "/v1.0/users/delta"


def at[T](step: int, act: Callable[[], T]) -> tuple[Step, list[T]]:
    """Does something before this step, counted from 1; and what that gave, once the step has come."""
    steps, given = itertools.count(1), list[T]()

    def count(_action: str, _name: str) -> None:
        if next(steps) == step:
            given.append(act())

    return count, given


@pytest.fixture
def busy(tenant: Tenant) -> Tenant:
    """A tenant with a snapshot in several parts, of which only the last is kept; some users have changed since."""
    tenant.begin(users=60)
    tenant.options = replace(USUAL, lanes=1, keep=1)
    tenant.run()
    change(tenant, 0)
    return tenant


def change(tenant: Tenant, number: int) -> None:
    """Somebody comes, somebody goes, somebody changes: each time others, and as many as before."""
    directory = tenant.azure.directory
    ids = sorted(tenant.directory())
    directory.remove(ids[number % len(ids)])
    directory.update(ids[(number + 20) % len(ids)], jobTitle=f"Changed {number}")
    directory.add(createdDateTime=None if number % 3 == 0 else "2021-07-01T00:00:00Z")


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_users_who_change_at_any_step_are_in_this_run_or_the_next(busy: Tenant, full: bool) -> None:
    """A full run ends with the changes since it began; what changes after Graph told them is for the next one."""
    for step in range(1, 1000, 2):
        stored, since = busy.stored(), busy.manifest.run

        def change_now(number: int = step) -> int:
            change(busy, number)
            return len(busy.requests(DELTA))

        count, asked = at(step, change_now)
        busy.run(full=full, store=SteppedStore(busy.store, count))
        if not asked:
            break
        assert busy.changed(stored, since) == busy.stored()
        # Whether Graph was asked for changes once more after that.
        assert (busy.stored() == busy.directory()) == (asked[0] < len(busy.requests(DELTA)))
        busy.run()
        assert busy.stored() == busy.directory()
        assert busy.changed(stored, since) == busy.stored()
        change(busy, step + 1)
    else:
        pytest.fail("the run has no end")


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
@pytest.mark.parametrize("other", [True, False], ids=["by a full one", "by an incremental one"])
def test_a_run_that_is_overtaken_at_any_step_ends_as_such_and_the_others_snapshot_stands(
    busy: Tenant, full: bool, other: bool
) -> None:
    """Although only the last snapshot is kept, so that the parts it began from are removed under its hands."""
    for step in range(1, 1000, 3):
        stored, since = busy.stored(), busy.manifest.run

        def overtake(number: int = step) -> Record:
            change(busy, number)
            return busy.sync().run(busy.new_start(full=other))

        count, overtaken = at(step, overtake)
        try:
            record = busy.sync(SteppedStore(busy.store, count)).run(busy.new_start(full=full))
        except RunInProgress:
            assert overtaken
        else:
            # It had published before.
            assert record in busy.manifest.history
            if not overtaken:
                break
        assert busy.changed(stored, since) == busy.stored()
        busy.run()
        assert busy.stored() == busy.directory()
        assert busy.changed(stored, since) == busy.stored()
        change(busy, step + 1)
    else:
        pytest.fail("the run has no end")


def test_a_message_whose_run_was_overtaken_ends_without_an_error(busy: Tenant) -> None:
    message = msgspec.json.encode(busy.start())
    busy.sync().run(busy.new_start())
    latest = busy.manifest
    busy.deliver(message, [])
    assert busy.manifest == latest
