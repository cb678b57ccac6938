"""Messages delivered twice, at once, too late or in vain: each changes nothing, or ends the run with its reason."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from entra_users.errors import EntraUsersError, IncompleteDirectory, Unavailable
from entra_users.jobs import MAX_DELIVERIES
from simulator import Fault
from simulator.faults import answered, page_fault, server_error, token_error
from tests.jobs.app import App, directory, manifest_of, pages_asked, stored
from tests.jobs.conftest import MakeApp

USERS = 450
LIST = "^/v1.0/users$"
DENIED = '{"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}}'
SPREAD = {"SYNC_PARTITION_USERS": "100", "SYNC_INLINE_USERS": "200"}


def begin(app: App) -> str:
    """A run of many users, whose messages for partitions wait; its id."""
    app.azure.reset(users=USERS)
    run = app.start()
    app.deliver_start()
    return run


def test_a_small_directory_is_exported_by_the_worker_that_plans(app: App) -> None:
    app.azure.reset(users=200)
    run = app.start()
    app.deliver_start()
    assert (app.starts, app.partitions) == ([], [])
    assert app.status(run)["state"] == "published"
    assert stored(app.store) == directory(app.azure)


def test_every_partition_is_read_once_and_the_last_receipt_publishes(app: App) -> None:
    run = begin(app)
    while len(app.partitions) > 1:
        app.deliver_partition()
        assert "latest.json" not in app.store.names()
    app.deliver_partition()
    assert set(Counter(pages_asked(app.azure)).values()) == {1}
    assert manifest_of(app.store).history[0].run == run
    assert stored(app.store) == directory(app.azure)


def test_a_message_that_comes_again_changes_nothing(app: App) -> None:
    """Before the others, between them and after them, each of both queues."""
    app.azure.reset(users=USERS)
    app.start()
    start = app.starts[0]
    app.deliver_start()
    messages = list(app.partitions)
    # Started again before anything is exported: the same messages.
    app.starts.append(start)
    app.deliver_start()
    assert app.partitions == [*messages, *messages]
    dice = random.Random(3)  # noqa: S311 -- an order, not a secret
    dice.shuffle(app.partitions)
    app.drain()
    assert set(Counter(pages_asked(app.azure)).values()) == {1}
    files, asked = app.files(), len(app.azure.requests)
    assert stored(app.store) == directory(app.azure)
    app.starts.append(start)
    app.partitions += messages
    app.drain()
    assert (app.files(), app.partitions) == (files, [])
    assert [each.path for each in app.azure.requests[asked:]] == []


def test_a_start_that_comes_again_while_partitions_are_done_asks_only_for_the_rest(app: App) -> None:
    app.azure.reset(users=USERS)
    app.start()
    start = app.starts[0]
    app.deliver_start()
    app.deliver_partition()
    app.deliver_partition()
    left = list(app.partitions)
    app.starts.append(start)
    app.deliver_start()
    assert app.partitions == [*left, *left]


def test_a_start_that_comes_again_when_all_is_exported_publishes(app: App, make_app: MakeApp) -> None:
    """As after a worker that died between the last receipt and the manifest."""
    app.azure.reset(users=USERS)
    run = app.start()
    start = app.starts[0]
    app.deliver_start()
    app.azure.faults.plan(server_error(503, "100000", path="count$", times=None))
    while len(app.partitions) > 1:
        app.deliver_partition()
    with pytest.raises(Unavailable):
        app.deliver_partition()
    assert app.status(run)["partitions"]["done"] == app.status(run)["partitions"]["total"]
    app.azure.faults.clear()
    again, asked = make_app(**SPREAD), len(app.azure.requests)
    again.starts.append(start)
    again.deliver_start()
    assert (again.partitions, again.status(run)["state"]) == ([], "published")
    assert pages_asked(app.azure, asked) == []
    assert stored(app.store) == directory(app.azure)


def test_messages_done_by_several_workers_at_once_change_nothing(app: App, make_app: MakeApp) -> None:
    app.azure.reset(users=USERS)
    run = app.start()
    start = app.starts[0].encode()
    workers = [make_app(**SPREAD) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        sent = [each.result() for each in [pool.submit(worker.service.do_start, start, 1) for worker in workers]]
        assert sent[0]
        assert sent == [sent[0]] * 3

        def work(worker: App) -> None:
            for message in sent[0]:
                worker.service.do_partition(message.encode(), 1)

        list(pool.map(work, workers))
    manifest = manifest_of(app.store)
    assert [record.run for record in manifest.history if record.mode == "full"] == [run]
    assert stored(app.store) == directory(app.azure)
    assert app.status(run)["state"] == "published"
    assert [name for name in app.store.names() if name.startswith("runs/")] == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answered(403, DENIED, path=LIST, times=None), "AccessDenied"),
        (answered(403, DENIED, path="delta$", times=None), "AccessDenied"),
    ],
)
def test_consent_that_is_lost_ends_the_run_at_once_with_its_reason(app: App, fault: Fault, error: str) -> None:
    app.azure.reset(users=USERS)
    app.azure.faults.plan(fault)
    failed = app.run()
    assert (failed["state"], failed["error"]["code"]) == ("failed", error)
    assert "Authorization_RequestDenied" in failed["error"]["message"]
    asked = len(app.azure.requests)
    assert len(pages_asked(app.azure)) <= 1
    # What is left of its messages is let go without a request.
    app.drain()
    assert len(app.azure.requests) == asked
    app.azure.faults.clear()
    assert app.run()["state"] == "published"
    assert stored(app.store) == directory(app.azure)


PASSING = [
    server_error(503, "100000", path=LIST),
    page_fault("no-value", times=100, path=LIST),
    token_error(7000215, times=2),
]


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_delivered_again(app: App, make_app: MakeApp, fault: Fault) -> None:
    run = begin(app)
    app.azure.faults.plan(fault)
    worker = make_app(**SPREAD)
    worker.partitions = app.partitions
    with pytest.raises(EntraUsersError):
        worker.deliver_partition(delivery=1)
    assert worker.status(run)["state"] == "running"
    app.azure.faults.clear()
    again = make_app(**SPREAD)
    again.partitions = worker.partitions
    again.deliver_partition(delivery=2)
    again.drain()
    assert again.status(run)["state"] == "published"
    assert stored(app.store) == directory(app.azure)


@pytest.mark.parametrize("fault", PASSING)
def test_what_has_not_passed_at_the_last_delivery_ends_the_run_with_its_reason(
    app: App, make_app: MakeApp, fault: Fault
) -> None:
    run = begin(app)
    app.azure.faults.plan(fault)
    worker = make_app(**SPREAD)
    worker.partitions = app.partitions
    worker.deliver_partition(delivery=MAX_DELIVERIES)
    failed = worker.status(run)
    assert (failed["state"], failed["error"]["code"] != "RunFailed") == ("failed", True)
    worker.service.do_poison(b'{"run":"%s","number":1}' % run.encode())
    assert worker.status(run) == failed


def test_a_run_that_read_fewer_than_graph_counts_ends_at_once(app: App) -> None:
    app.azure.reset(users=30)
    app.azure.faults.plan(answered(200, "25", {"content-type": "text/plain"}, path="count$", times=None))
    failed = app.run()
    assert (failed["state"], failed["error"]["code"]) == ("failed", IncompleteDirectory.__name__)
    assert "latest.json" not in app.store.names()


def test_a_poison_message_fails_its_run_with_the_reason(app: App) -> None:
    run = begin(app)
    app.service.do_poison(app.partitions[0].encode())
    failed = app.status(run)
    reason = f"A worker of run {run} died or failed 5 times in a row."
    assert (failed["state"], failed["error"]) == ("failed", {"code": "RunFailed", "message": reason})
    asked = len(app.azure.requests)
    app.drain()
    assert (len(app.azure.requests), "latest.json" in app.store.names()) == (asked, False)
    assert app.run()["state"] == "published"


def test_a_poison_message_of_a_run_that_published_changes_nothing(app: App) -> None:
    run = begin(app)
    poisoned = app.partitions[0].encode()
    app.drain()
    app.service.do_poison(poisoned)
    assert app.status(run)["state"] == "published"
    assert stored(app.store) == directory(app.azure)


def test_a_run_that_another_overtook_is_superseded_and_publishes_nothing(app: App, make_app: MakeApp) -> None:
    run = begin(app)
    console = make_app(SYNC_INLINE_USERS="100000")
    later: dict[str, Any] = {"run": f"{datetime.now(UTC):%Y%m%dT%H%M%S}999Z-later", "at": "2026-11-23T02:00:00Z"}
    console.service.do_start(str(later).replace("'", '"').encode(), 1)
    published = manifest_of(app.store)
    assert published.history[0].run == later["run"]
    app.drain()
    assert (app.status(run)["state"], manifest_of(app.store)) == ("superseded", published)


def test_the_timer_gives_no_message_while_a_run_is_active(app: App) -> None:
    message = app.service.run_is_due(past_due=False)
    assert message is not None
    assert app.service.run_is_due(past_due=True) is None
    app.starts.append(message)
    app.drain()
    assert app.service.run_is_due(past_due=True) is not None
