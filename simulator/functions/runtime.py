"""The running host: workers, HTTP, queue listeners and timers, in one event loop."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import uvicorn

from simulator.functions.changes import Changes
from simulator.functions.configuration import read_host_json
from simulator.functions.dispatch import Dispatcher
from simulator.functions.errors import FunctionFailed, NoWorker, StartError, WorkerExited
from simulator.functions.front import Front
from simulator.functions.function_rpc import InvocationResponse, TypedData
from simulator.functions.functions import Function, read_functions
from simulator.functions.keys import Keys
from simulator.functions.logs import Logs
from simulator.functions.queue_triggers import SHORTEST_POLL, QueueListener
from simulator.functions.queues import MemoryQueues, Queues, now
from simulator.functions.timers import timer_json

ADMIN = "This function was programmatically called via the host APIs."


class Runtime:
    """Everything that runs in the host's event loop.

    Attributes:
        functions: the functions of the app, by name.
        queues: where its queues are.
        dispatcher: its workers.
    """

    functions: tuple[Function, ...]

    def __init__(self, app: Path, settings: Mapping[str, str], *, keys: Keys, hold: float, logs: Logs) -> None:
        self._app = app
        self._keys = keys
        self._hold = hold
        self._logs = logs
        self._changes = Changes()
        self._timers = list[asyncio.Task[None]]()
        self._listeners = list[QueueListener]()
        self._listening = list[asyncio.Task[None]]()
        self._settings = settings
        self.queues = _queues(settings, self._changes)
        self.dispatcher = Dispatcher(app, settings, self.queues, changes=self._changes, logs=logs)

    async def start(self, listener: socket.socket, *, workers: int, schedules: bool) -> None:
        """Start everything; HTTP is answered on the socket, and timers are kept when `schedules` says so.

        Raises:
            StartError: the app, a setting or host.json is at fault.
        """
        configuration = read_host_json(self._app)
        metadata = await self.dispatcher.start(workers)
        self.functions = read_functions(metadata, prefix=configuration.route_prefix, settings=self._settings)
        front = Front(self.functions, self._keys, invoke=self._invoke, trigger=self._trigger)
        config = uvicorn.Config(
            front,
            # Named, so that a machine without the fast parser fails here and not in a measurement.
            http="httptools",
            # As long as the real host's web server keeps a connection that nobody uses.
            timeout_keep_alive=130,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        self._listeners = [
            QueueListener(
                function,
                worker,
                dispatcher=self.dispatcher,
                queues=self.queues,
                options=configuration.queues,
                hold=self._hold,
                changes=self._changes,
                logs=self._logs,
            )
            for function in self.functions
            if function.queue
            for worker in range(workers)
        ]
        self._listening = [asyncio.create_task(each.listen()) for each in self._listeners]
        if schedules:
            self._timers = [asyncio.create_task(self._keep(each)) for each in self.functions if each.schedule]

    async def stop(self) -> None:
        """Stop everything; functions that run are given the time a worker has to end."""
        for timer in self._timers:
            timer.cancel()
        for listener in self._listeners:
            listener.stop()
        await self.dispatcher.stop()
        await asyncio.gather(*self._timers, *self._listening, return_exceptions=True)
        self.queues.close()
        if hasattr(self, "_server"):
            self._server.should_exit = True
            await self._serving

    async def drain(self) -> None:
        """Wait until no function runs that HTTP did not trigger, and no queue that triggers one has a message."""
        triggers = {function.queue for function in self.functions if function.queue}
        while True:
            change = self._changes.next()
            left = [await asyncio.to_thread(self.queues.count, queue) for queue in triggers]
            if not any(left) and not self.dispatcher.background:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(change.wait(), SHORTEST_POLL)

    async def run_timer(self, function: Function, *, past_due: bool = False, last: datetime | None = None) -> None:
        """Run a timer's function.

        Raises:
            FunctionFailed: it raised.
        """
        await self.dispatcher.run(function, _timer_data(function, past_due=past_due, last=last), reason=ADMIN)

    async def _keep(self, function: Function) -> None:
        """Run a timer's function whenever its schedule says so; one run at a time, and none at the start."""
        last = None
        while function.schedule:
            occurrence = function.schedule.next_after(now())
            await asyncio.sleep((occurrence - now()).total_seconds())
            with suppress(FunctionFailed, NoWorker, WorkerExited):
                await self.run_timer(function, last=last)
            last = occurrence

    async def _invoke(self, function: Function, request: TypedData) -> InvocationResponse:
        return await self.dispatcher.invoke(function, request, reason=ADMIN)

    def _trigger(self, function: Function, given: str | None) -> None:
        data = _timer_data(function) if function.schedule else TypedData(string=given or "")
        self.dispatcher.trigger(function, data, reason=ADMIN)


def _queues(settings: Mapping[str, str], changes: Changes) -> Queues:
    if settings.get("AzureWebJobsStorage__queueServiceUri"):
        # Azure's SDKs take longer to import than everything else here; most apps are served without them.
        from simulator.functions.storage_queues import storage_queues  # noqa: PLC0415

        return storage_queues(settings, changes.notify)
    if settings.get("AzureWebJobsStorage", "") not in {"", "UseDevelopmentStorage=true"}:
        raise StartError(
            "AzureWebJobsStorage is a connection string. Set it to UseDevelopmentStorage=true for queues in memory, or "
            "set AzureWebJobsStorage__queueServiceUri for those of a storage account."
        )
    return MemoryQueues(changes.notify)


def _timer_data(function: Function, *, past_due: bool = False, last: datetime | None = None) -> TypedData:
    if not function.schedule:
        raise StartError(f"The function '{function.name}' is no timer.")
    return TypedData(json=timer_json(function.schedule, past_due=past_due, last=last, now=now()))
