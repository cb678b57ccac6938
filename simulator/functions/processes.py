"""Worker processes: started, asked, killed and stopped."""

import asyncio
import os
import signal
import socket
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from simulator.functions import function_rpc as rpc
from simulator.functions.errors import StartError, WorkerExited
from simulator.functions.logs import Logs

WORKER = Path(__file__).with_name("worker.py")
PACKAGES = ".python_packages/lib/site-packages"
STOP_SECONDS = 10.0
START_SECONDS = 60.0
LAST_LINES = 20


def worker_environment(app: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose PYTHONPATH is the app and what is installed beside it, as in Azure."""
    paths = [app, *(path for path in [app / PACKAGES] if path.is_dir())]
    return {**environment, "PYTHONPATH": os.pathsep.join(map(str, paths)), "AzureWebJobsScriptRoot": str(app)}


class Worker:
    """One worker process.

    Attributes:
        started: whether there is a process to stop.
        alive: whether it takes invocations.
        exited: set when the process has ended, for whatever reason.
    """

    def __init__(self, index: int, app: Path, logs: Logs) -> None:
        self.index = index
        self.started = False
        self.alive = False
        self.exited = asyncio.Event()
        self._app = app
        self._logs = logs
        self._output = list[str]()
        self._waiting = dict[str, asyncio.Future[rpc.StreamingMessage]]()
        self._running = dict[str, str]()

    async def start(self, environment: Mapping[str, str]) -> list[rpc.RpcFunctionMetadata]:
        """Start the process, and return the functions it finds.

        Raises:
            StartError: the app could not be imported or indexed; the message is the worker's.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(WORKER),
                str(theirs.fileno()),
                str(self._app),
                env=worker_environment(self._app, environment),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        self.started = True
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._life = asyncio.create_task(self._live())
        try:
            async with asyncio.timeout(START_SECONDS):
                functions = await self._index()
        except WorkerExited:
            said = "\n".join(self._output[-LAST_LINES:])
            raise StartError(said or f"The worker exited with code {self._process.returncode}.") from None
        except TimeoutError:
            await self.stop()
            raise StartError(f"The app was not imported within {START_SECONDS:.0f} seconds.") from None
        except StartError:
            await self.stop()
            raise
        self.alive = True
        return functions

    async def _index(self) -> list[rpc.RpcFunctionMetadata]:
        request = rpc.WorkerInitRequest(function_app_directory=str(self._app))
        started = (await self._ask(rpc.StreamingMessage(worker_init_request=request))).worker_init_response
        if started and (failure := started.result.exception):
            self._logs.add("Error", "Host.Worker", failure.stack_trace, worker=self.index)
            raise StartError(failure.message)
        listing = rpc.StreamingMessage(functions_metadata_request=rpc.FunctionsMetadataRequest())
        listed = (await self._ask(listing)).function_metadata_response
        return (listed and listed.function_metadata_results) or []

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def invoke(self, request: rpc.InvocationRequest, function: str) -> rpc.InvocationResponse:
        """Run a function.

        Raises:
            WorkerExited: the process ended before it answered.
        """
        self._running[request.invocation_id] = function
        try:
            answer = await self._ask(rpc.StreamingMessage(invocation_request=request))
        finally:
            del self._running[request.invocation_id]
        if not answer.invocation_response:
            raise WorkerExited(f"worker {self.index} sent no answer to an invocation")
        return answer.invocation_response

    def kill(self) -> None:
        """Kill the process (SIGKILL)."""
        if self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End the process: ask (SIGTERM), wait, and kill it when it does not end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.exited.wait(), STOP_SECONDS)
        except TimeoutError:
            self.kill()
        await self._life

    async def _ask(self, message: rpc.StreamingMessage) -> rpc.StreamingMessage:
        if self.exited.is_set():
            raise WorkerExited(f"worker {self.index} has exited")
        message.request_id = uuid.uuid4().hex
        answer = self._waiting[message.request_id] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(rpc.frame(message))
            return await answer
        finally:
            del self._waiting[message.request_id]

    async def _live(self) -> None:
        """Take in what the process sends and prints, until it has ended."""
        await asyncio.gather(self._receive(), self._print())
        await self._process.wait()
        self._writer.close()
        self.alive = False
        self.exited.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(WorkerExited(f"worker {self.index} exited"))

    async def _receive(self) -> None:
        while True:
            try:
                (length,) = rpc.LENGTH.unpack(await self._reader.readexactly(rpc.LENGTH.size))
                message = rpc.decode(await self._reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return
            if log := message.rpc_log:
                self._logs.add(
                    log.level,
                    log.category,
                    log.message,
                    function=self._running.get(log.invocation_id),
                    invocation=log.invocation_id or None,
                    worker=self.index,
                )
            elif (answer := self._waiting.get(message.request_id)) and not answer.done():
                answer.set_result(message)

    async def _print(self) -> None:
        output = cast("asyncio.StreamReader", self._process.stdout)
        async for line in output:
            text = line.decode(errors="replace").rstrip()
            self._output.append(text)
            self._logs.add("Information", "Worker.Output", text, worker=self.index)
