"""The queues in memory behave as a storage account's.

https://learn.microsoft.com/en-us/rest/api/storageservices/get-messages
"""

from datetime import UTC, datetime, timedelta

from simulator.functions.queues import MemoryQueues


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


def test_a_received_message_is_hidden_for_as_long_as_asked() -> None:
    clock = Clock()
    queues = MemoryQueues(clock=clock)
    queues.put("q", b"one")
    (first,) = queues.receive("q", 32, 600)
    assert queues.receive("q", 32, 600) == []
    clock.moment += timedelta(seconds=600)
    (second,) = queues.receive("q", 32, 600)
    assert (first.id, first.dequeue_count, second.id, second.dequeue_count) == (first.id, 1, first.id, 2)


def test_a_renewed_message_stays_hidden() -> None:
    clock = Clock()
    queues = MemoryQueues(clock=clock)
    queues.put("q", b"one")
    (message,) = queues.receive("q", 32, 600)
    clock.moment += timedelta(seconds=300)
    renewed = queues.renew(message, 600)
    clock.moment += timedelta(seconds=599)
    assert (queues.receive("q", 32, 600), renewed.dequeue_count) == ([], 1)


def test_a_message_that_another_took_over_is_left_to_it() -> None:
    """The receipt of the first no longer counts."""
    clock = Clock()
    queues = MemoryQueues(clock=clock)
    queues.put("q", b"one")
    (first,) = queues.receive("q", 32, 600)
    clock.moment += timedelta(seconds=600)
    (second,) = queues.receive("q", 32, 600)
    queues.delete(first)
    queues.release(first, 0)
    assert (queues.count("q"), queues.peek("q")) == (1, [])
    queues.delete(second)
    assert queues.count("q") == 0


def test_a_released_message_is_visible_after_its_delay() -> None:
    clock = Clock()
    queues = MemoryQueues(clock=clock)
    queues.put("q", b"one")
    (message,) = queues.receive("q", 32, 600)
    queues.release(message, 30)
    assert queues.peek("q") == []
    clock.moment += timedelta(seconds=30)
    assert [each.body for each in queues.peek("q")] == [b"one"]


def test_messages_come_in_order_and_no_more_than_asked() -> None:
    queues = MemoryQueues(clock=Clock())
    for body in (b"one", b"two", b"three"):
        queues.put("q", body)
    assert [message.body for message in queues.receive("q", 2, 600)] == [b"one", b"two"]
    assert [message.body for message in queues.receive("q", 2, 600)] == [b"three"]
    assert (queues.receive("other", 2, 600), queues.count("other")) == ([], 0)
