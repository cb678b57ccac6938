"""The host: a stand-in for `func start` that other code starts and stops."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from simulator.functions.changes import Changes
from simulator.functions.configuration import QueueOptions, read_host_json, read_local_settings
from simulator.functions.dispatch import Dispatcher
from simulator.functions.errors import PortTaken, StartError
from simulator.functions.front import Front
from simulator.functions.function_rpc import InvocationResponse, TypedData
from simulator.functions.functions import Function, read_functions
from simulator.functions.keys import Keys
from simulator.functions.logs import LogEntry, Logs
from simulator.functions.queue_triggers import SHORTEST_POLL, QueueListener
from simulator.functions.queues import MemoryQueues, Queues, now
from simulator.functions.timers import timer_json

# How long the Storage queue extension hides a message whose function runs, before it renews that.
HOLD = 600.0
ADMIN = "This function was programmatically called via the host APIs."


class FunctionsHost:
    """Serves the function app in a folder on loopback, from entering this context to leaving it.

    `environment` is laid over this process's environment, and both win over the Values of local.settings.json.
    `port` 0 takes a free one. `workers` is the number of worker processes: HTTP requests go to them in turn, and each
    listens on the queues by itself, as if it were an instance of its own. `hold` is how many seconds a queue message
    stays hidden when the host itself is killed; when only a worker process ends, it comes back at once.

    Attributes:
        url: where it listens, such as `http://127.0.0.1:7071`.
        keys: the default host key and the master key.
        functions: the functions of the app, by name.

    Raises:
        StartError: on entering; the app, a setting or host.json is at fault. The message is the worker's own.
        PortTaken: on entering; another program listens on the port.
    """

    url: str
    functions: tuple[Function, ...]
    queues: Queues

    def __init__(
        self,
        app: Path | str,
        environment: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        workers: int = 1,
        hold: float = HOLD,
        keys: Keys | None = None,
        show: Callable[[LogEntry], object] | None = None,
    ) -> None:
        self.keys = keys or Keys()
        self._app = Path(app).resolve()
        self._environment = {**os.environ, **(environment or {})}
        self._port = port
        self._count = workers
        self._hold = hold
        self._logs = Logs(show)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="functions-host", daemon=True)

    @property
    def logs(self) -> list[LogEntry]:
        """What host and workers logged so far, oldest first."""
        return self._logs.entries()

    def __enter__(self) -> Self:
        """Start everything; on return the functions answer."""
        listener = _listen(self._port)
        self._thread.start()
        try:
            self._call(self._start(listener))
        except BaseException:
            listener.close()
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything; on return no process is left."""
        self._call(self._stop())
        self._end()

    def run_timer(self, name: str, *, past_due: bool = False, timeout: float = 60.0) -> None:
        """Run a timer's function now, and wait for it at most `timeout` seconds.

        Raises:
            FunctionFailed: it raised.
        """
        function = next(each for each in self.functions if each.name == name and each.schedule)
        run = self._dispatcher.run(function, _timer_data(function, past_due=past_due), reason=ADMIN)
        self._call(run, timeout=timeout)

    def kill_worker(self, index: int = 0) -> None:
        """Kill a worker process (SIGKILL), and return when it is gone; another is started in its place."""

        async def kill() -> None:
            worker = self._dispatcher.worker(index)
            worker.kill()
            await worker.exited.wait()

        self._call(kill())

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until every worker process answers, at most `timeout` seconds (TimeoutError)."""
        self._call(self._dispatcher.ready(), timeout=timeout)

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until no function runs that HTTP did not trigger, and no queue that triggers one has a message.

        At most `timeout` seconds (TimeoutError). Messages that wait for another attempt count; poisoned ones do not.
        """
        self._call(self._drain(), timeout=timeout)

    async def _drain(self) -> None:
        triggers = {function.queue for function in self.functions if function.queue}
        while True:
            change = self._changes.next()
            left = [await asyncio.to_thread(self.queues.count, queue) for queue in triggers]
            if not any(left) and not self._dispatcher.background:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(change.wait(), SHORTEST_POLL)

    async def _start(self, listener: socket.socket) -> None:
        configuration = read_host_json(self._app)
        host, port = listener.getsockname()
        self.url = f"http://{host}:{port}"
        settings = read_local_settings(self._app, self._environment)
        if settings.setdefault("FUNCTIONS_WORKER_RUNTIME", "python") != "python":
            raise StartError(
                f"FUNCTIONS_WORKER_RUNTIME is {settings['FUNCTIONS_WORKER_RUNTIME']}; this host runs python only."
            )
        settings |= {"AZURE_FUNCTIONS_ENVIRONMENT": "Development", "WEBSITE_HOSTNAME": f"localhost:{port}"}
        self._changes = Changes()
        self.queues = MemoryQueues(self._changes.notify)
        self._dispatcher = Dispatcher(self._app, settings, self.queues, changes=self._changes, logs=self._logs)
        try:
            metadata = await self._dispatcher.start(self._count)
            self.functions = read_functions(metadata, prefix=configuration.route_prefix, settings=settings)
        except StartError:
            await self._dispatcher.stop()
            raise
        front = Front(self.functions, self.keys, invoke=self._invoke, trigger=self._trigger)
        self._server = uvicorn.Server(
            uvicorn.Config(
                front, lifespan="off", log_config=None, access_log=False, server_header=False, http="httptools"
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        self._listening = [
            asyncio.create_task(self._listener(function, worker, configuration.queues).listen())
            for function in self.functions
            if function.queue
            for worker in range(self._count)
        ]

    def _listener(self, function: Function, worker: int, options: QueueOptions) -> QueueListener:
        return QueueListener(
            function,
            worker,
            dispatcher=self._dispatcher,
            queues=self.queues,
            options=options,
            hold=self._hold,
            changes=self._changes,
            logs=self._logs,
        )

    async def _stop(self) -> None:
        self._server.should_exit = True
        await self._serving
        for listening in self._listening:
            listening.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await self._dispatcher.stop()

    async def _invoke(self, function: Function, request: TypedData) -> InvocationResponse:
        return await self._dispatcher.invoke(function, request, reason=ADMIN)

    def _trigger(self, function: Function, given: str | None) -> None:
        data = _timer_data(function) if function.schedule else TypedData(string=given or "")
        self._dispatcher.trigger(function, data, reason=ADMIN)

    def _call[T](self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        with suppress(RuntimeError):
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def _listen(port: int) -> socket.socket:
    """Open the port at once, so that one that is taken is found before anything is started."""
    listener = socket.socket()
    # A port that was just in use may be taken again at once; one that is in use may not.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        advice = "Close the program that uses it, or choose another with --port."
        raise PortTaken(f"Port {port} is unavailable: {error.strerror}. {advice}") from None
    return listener


def _timer_data(function: Function, *, past_due: bool = False) -> TypedData:
    if not function.schedule:
        raise StartError(f"The function '{function.name}' is no timer.")
    return TypedData(json=timer_json(function.schedule, past_due=past_due, last=None, now=now()))
