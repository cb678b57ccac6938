"""The host as other code sees it: a stand-in for `func start` that runs in a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulator.functions.configuration import read_local_settings
from simulator.functions.errors import PortTaken, StartError
from simulator.functions.functions import Function
from simulator.functions.keys import Keys
from simulator.functions.logs import LogEntry, Logs
from simulator.functions.queues import Queues
from simulator.functions.runtime import Runtime

# How long the Storage queue extension hides a message whose function runs, before it renews that.
HOLD = 600.0


class FunctionsHost:
    """Serves the function app in a folder on loopback, from entering this context to leaving it.

    `environment` is laid over this process's environment, and both win over the Values of local.settings.json.
    `port` 0 takes a free one. `workers` is the number of worker processes: HTTP requests go to them in turn, and each
    listens on the queues by itself, as if it were an instance of its own. `hold` is how many seconds a queue message
    stays hidden when the host itself is killed; when only a worker process ends, it comes back at once. `schedules`
    says whether timers keep their schedules, or run only when asked. `show` is called with every log entry.

    Attributes:
        url: where it listens, such as `http://127.0.0.1:7071`.
        keys: the default host key and the master key.

    Raises:
        StartError: on entering; the app, a setting or host.json is at fault. The message is the worker's own.
        PortTaken: on entering; another program listens on the port.
    """

    url: str

    def __init__(
        self,
        app: Path | str,
        environment: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        workers: int = 1,
        hold: float = HOLD,
        schedules: bool = False,
        keys: Keys | None = None,
        show: Callable[[LogEntry], object] | None = None,
    ) -> None:
        self.keys = keys or Keys()
        self._app = Path(app).resolve()
        self._environment = {**os.environ, **(environment or {})}
        self._port = port
        self._workers = workers
        self._hold = hold
        self._schedules = schedules
        self._logs = Logs(show)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="functions-host", daemon=True)

    @property
    def functions(self) -> tuple[Function, ...]:
        """The functions of the app, by name."""
        return self._runtime.functions

    @property
    def queues(self) -> Queues:
        """The queues, to look into (`peek`, `count`) and to `put` into; `poison(name)` names a queue's poison queue."""
        return self._runtime.queues

    @property
    def pids(self) -> list[int]:
        """The ids of the worker processes, by index; one that is just being replaced is left out."""
        return self._runtime.dispatcher.pids()

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
        self._call(self._runtime.stop())
        self._end()

    def run_timer(self, name: str, *, past_due: bool = False, timeout: float = 60.0) -> None:
        """Run a timer's function now, and wait for it at most `timeout` seconds.

        Raises:
            FunctionFailed: it raised.
        """
        function = {each.name: each for each in self.functions}[name]
        self._call(self._runtime.run_timer(function, past_due=past_due), timeout=timeout)

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until no function runs that HTTP did not trigger, and no queue that triggers one has a message.

        At most `timeout` seconds (TimeoutError). Messages that wait for another attempt count; poisoned ones do not.
        """
        self._call(self._runtime.drain(), timeout=timeout)

    def kill_worker(self, index: int = 0) -> bool:
        """Kill a worker process (SIGKILL), and return when it is gone; another is started in its place.

        One that is just being replaced is left alone: the answer tells whether there was one to kill.
        """
        return self._call(self._runtime.dispatcher.kill(index))

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until every worker process answers, at most `timeout` seconds (TimeoutError)."""
        self._call(self._runtime.dispatcher.ready(), timeout=timeout)

    async def _start(self, listener: socket.socket) -> None:
        address, port = listener.getsockname()
        self.url = f"http://{address}:{port}"
        settings = read_local_settings(self._app, self._environment)
        if settings.setdefault("FUNCTIONS_WORKER_RUNTIME", "python") != "python":
            runtime = settings["FUNCTIONS_WORKER_RUNTIME"]
            raise StartError(f"FUNCTIONS_WORKER_RUNTIME is {runtime}; only python is served here.")
        # What Core Tools sets, whatever the settings say.
        settings |= {"AZURE_FUNCTIONS_ENVIRONMENT": "Development", "WEBSITE_HOSTNAME": f"localhost:{port}"}
        self._runtime = Runtime(self._app, settings, keys=self.keys, hold=self._hold, logs=self._logs)
        try:
            await self._runtime.start(listener, workers=self._workers, schedules=self._schedules)
        except BaseException:
            await self._runtime.stop()
            raise

    def _call[T](self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def _end(self) -> None:
        # All in the loop's own thread: whoever leaves the context may have a loop of theirs.
        self._call(_settle())
        self._call(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _settle() -> None:
    """Wait for whatever still runs in this loop, such as a start that was interrupted and cleans up."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


def _listen(port: int) -> socket.socket:
    """Open the port at once, so that one that is taken is found before anything is started."""
    # The protocol is named, since only then does asyncio turn off Nagle's algorithm, which costs 40 ms a request.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A port that was just given up may be taken again at once; one that is listened on may not.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        advice = "Close the program that uses it, or choose another with --port."
        raise PortTaken(f"Port {port} is unavailable: {error.strerror}. {advice}") from None
    return listener
