"""Invocations: given to worker processes in turn, logged as the host logs them, their outputs put into queues."""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, cast

from simulator.functions.changes import Changes
from simulator.functions.errors import FunctionFailed, NoWorker, QueueError, StartError, WorkerExited
from simulator.functions.function_rpc import (
    InvocationRequest,
    InvocationResponse,
    ParameterBinding,
    RpcException,
    RpcFunctionMetadata,
    TypedData,
)
from simulator.functions.functions import Function
from simulator.functions.logs import Logs
from simulator.functions.processes import Worker
from simulator.functions.queues import Queues


class Dispatcher:
    """The worker processes of one host; a process that ends is replaced by another.

    Attributes:
        background: how many invocations run that no HTTP request waits for.
    """

    def __init__(
        self, app: Path, environment: Mapping[str, str], queues: Queues, *, changes: Changes, logs: Logs
    ) -> None:
        self.background = 0
        self._app = app
        self._environment = environment
        self._queues = queues
        self._changes = changes
        self._logs = logs
        self._workers = list[Worker]()
        self._tasks = set[asyncio.Task[None]]()
        self._turns = itertools.count()
        self._stopping = False

    async def start(self, count: int) -> list[RpcFunctionMetadata]:
        """Start the processes, and return the functions of the app.

        Raises:
            StartError: the app cannot be imported or indexed.
        """
        self._workers = [Worker(index, self._app, self._logs) for index in range(count)]
        # The first alone, so that an app that cannot start says so once.
        metadata = await self._workers[0].start(self._environment)
        await asyncio.gather(*(worker.start(self._environment) for worker in self._workers[1:]))
        for index in range(count):
            self._spawn(self._supervise(index))
        return metadata

    async def stop(self) -> None:
        """End every process; invocations that run are given the time a process has to end."""
        self._stopping = True
        await asyncio.gather(*(worker.stop() for worker in self._workers if worker.started))
        # A process that is just being started is stopped by the task that starts it.
        await asyncio.gather(*self._tasks)

    def worker(self, index: int) -> Worker:
        """Return the process that has this index now."""
        return self._workers[index]

    def pids(self) -> list[int]:
        """Return the ids of the processes that answer, by index."""
        return [worker.pid for worker in self._workers if worker.alive]

    async def kill(self, index: int) -> bool:
        """Kill a process (SIGKILL), and return when it is gone; False where it is just being replaced."""
        worker = self._workers[index]
        if not worker.alive:
            return False
        worker.kill()
        await worker.exited.wait()
        return True

    async def ready(self) -> None:
        """Wait until every process answers."""
        while not all(worker.alive for worker in self._workers):
            await self._changes.next().wait()

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        *,
        reason: str,
        metadata: Mapping[str, TypedData] | None = None,
        worker: Worker | None = None,
    ) -> InvocationResponse:
        """Run a function, on the worker given or on the one whose turn it is, and put its outputs into their queues.

        Raises:
            NoWorker: no worker process is up.
            WorkerExited: the process ended meanwhile.
        """
        chosen = worker or self._next()
        invocation, began = str(uuid.uuid4()), time.monotonic()
        request = InvocationRequest(
            invocation_id=invocation,
            function_id=function.id,
            input_data=[ParameterBinding(name=function.parameter, data=data)],
            trigger_metadata=dict(metadata or {}),
        )
        self._log(
            "Information",
            function,
            invocation,
            f"Executing 'Functions.{function.name}' (Reason='{reason}', Id={invocation})",
        )
        try:
            response = await chosen.invoke(request, function.name)
        except WorkerExited as error:
            self._ended("Failed", function, invocation, began, str(error))
            raise
        if not response.result.exception:
            try:
                await self._put_outputs(function, response)
            except QueueError as error:
                # An output that cannot be written fails the function, as in the real host.
                response.result.exception = RpcException(message=str(error))
        if error := response.result.exception:
            self._ended("Failed", function, invocation, began, f"{error.message}\n{error.stack_trace}")
        else:
            self._ended("Succeeded", function, invocation, began)
        return response

    async def run(
        self,
        function: Function,
        data: TypedData,
        *,
        reason: str,
        metadata: Mapping[str, TypedData] | None = None,
        worker: Worker | None = None,
    ) -> None:
        """Run a function whose result is only whether it failed.

        Raises:
            FunctionFailed: it raised.
            NoWorker: no worker process is up.
            WorkerExited: the process ended meanwhile.
        """
        self.background += 1
        try:
            response = await self.invoke(function, data, reason=reason, metadata=metadata, worker=worker)
        finally:
            self.background -= 1
            self._changes.notify()
        if response.result.exception:
            raise FunctionFailed(response.result.exception.message)

    def trigger(self, function: Function, data: TypedData, *, reason: str) -> None:
        """Run a function without waiting for it; how it ended is in the log."""

        async def ignore_failure() -> None:
            try:
                await self.run(function, data, reason=reason)
            except (FunctionFailed, NoWorker, WorkerExited):
                return

        self._spawn(ignore_failure())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next(self) -> Worker:
        for turn in itertools.islice(self._turns, len(self._workers)):
            worker = self._workers[turn % len(self._workers)]
            if worker.alive:
                return worker
        raise NoWorker("no worker process is up")

    async def _supervise(self, index: int) -> None:
        """Replace a worker whenever it ends; one that cannot start is not tried again."""
        while True:
            await self._workers[index].exited.wait()
            if self._stopping:
                return
            self._logs.add("Warning", "Host.Worker", f"Worker {index} exited; another is started.", worker=index)
            worker = Worker(index, self._app, self._logs)
            try:
                await worker.start(self._environment)
            except StartError as error:
                self._logs.add("Error", "Host.Worker", f"Worker {index} did not start again: {error}", worker=index)
                return
            self._workers[index] = worker
            if self._stopping:
                await worker.stop()
            self._changes.notify()

    async def _put_outputs(self, function: Function, response: InvocationResponse) -> None:
        values = {binding.name: binding.data for binding in response.output_data} | {"$return": response.return_value}
        for name, queue in function.outputs.items():
            for body in _bodies(values.get(name)):
                await asyncio.to_thread(self._queues.put, queue, body)

    def _ended(self, how: str, function: Function, invocation: str, began: float, error: str = "") -> None:
        milliseconds = round((time.monotonic() - began) * 1000)
        message = f"Executed 'Functions.{function.name}' ({how}, Id={invocation}, Duration={milliseconds}ms)"
        self._log("Error" if error else "Information", function, invocation, f"{message}\n{error}".rstrip())

    def _log(self, level: str, function: Function, invocation: str, message: str) -> None:
        self._logs.add(level, f"Function.{function.name}", message, function=function.name, invocation=invocation)


def _bodies(value: TypedData | None) -> list[bytes]:
    """Return the messages that an output binding was given: a list is one message for each of its items.

    https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue-output#usage
    """
    if value is None:
        return []
    if value.bytes is not None:
        return [value.bytes]
    if value.json is None:
        return [(value.string or "").encode()]
    document: object = json.loads(value.json)
    items = cast("list[object]", document) if isinstance(document, list) else [document]
    return [(item if isinstance(item, str) else json.dumps(item)).encode() for item in items]
