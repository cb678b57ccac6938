"""The server: one port, one thread, every simulated service behind its own host name."""

import asyncio
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from simulator.faults import Fault
from simulator.proxy import Destination, Front
from simulator.state import RecordedRequest, State

# Header values that are no secrets and that tests want to see.
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "consistencylevel", "prefer", "user-agent", "x-ms-throttle-priority"}
)
CONTINUATIONS = frozenset({"skiptoken", "deltatoken"})
IDENTITY_HOST = "managed-identity"


class Services:
    """The application behind every host: applies planned faults, records the request, and passes it on by host.

    Args:
        hosts: applications by host name, which may begin with "*." for any one label.
        local: the application for plain http: the managed-identity endpoint, and the simulator's own controls,
            which meet no faults and are not recorded.
    """

    def __init__(self, state: State, hosts: Mapping[str, ASGIApp], local: ASGIApp) -> None:
        self._state = state
        self._hosts = hosts
        self._local = local

    def find(self, host: str) -> ASGIApp | None:
        """The application that answers under `host`, over TLS."""
        return self._hosts.get(host) or self._hosts.get(f"*.{host.partition('.')[2]}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["scheme"] == "http":
            host, app = IDENTITY_HOST, self._local
            if scope["path"].startswith("/control/"):
                await app(scope, receive, send)
                return
        else:
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower().removesuffix(":443")
            app = self.find(host)
        if app is None:
            await _answer(Fault(status=421, body=b"No simulated service answers under this host name."), send)
            return

        async def recorded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._record(host, scope, message["status"])
            await send(message)

        fault = self._state.faults.take(host, scope["method"], scope["path"])
        if fault is None:
            await app(scope, receive, recorded_send)
        elif fault.reset or fault.hang or fault.truncate is not None:
            if fault.truncate is None:
                self._record(host, scope, None)
            await _break(fault, app, scope, receive, recorded_send)
        else:
            await _answer(fault, recorded_send)

    def _record(self, host: str, scope: Scope, status: int | None) -> None:
        self._state.requests.append(
            RecordedRequest(
                host=host,
                method=scope["method"],
                path=scope["path"],
                query=_without_continuations(scope["query_string"].decode("latin-1")),
                status=status,
                headers={
                    (text := name.decode("latin-1")): value.decode("latin-1") if text in HARMLESS_HEADERS else None
                    for name, value in scope["headers"]
                },
            )
        )


def _without_continuations(query: str) -> str:
    if "token" not in query:
        return query
    pairs = [part.partition("=") for part in query.split("&")]
    return "&".join(
        f"{name}=..."
        if urllib.parse.unquote(name).lower().removeprefix("$") in CONTINUATIONS
        else f"{name}{equals}{value}"
        for name, equals, value in pairs
    )


async def _answer(fault: Fault, send: Send) -> None:
    headers = {"content-length": str(len(fault.body)), **{name.lower(): value for name, value in fault.headers.items()}}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": encoded})
    await send({"type": "http.response.body", "body": fault.body})


async def _break(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send what the fault lets through, then reset, hold or close the connection."""
    if fault.truncate is not None:
        left = fault.truncate

        async def cut_send(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.body":
                part = message.get("body", b"")[:left]
                left -= len(part)
                message = {"type": "http.response.body", "body": part, "more_body": True}
            await send(message)

        if fault.status is None:
            await app(scope, receive, cut_send)
        else:
            await _answer(fault, cut_send)
    if fault.reset:
        _reset(scope["state"]["connection"])
    elif not fault.hang:
        scope["state"]["transport"].close()
    # The connection ends when the client gives up, or when the simulator stops.
    while (await receive())["type"] != "http.disconnect":
        pass


def _reset(connection: asyncio.Transport) -> None:
    """End the TCP connection with a reset: what closing does with SO_LINGER at zero seconds."""
    connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()


class Server(uvicorn.Server):
    """The server, in a thread of its own, at `listener`, which it closes when it stops."""

    def __init__(self, app: ASGIApp, route: Callable[[str, int], Destination], listener: socket.socket) -> None:
        self._ready = threading.Event()

        def front(
            config: uvicorn.Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> Front:
            del app_state, _loop
            return Front(config, server_state, route)

        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", front),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                log_level="error",
                server_header=False,
                timeout_keep_alive=300,
            )
        )
        self._thread = threading.Thread(target=self.run, args=([listener],), name="simulator", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns when connections are accepted."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """End every connection and wait for the thread to end."""
        self.should_exit = True
        self._thread.join()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Nothing here is worth finishing: a client that waits for a planned hang must not keep the server up.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
