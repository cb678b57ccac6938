"""Queues of an Azure Storage account, in Azurite, reached with the managed identity's tokens.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue#identity-based-connections
"""

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from simulator import Simulator
from simulator.azurite import Azurite
from simulator.functions import FunctionsHost, LogEntry
from simulator.functions.errors import QueueError
from simulator.functions.queues import Queues
from simulator.functions.storage_queues import storage_queues
from tests.functions_host.relay import relay_to

NOWHERE = 9


@pytest.fixture
def settings(azure: Simulator, azurite: Azurite) -> dict[str, str]:
    """An app's settings for the account, with queues of its own."""
    return azure.environment | {
        "AzureWebJobsStorage": "",
        "AzureWebJobsStorage__queueServiceUri": "https://account.queue.core.windows.net",
        "AzureWebJobsStorage__credential": "managedidentity",
        "AzureWebJobsStorage__clientId": azure.entra.identity.client_id,
        "WORK": f"work-{uuid.uuid4()}",
        "SEEN": f"seen-{uuid.uuid4()}",
    }


@pytest.fixture
def queues(settings: dict[str, str]) -> Iterator[Queues]:
    """The account's queues, without the host."""
    with closing(storage_queues(settings, lambda: None)) as account:
        yield account


@pytest.fixture
def name() -> str:
    """A queue that there is not yet."""
    return f"queue-{uuid.uuid4()}"


def test_a_message_makes_its_queue_and_comes_back_as_it_was_sent(queues: Queues, name: str) -> None:
    assert (queues.count(name), queues.peek(name), queues.receive(name, 32, 600)) == (0, [], [])
    queues.put(name, b"\x00\xff")
    assert [message.body for message in queues.peek(name)] == [b"\x00\xff"]
    (message,) = queues.receive(name, 32, 600)
    assert (message.body, message.dequeue_count, message.queue) == (b"\x00\xff", 1, name)
    assert message.inserted < message.next_visible < message.expires


def test_a_received_message_is_hidden_until_it_is_released_or_deleted(queues: Queues, name: str) -> None:
    queues.put(name, b"one")
    (first,) = queues.receive(name, 32, 600)
    assert (queues.receive(name, 32, 600), queues.count(name)) == ([], 1)
    queues.release(first, 0)
    (second,) = queues.receive(name, 32, 600)
    assert (second.id, second.dequeue_count) == (first.id, 2)
    queues.delete(second)
    assert queues.count(name) == 0


def test_a_message_that_another_took_over_is_left_to_it(queues: Queues, name: str) -> None:
    queues.put(name, b"one")
    (first,) = queues.receive(name, 32, 600)
    renewed = queues.renew(first, 600)
    queues.delete(first)
    assert (queues.renew(first, 0), queues.count(name)) == (first, 1)
    queues.delete(renewed)
    queues.delete(renewed)
    assert queues.count(name) == 0


def test_an_account_that_cannot_be_reached_is_named(settings: dict[str, str], name: str) -> None:
    nowhere = settings | {"HTTPS_PROXY": f"http://127.0.0.1:{NOWHERE}"}
    with closing(storage_queues(nowhere, lambda: None)) as queues, pytest.raises(QueueError) as raised:
        queues.put(name, b"one")
    assert str(raised.value).startswith(f"The queue '{name}' was not reached: ")


def test_a_token_that_is_refused_is_named(settings: dict[str, str], name: str) -> None:
    stranger = settings | {"IDENTITY_HEADER": "wrong"}
    with closing(storage_queues(stranger, lambda: None)) as queues, pytest.raises(QueueError) as raised:
        queues.put(name, b"one")
    expected = "the managed-identity endpoint gave no token: HTTP Error 401: Unauthorized"
    assert str(raised.value) == f"The queue '{name}' was not reached: {expected}."


def seen(host: FunctionsHost, settings: dict[str, str]) -> list[int]:
    """Which attempt each message succeeded at, least first."""
    host.drain()
    return sorted(json.loads(message.body)["attempt"] for message in host.queues.peek(settings["SEEN"]))


def test_outputs_trigger_functions_through_the_account(
    app: Path, settings: dict[str, str], session: requests.Session
) -> None:
    with FunctionsHost(app, settings) as host:
        key = {"x-functions-key": host.keys.default}
        assert session.post(f"{host.url}/api/send", json=["one", "fail until 3"], headers=key).status_code == 202
        assert seen(host, settings) == [1, 3]


def test_what_keeps_failing_is_in_the_poison_queue(app: Path, settings: dict[str, str]) -> None:
    with FunctionsHost(app, settings) as host:
        host.queues.put(settings["WORK"], b"fail always")
        assert seen(host, settings) == []
        assert [message.body for message in host.queues.peek(f"{settings['WORK']}-poison")] == [b"fail always"]


def test_what_was_lost_too_often_is_poisoned_without_another_run(
    app: Path, settings: dict[str, str], queues: Queues
) -> None:
    """Hosts that died with it in hand took all its attempts."""
    work = settings["WORK"]
    queues.put(work, b"unlucky")
    for _ in range(5):
        (message,) = queues.receive(work, 1, 600)
        queues.release(message, 0)
    with FunctionsHost(app, settings) as host:
        assert seen(host, settings) == []
        assert [message.body for message in host.queues.peek(f"{work}-poison")] == [b"unlucky"]
        assert not [entry for entry in host.logs if entry.message.startswith("Executing")]


def test_a_worker_that_dies_gives_its_message_back(app: Path, settings: dict[str, str]) -> None:
    with FunctionsHost(app, settings, workers=2) as host:
        host.queues.put(settings["WORK"], b"die until 3")
        assert seen(host, settings) == [3]


def test_a_host_that_stops_leaves_a_message_for_the_next_one(
    app: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    """As when the platform takes an instance away: the message is delivered again, and the attempt counts."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with FunctionsHost(app, settings) as first:
        first.queues.put(settings["WORK"], str(pipe).encode())
        pipe.read_text()
        first.kill_worker()
    with FunctionsHost(app, settings) as second:
        pipe.read_text()
        pipe.write_text("")
        assert seen(second, settings) == [2]


def test_an_output_that_cannot_be_written_fails_the_function(
    app: Path, settings: dict[str, str], session: requests.Session
) -> None:
    with FunctionsHost(app, settings | {"SEEN": "Not_A_Queue_Name"}) as host:
        key = {"x-functions-key": host.keys.default}
        assert session.post(f"{host.url}/api/send-raw", data=b"text", headers=key).status_code == 500
        assert any("The queue 'not_a_queue_name' answered 400" in entry.message for entry in host.logs)


def test_an_outage_of_the_account_loses_no_message(
    app: Path, settings: dict[str, str], tmp_path: Path, azure: Simulator
) -> None:
    """A message whose function ended while the account was away is delivered again when its hold has run out."""
    pipe, away = tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)

    def show(entry: LogEntry) -> None:
        if entry.category == "Host.Queues" and "is not settled" in entry.message:
            away.set()

    with relay_to(azure.port) as relay:
        behind = settings | {"HTTPS_PROXY": relay.url, "https_proxy": relay.url}
        with FunctionsHost(app, behind, hold=1.0, show=show) as host:
            host.queues.put(settings["WORK"], str(pipe).encode())
            pipe.read_text()
            relay.cut()
            pipe.write_text("")
            assert away.wait(30)
            relay.mend()
            pipe.read_text()
            pipe.write_text("")
            assert seen(host, settings) == [2]
