"""Queues as the Storage queue extension sees them, in memory.

https://learn.microsoft.com/en-us/rest/api/storageservices/queue-service-concepts
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

TIME_TO_LIVE = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it was received or peeked at; `pop_receipt` is empty for a peek."""

    queue: str
    id: str
    body: bytes
    dequeue_count: int
    inserted: datetime
    expires: datetime
    next_visible: datetime
    pop_receipt: str


class Queues(Protocol):
    """What the host needs of a queue service; every method may be called from any thread.

    A message that someone else took over meanwhile is left to them: `renew`, `release` and `delete` then do nothing.
    """

    def put(self, queue: str, body: bytes) -> None:
        """Add a message, to a new queue where there was none."""
        ...

    def receive(self, queue: str, count: int, hold: float) -> list[Message]:
        """Take up to `count` visible messages, and hide them for `hold` seconds."""
        ...

    def renew(self, message: Message, hold: float) -> Message:
        """Hide a message that was received for `hold` seconds from now, and return it with its new receipt."""
        ...

    def release(self, message: Message, delay: float) -> None:
        """Make a message that was received visible again after `delay` seconds."""
        ...

    def delete(self, message: Message) -> None:
        """Remove a message that was received."""
        ...

    def peek(self, queue: str) -> list[Message]:
        """Return up to 32 visible messages, and leave them."""
        ...

    def count(self, queue: str) -> int:
        """Return how many messages there are, hidden ones included."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


def poison(queue: str) -> str:
    """Name the queue that takes the messages that keep failing."""
    return f"{queue}-poison"


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class MemoryQueues:
    """Queues that live as long as the host.

    `changed` is called after a message became visible; `clock` tells the time.
    """

    def __init__(self, changed: Callable[[], object] = lambda: None, *, clock: Callable[[], datetime] = now) -> None:
        self._changed = changed
        self._clock = clock
        self._queues = dict[str, dict[str, Message]]()
        self._lock = threading.Lock()

    def put(self, queue: str, body: bytes) -> None:
        """Add a message, to a new queue where there was none."""
        moment = self._clock()
        message = Message(
            queue=queue,
            id=str(uuid.uuid4()),
            body=body,
            dequeue_count=0,
            inserted=moment,
            expires=moment + TIME_TO_LIVE,
            next_visible=moment,
            pop_receipt="",
        )
        with self._lock:
            self._queues.setdefault(queue, {})[message.id] = message
        self._changed()

    def receive(self, queue: str, count: int, hold: float) -> list[Message]:
        """Take up to `count` visible messages, and hide them for `hold` seconds."""
        with self._lock:
            return [
                self._hide(message, hold, dequeue_count=message.dequeue_count + 1)
                for message in self._visible(queue)[:count]
            ]

    def renew(self, message: Message, hold: float) -> Message:
        """Hide a message that was received for `hold` seconds from now, and return it with its new receipt."""
        with self._lock:
            return self._hide(message, hold, dequeue_count=message.dequeue_count) if self._held(message) else message

    def release(self, message: Message, delay: float) -> None:
        """Make a message that was received visible again after `delay` seconds."""
        self.renew(message, delay)
        self._changed()

    def delete(self, message: Message) -> None:
        """Remove a message that was received."""
        with self._lock:
            if self._held(message):
                del self._queues[message.queue][message.id]

    def peek(self, queue: str) -> list[Message]:
        """Return up to 32 visible messages, and leave them."""
        with self._lock:
            return [replace(message, pop_receipt="") for message in self._visible(queue)[:32]]

    def count(self, queue: str) -> int:
        """Return how many messages there are, hidden ones included."""
        with self._lock:
            return len(self._queues.get(queue, {}))

    def close(self) -> None:
        """Do nothing: the messages go with the host."""

    def _visible(self, queue: str) -> list[Message]:
        moment = self._clock()
        return [message for message in self._queues.get(queue, {}).values() if message.next_visible <= moment]

    def _held(self, message: Message) -> bool:
        stored = self._queues.get(message.queue, {}).get(message.id)
        return stored is not None and stored.pop_receipt == message.pop_receipt

    def _hide(self, message: Message, hold: float, *, dequeue_count: int) -> Message:
        hidden = replace(
            message,
            dequeue_count=dequeue_count,
            next_visible=self._clock() + timedelta(seconds=hold),
            pop_receipt=uuid.uuid4().hex,
        )
        self._queues[message.queue][message.id] = hidden
        return hidden
