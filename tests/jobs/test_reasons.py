"""Why a run reads everything anew, and runs that cannot do what they were begun for."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from entra_users.connection import connect_sync
from entra_users.errors import RunFailed
from entra_users.runs import next_run
from entra_users.settings import Settings
from entra_users.snapshot import Plan, Start
from simulator import Simulator
from simulator.faults import page_fault
from tests.jobs.app import PARTITION, App, directory, hosted, manifest_of, stored
from tests.leaks import Leaks


@pytest.fixture
def app(azure: Simulator, tmp_path: Path) -> App:
    """The app in a tenant of 250 users, all stored."""
    azure.reset(users=250)
    app = App(azure, str(tmp_path / "users"))
    app.run()
    return app


def plan_of(app: App, azure: Simulator, folder: Path) -> Plan:
    """The plan of a full run that is only begun."""
    settings = Settings.read({**azure.app_settings("secret"), "USERS_STORE": str(folder)})
    now = datetime.now(UTC)
    start = Start(run=next_run(manifest_of(app.store), now, "planned"), at=now, full=True)
    plan = connect_sync(settings).begin(start)
    assert isinstance(plan, Plan)
    return plan


def test_a_delta_link_that_graph_does_not_know_any_more_leads_to_a_full_run(azure: Simulator, app: App) -> None:
    azure.faults.plan(page_fault("delta-gone"))
    ended = app.run()
    assert (ended["mode"], ended["reason"]) == (
        "full",
        "Graph no longer tells the changes since the last run (resyncRequired)",
    )
    assert stored(app.store) == directory(azure)


def test_in_a_tenant_without_delta_queries_every_run_is_a_full_one(azure: Simulator, tmp_path: Path) -> None:
    azure.reset(users=250)
    azure.directory.b2c = True
    app = App(azure, str(tmp_path / "users"))
    assert [app.run()["reason"] for _ in range(2)] == ["there is no snapshot yet", "this tenant has no delta queries"]
    assert stored(app.store) == directory(azure)


def test_a_full_run_heals_a_damaged_snapshot_and_says_that_the_changes_are_not_known(
    azure: Simulator, app: App, tmp_path: Path
) -> None:
    before = manifest_of(app.store)
    damaged = tmp_path / "users" / before.parts[0].file.name
    damaged.write_bytes(damaged.read_bytes()[:-100])
    azure.directory.update(next(iter(directory(azure))), displayName="Changed")
    ended = app.run(full="true")
    after = manifest_of(app.store)
    assert (ended["state"], ended["changes"]) == ("published", None)
    assert after.notes == [f"The snapshot of run {before.run} was damaged: what changed since is not known."]
    assert after.changes_since == ended["run"]
    assert stored(app.store) == directory(azure)


def test_a_run_is_not_published_before_every_partition_is_exported(azure: Simulator, app: App, tmp_path: Path) -> None:
    plan = plan_of(app, azure, tmp_path / "users")
    settings = Settings.read({**azure.app_settings("secret"), "USERS_STORE": str(tmp_path / "users")})
    before = app.store.read("latest.json")
    with pytest.raises(RunFailed, match=r"Partition 0 of run .* is not exported yet"):
        connect_sync(settings).publish(plan)
    assert app.store.read("latest.json") == before


def test_what_changed_during_a_run_that_another_overtook_is_left_to_the_other(
    azure: Simulator, app: App, tmp_path: Path
) -> None:
    settings = Settings.read({**azure.app_settings("secret"), "USERS_STORE": str(tmp_path / "users")})
    plan = plan_of(app, azure, tmp_path / "users")
    before = app.store.read("latest.json")
    connect_sync(settings)._catch_up(plan)
    assert app.store.read("latest.json") == before


def test_the_poison_queue_of_partitions_ends_their_run(azure: Simulator, tmp_path: Path, leaks: Leaks) -> None:
    azure.reset(users=250)
    app = App(azure, str(tmp_path / "users"), SYNC_PARTITION_USERS="100", SYNC_INLINE_USERS="200")
    run = app.start()
    app.deliver_start()
    with hosted(azure, tmp_path, leaks, {"USERS_STORE": str(tmp_path / "users")}) as running:
        running.host.queues.put(f"{PARTITION}-poison", app.partitions[0].encode())
        running.host.drain()
    assert app.status(run)["state"] == "failed"
