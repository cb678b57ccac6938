"""Queue triggers and queue outputs.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger
https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-output
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from simulator.functions import FunctionsHost, LogEntry


@pytest.fixture
def queue_host(app: Path) -> Iterator[FunctionsHost]:
    """A host whose queues are empty."""
    with FunctionsHost(app) as running:
        yield running


def seen(host: FunctionsHost) -> list[dict[str, Any]]:
    """What the function `work` reported, in the order in which its runs ended."""
    host.drain()
    return [json.loads(message.body) for message in host.queues.peek("seen")]


def test_a_message_reaches_the_function_with_its_metadata(queue_host: FunctionsHost) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger#message-metadata"""
    queue_host.queues.put("work", b"hello")
    (fact,) = seen(queue_host)
    assert bytes.fromhex(fact["body"]) == b"hello"
    assert (fact["attempt"], fact["receipt"], len(fact["id"])) == (1, True, 36)
    assert (fact["inserted"][-6:], fact["expires"][-6:]) == ("+00:00", "+00:00")
    assert queue_host.queues.count("work") == 0


def test_a_message_that_is_no_text_arrives_as_its_bytes(queue_host: FunctionsHost) -> None:
    queue_host.queues.put("work", b"\xff\x00")
    assert [bytes.fromhex(fact["body"]) for fact in seen(queue_host)] == [b"\xff\x00"]


def test_each_item_of_a_list_output_is_a_message(queue_host: FunctionsHost, session: requests.Session) -> None:
    key = {"x-functions-key": queue_host.keys.default}
    response = session.post(f"{queue_host.url}/api/send", json=["one", "two", "three"], headers=key)
    assert response.status_code == 202
    assert sorted(bytes.fromhex(fact["body"]) for fact in seen(queue_host)) == [b"one", b"three", b"two"]


def test_bytes_are_sent_as_they_are(queue_host: FunctionsHost, session: requests.Session) -> None:
    key = {"x-functions-key": queue_host.keys.default}
    session.post(f"{queue_host.url}/api/send-raw", data=b"\x00\xff", headers=key)
    assert [message.body for message in queue_host.queues.peek("seen")] == [b"\x00\xff"]


def test_a_function_that_fails_sends_nothing(queue_host: FunctionsHost, session: requests.Session) -> None:
    key = {"x-functions-key": queue_host.keys.default}
    response = session.post(f"{queue_host.url}/api/send-raw?fail=yes", data=b"text", headers=key)
    assert (response.status_code, queue_host.queues.count("seen")) == (500, 0)


def test_a_message_whose_function_fails_is_delivered_again(queue_host: FunctionsHost) -> None:
    """At once, with a visibilityTimeout of 0; the dequeue count tells which attempt it is."""
    queue_host.queues.put("work", b"fail until 3")
    assert [fact["attempt"] for fact in seen(queue_host)] == [3]
    failures = [entry for entry in queue_host.logs if entry.level == "Error" and entry.function == "work"]
    assert ["attempt 1" in failures[0].message, "attempt 2" in failures[1].message] == [True, True]


def test_after_five_attempts_a_message_is_in_the_poison_queue(queue_host: FunctionsHost) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages"""
    queue_host.queues.put("work", b"fail always")
    assert seen(queue_host) == []
    assert [message.body for message in queue_host.queues.peek("work-poison")] == [b"fail always"]
    said = [entry.message for entry in queue_host.logs if entry.category == "Host.Queues"]
    assert said == ["Message has reached MaxDequeueCount of 5. Moving message to queue 'work-poison'."]
    assert sum(entry.message.startswith("Executing") for entry in queue_host.logs) == 5


def test_host_json_says_how_many_attempts_there_are(app: Path, tmp_path: Path) -> None:
    for file in app.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "host.json").write_text('{"version": "2.0", "extensions": {"queues": {"maxDequeueCount": 2}}}')
    with FunctionsHost(tmp_path) as host:
        host.queues.put("work", b"fail until 3")
        assert seen(host) == []
        assert host.queues.count("work-poison") == 1


def test_messages_run_at_once_up_to_batch_size_and_threshold(queue_host: FunctionsHost) -> None:
    """Four messages that wait for each other all end."""
    for _ in range(4):
        queue_host.queues.put("work", b"four")
    assert [bytes.fromhex(fact["body"]) for fact in seen(queue_host)] == [b"four"] * 4


def test_a_second_delivery_is_a_message_like_any_other(queue_host: FunctionsHost) -> None:
    queue_host.queues.put("work", b"twice")
    queue_host.queues.put("work", b"twice")
    assert len({fact["id"] for fact in seen(queue_host)}) == 2


def test_an_admin_request_gives_a_queue_function_its_input(
    queue_host: FunctionsHost, session: requests.Session
) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-manually-run-non-http"""
    key = {"x-functions-key": queue_host.keys.master}
    session.post(f"{queue_host.url}/admin/functions/work", json={"input": "by hand"}, headers=key)
    assert [bytes.fromhex(fact["body"]) for fact in seen(queue_host)] == [b"by hand"]


def test_a_poison_queue_has_no_poison_queue_of_its_own(app: Path) -> None:
    """A message that fails there too stays, hidden for as long as a hold lasts."""
    failures, fifth = list[LogEntry](), threading.Event()

    def show(entry: LogEntry) -> None:
        if entry.level == "Error":
            failures.append(entry)
            if len(failures) == 5:
                fifth.set()

    with FunctionsHost(app, {"WORK": "work-poison"}, show=show) as host:
        host.queues.put("work-poison", b"fail always")
        assert fifth.wait(30)
        assert (host.queues.count("work-poison"), host.queues.peek("work-poison")) == (1, [])
        assert host.queues.count("work-poison-poison") == 0
