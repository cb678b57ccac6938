"""Queue triggers: messages taken in batches, run, and then deleted, released or moved to the poison queue.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger
"""

import asyncio
import json
from contextlib import suppress
from datetime import datetime

from simulator.functions.changes import Changes
from simulator.functions.configuration import QueueOptions
from simulator.functions.dispatch import Dispatcher
from simulator.functions.errors import FunctionFailed, QueueError, WorkerExited
from simulator.functions.function_rpc import TypedData
from simulator.functions.functions import Function
from simulator.functions.logs import Logs
from simulator.functions.queues import Message, Queues, poison

SHORTEST_POLL = 0.1


class QueueListener:
    """Feeds one worker with the messages of one function, as an instance of the platform does.

    Up to `batch_size` messages are taken at a time, and more once no more than `new_batch_threshold` are running. A
    message is hidden for `hold` seconds, which is renewed while its function runs. When the function fails, the message
    is visible again after the visibility timeout; when the worker process ends, at once; after the last attempt it is
    in the poison queue.
    """

    def __init__(
        self,
        function: Function,
        worker: int,
        *,
        dispatcher: Dispatcher,
        queues: Queues,
        options: QueueOptions,
        hold: float,
        changes: Changes,
        logs: Logs,
    ) -> None:
        self._function = function
        self._queue = function.queue or ""
        self._worker = worker
        self._dispatcher = dispatcher
        self._queues = queues
        self._options = options
        self._hold = hold
        self._changes = changes
        self._logs = logs
        self._stopping = False

    async def listen(self) -> None:
        """Take messages until told to stop, and then wait for those that run."""
        poll = SHORTEST_POLL
        async with asyncio.TaskGroup() as tasks:
            running = set[asyncio.Task[None]]()
            while not self._stopping:
                change = self._changes.next()
                batch = await self._receive() if len(running) <= self._options.new_batch_threshold else []
                for message in batch:
                    task = tasks.create_task(self._process(message))
                    running.add(task)
                    task.add_done_callback(running.discard)
                poll = SHORTEST_POLL if batch else min(poll * 2, self._options.max_polling_interval)
                if not batch or len(running) > self._options.new_batch_threshold:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(change.wait(), poll)

    def stop(self) -> None:
        """Take no more messages."""
        self._stopping = True
        self._changes.notify()

    async def _receive(self) -> list[Message]:
        if not self._dispatcher.worker(self._worker).alive:
            return []
        try:
            return await asyncio.to_thread(self._queues.receive, self._queue, self._options.batch_size, self._hold)
        except QueueError as error:
            self._logs.add("Error", "Host.Queues", str(error), function=self._function.name)
            return []

    async def _process(self, message: Message) -> None:
        """Run the function on one message, and settle the message."""
        try:
            if message.dequeue_count > self._options.max_dequeue_count:
                await self._give_up(message)
                return
            run = asyncio.create_task(self._run(message))
            while not (await asyncio.wait({run}, timeout=self._hold / 2))[0]:
                message = await self._renew(message)
            delay = run.result()
            if delay is None:
                await asyncio.to_thread(self._queues.delete, message)
            elif message.dequeue_count >= self._options.max_dequeue_count:
                await self._give_up(message)
            else:
                await asyncio.to_thread(self._queues.release, message, delay)
        except QueueError as error:
            problem = f"Message {message.id} is not settled, and comes back when its hold has run out. {error}"
            self._logs.add("Error", "Host.Queues", problem, function=self._function.name)
        finally:
            self._changes.notify()

    async def _renew(self, message: Message) -> Message:
        """Hide a message for longer; where that fails, its function goes on and the next renewal may succeed."""
        try:
            return await asyncio.to_thread(self._queues.renew, message, self._hold)
        except QueueError as error:
            self._logs.add("Error", "Host.Queues", str(error), function=self._function.name)
            return message

    async def _run(self, message: Message) -> float | None:
        """Run the function; return None when it succeeded, or else after how many seconds to try again."""
        try:
            await self._dispatcher.run(
                self._function,
                message_data(message.body),
                reason=f"New queue message detected on '{self._queue}'.",
                metadata=message_metadata(message),
                worker=self._dispatcher.worker(self._worker),
            )
        except FunctionFailed:
            return self._options.visibility_timeout
        except WorkerExited:
            return 0.0
        return None

    async def _give_up(self, message: Message) -> None:
        """Move a message to the poison queue; a queue that is one itself has none, so there it waits its hold out.

        https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages
        """
        if self._queue.endswith("-poison"):
            return
        attempts, target = self._options.max_dequeue_count, poison(self._queue)
        self._logs.add(
            "Warning",
            "Host.Queues",
            f"Message has reached MaxDequeueCount of {attempts}. Moving message to queue '{target}'.",
            function=self._function.name,
        )
        await asyncio.to_thread(self._queues.put, target, message.body)
        await asyncio.to_thread(self._queues.delete, message)


def message_data(body: bytes) -> TypedData:
    """Return a message as the trigger's value: a string, or bytes where it is no text."""
    try:
        return TypedData(string=body.decode())
    except UnicodeDecodeError:
        return TypedData(bytes=body)


def message_metadata(message: Message) -> dict[str, TypedData]:
    """Return what the function is told beside the body.

    https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-trigger#message-metadata
    """
    return {
        "Id": TypedData(string=message.id),
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        "InsertionTime": _moment(message.inserted),
        "ExpirationTime": _moment(message.expires),
        "NextVisibleTime": _moment(message.next_visible),
        "PopReceipt": TypedData(string=message.pop_receipt),
    }


def _moment(moment: datetime) -> TypedData:
    return TypedData(json=json.dumps(moment.isoformat()))
