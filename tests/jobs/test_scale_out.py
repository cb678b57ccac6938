"""A large directory, spread over several workers by queues in memory and in an Azure Storage account."""

from collections import Counter
from pathlib import Path
from queue import SimpleQueue

import pytest

from simulator import Simulator
from simulator.azurite import Azurite
from simulator.faults import answered, hang, server_error
from simulator.state import RecordedRequest
from tests.jobs.app import (
    PARTITION,
    SPREAD,
    START,
    directory,
    hosted,
    is_list,
    manifest_of,
    pages_asked,
    stored,
    watching,
)
from tests.leaks import Leaks

USERS = 700
LIST = "^/v1.0/users$"
DENIED = '{"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}}'


@pytest.fixture(params=["memory", "account"])
def queue_settings(request: pytest.FixtureRequest, azure: Simulator) -> dict[str, str]:
    """Where the queues are."""
    if request.param == "memory":
        return {}
    azurite: Azurite = request.getfixturevalue("azurite")
    assert azurite.ports["queue"]
    return {
        "AzureWebJobsStorage": "",
        "AzureWebJobsStorage__queueServiceUri": "https://account.queue.core.windows.net",
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": azure.entra.identity.client_id,
    }


def test_every_partition_is_read_once_by_several_workers_and_published_once(
    azure: Simulator, tmp_path: Path, leaks: Leaks, queue_settings: dict[str, str]
) -> None:
    azure.reset(users=USERS)
    queues = {"batchSize": 1, "newBatchThreshold": 0}
    with hosted(azure, tmp_path, leaks, SPREAD | queue_settings, workers=3, queues=queues) as app:
        azure.state.latency = 0.02
        run = app.run()
        assert (run["state"], run["users"]) == ("published", USERS)
        assert stored(app.store) == directory(azure)
        asked = Counter(pages_asked(azure))
        assert (len(asked), set(asked.values())) == (run["partitions"], {1})
        assert run["partitions"] > 6
        completed = [entry for entry in app.host.logs if "sync.completed" in entry.message]
        assert len([entry for entry in completed if f"run={run['run']}" in entry.message]) == 1
        assert len({entry.worker for entry in app.host.logs if entry.function == "sync_partition"}) > 2
        for message in ("start", "partition"):
            assert app.host.queues.count(f"users-sync-{message}-poison") == 0


def test_messages_put_again_during_and_after_a_run_change_nothing(
    azure: Simulator, tmp_path: Path, leaks: Leaks, queue_settings: dict[str, str]
) -> None:
    azure.reset(users=USERS)
    with hosted(azure, tmp_path, leaks, SPREAD | queue_settings, workers=2) as app:
        lists = SimpleQueue[RecordedRequest]()
        with watching(azure, lambda request: lists.put(request) if is_list(request) else None):
            run = app.post().json()["run"]
            assert lists.get(timeout=60)
            again = [b'{"run":"%s","number":%d}' % (run.encode(), number) for number in range(7)]
            start = b'{"run":"%s","at":"2026-11-23T02:00:00Z"}' % run.encode()
            for message in again:
                app.host.queues.put(PARTITION, message)
            app.host.queues.put(START, start)
            app.host.drain()
        manifest, files = manifest_of(app.store), app.store.names("snapshots/")
        assert [record.run for record in manifest.history if record.mode == "full"] == [run]
        assert stored(app.store) == directory(azure)
        asked = len(pages_asked(azure))
        for message in again:
            app.host.queues.put(PARTITION, message)
        app.host.queues.put(START, start)
        app.host.drain()
        assert (manifest_of(app.store), app.store.names("snapshots/")) == (manifest, files)
        assert len(pages_asked(azure)) == asked


def test_a_message_whose_worker_dies_every_time_fails_the_run_with_its_reason(
    azure: Simulator, tmp_path: Path, leaks: Leaks
) -> None:
    azure.reset(users=30)
    azure.faults.plan(hang(path=LIST, times=5))
    lists = SimpleQueue[RecordedRequest]()
    with (
        hosted(azure, tmp_path, leaks, {}) as app,
        watching(azure, lambda each: lists.put(each) if is_list(each) else None),
    ):
        run = app.post().json()["run"]
        for _ in range(5):
            assert lists.get(timeout=60).status is None
            assert app.host.kill_worker()
        app.host.wait_ready()
        app.host.drain()
        failed = app.get(f"sync/{run}").json()
        reason = f"A worker of run {run} died or failed 5 times in a row."
        assert (failed["state"], failed["error"]) == ("failed", {"code": "RunFailed", "message": reason})
        # The next one is as good as new.
        assert app.run()["state"] == "published"
        assert stored(app.store) == directory(azure)


def test_consent_that_is_lost_ends_the_run_at_once_on_every_worker(
    azure: Simulator, tmp_path: Path, leaks: Leaks
) -> None:
    azure.reset(users=USERS)
    azure.faults.plan(answered(403, DENIED, path=LIST, times=None))
    with hosted(azure, tmp_path, leaks, SPREAD, workers=2) as app:
        failed = app.run()
        assert (failed["state"], failed["error"]["code"]) == ("failed", "AccessDenied")
        # What was under way at once was refused too; nothing was delivered again.
        assert set(Counter(pages_asked(azure)).values()) == {1}
        assert not [entry for entry in app.host.logs if "is repeated" in entry.message]


def test_what_passes_is_delivered_again_until_the_run_publishes(azure: Simulator, tmp_path: Path, leaks: Leaks) -> None:
    azure.reset(users=USERS)
    azure.faults.plan(server_error(503, "100000", path=LIST, skip=2))
    with hosted(azure, tmp_path, leaks, SPREAD, workers=2) as app:
        run = app.run()
        assert (run["state"], run["users"]) == ("published", USERS)
        assert stored(app.store) == directory(azure)
        assert [entry for entry in app.host.logs if "delivery 1 failed and is repeated" in entry.message]
