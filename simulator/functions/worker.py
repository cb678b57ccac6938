"""The worker process: Microsoft's worker library, driven over a socket.

Run as a script (`python worker.py FD APP_DIR`) and not as a module of this package, so that the app it serves shares
its process with nothing but the worker library and `function_rpc`: it can import what it can import in Azure.
https://learn.microsoft.com/en-us/azure/azure-functions/functions-reference-python#import-behavior

It ends on SIGTERM, or when the host closes the socket, and it ends normally, so that whatever runs at exit does run.
"""

import asyncio
import dataclasses
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import cast

import function_rpc as rpc
import msgspec

# The worker's own folder: nothing more is imported from it, and the app must not see it.
del sys.path[0]

import azure_functions_runtime as runtime  # noqa: E402 (the app's packages are looked up first)
from azure_functions_runtime.bindings.context import (  # noqa: E402
    _invocation_id_local,  # pyright: ignore[reportPrivateUsage] (what Context.thread_local_storage is)
)

# The library declares it as a variable of None.
invocation_id = cast("ContextVar[str | None]", runtime.invocation_id_cv)

LEVELS = (
    (logging.CRITICAL, "Critical"),
    (logging.ERROR, "Error"),
    (logging.WARNING, "Warning"),
    (logging.INFO, "Information"),
    (logging.NOTSET, "Debug"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the library's handlers take."""

    request: rpc.StreamingMessage
    properties: dict[str, str | ModuleType]


class Connection:
    """The socket to the host; many threads write, one reads."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._writing = threading.Lock()

    def send(self, message: rpc.StreamingMessage) -> None:
        """Send one message; a host that is gone is no error, since this process ends with it."""
        packed = rpc.frame(message)
        with self._writing:
            try:
                self._socket.sendall(packed)
            except (BrokenPipeError, ConnectionResetError):
                return

    def messages(self) -> Iterator[rpc.StreamingMessage]:
        """Yield messages as they come, until the host closes the socket."""
        stream = self._socket.makefile("rb")
        # A host that is killed may leave a reset, or a message in its middle.
        with suppress(ConnectionResetError, struct.error, msgspec.DecodeError):
            while length := stream.read(rpc.LENGTH.size):
                yield rpc.decode(stream.read(*rpc.LENGTH.unpack(length)))


class HostLogging(logging.Handler):
    """Sends every log record to the host, with the invocation it belongs to."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, formatted, its traceback included."""
        invocation = invocation_id.get() or getattr(_invocation_id_local, "invocation_id", None)
        level = next(name for least, name in LEVELS if record.levelno >= least)
        message = self.format(record)
        log = rpc.RpcLog(level=level, category=record.name, message=message, invocation_id=invocation or "")
        self._connection.send(rpc.StreamingMessage(rpc_log=log))


async def answer(message: rpc.StreamingMessage, connection: Connection) -> None:
    """Let the library handle one request, and send what it answers."""
    request = Request(request=message, properties={"protos": rpc, "host": "127.0.0.1"})
    reply = rpc.StreamingMessage(request_id=message.request_id)
    if message.worker_init_request:
        reply.worker_init_response = await runtime.worker_init_request(request)  # pyright: ignore[reportUnknownMemberType] (untyped)
    elif message.functions_metadata_request:
        reply.function_metadata_response = await runtime.functions_metadata_request(request)  # pyright: ignore[reportUnknownMemberType] (untyped)
    elif message.invocation_request:
        # Each message has a task of its own, so this marks the log records of this invocation only.
        invocation_id.set(message.invocation_request.invocation_id)
        reply.invocation_response = await runtime.invocation_request(request)  # pyright: ignore[reportUnknownMemberType] (untyped)
    connection.send(reply)


async def serve(connection: Connection) -> None:
    """Answer requests, as many at once as come, until told to stop."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    tasks = set[asyncio.Task[None]]()

    def begin(message: rpc.StreamingMessage) -> None:
        task = loop.create_task(answer(message, connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def read() -> None:
        for message in connection.messages():
            loop.call_soon_threadsafe(begin, message)
        loop.call_soon_threadsafe(stopping.set)

    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    threading.Thread(target=read, daemon=True).start()
    await stopping.wait()


def main(descriptor: int, app: Path) -> None:
    """Serve the app in `app` over the socket with this file descriptor."""
    # Ctrl-C in a terminal reaches the whole group of processes; the host decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(app)
    connection = Connection(socket.socket(fileno=descriptor))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(HostLogging(connection))
    runtime.start_threadpool_executor()
    asyncio.run(serve(connection))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
