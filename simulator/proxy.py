"""The one port on loopback: an HTTPS proxy (CONNECT), and plain http for what is local.

A CONNECT to a simulated host is answered by this process itself: the TLS server takes over that very connection, so
that no byte is copied between sockets, and a reset is a reset to the client. Other hosts are tunnelled.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEAD = 16_384

# Where a CONNECT leads: the simulator's own TLS server (its context), another address, or nowhere (None).
type Destination = ssl.SSLContext | tuple[str, int] | None


class Connection(asyncio.Protocol):
    """A connection that the server ends when it stops."""

    def __init__(self, server_state: ServerState) -> None:
        self.server_state = server_state
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # a stream, never datagrams
        self.server_state.connections.add(self)  # pyright: ignore[reportArgumentType] -- has all that the server uses

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.server_state.connections.discard(self)  # pyright: ignore[reportArgumentType]

    def shutdown(self) -> None:
        """Called by the server when it stops."""
        self.transport.abort()


class Front(Connection):
    """Reads the head of a new connection's first request, and hands the connection to whom it is for."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, route: Callable[[str, int], Destination]
    ) -> None:
        super().__init__(server_state)
        self._config = config
        self._route = route
        self._head = b""
        self._task: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.startswith(b"CONNECT "[: len(self._head)]):
            self._serve(self.transport, self._head)
        elif b"\r\n\r\n" in self._head:
            # The client waits for the answer before it goes on; whatever it sends from here on is not for this class.
            self.transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._connect())
        elif len(self._head) > MAX_HEAD:
            self.transport.abort()

    def _serve(self, transport: asyncio.Transport, received: bytes = b"") -> None:
        """Let the HTTP server take over; planned faults need its transport, and the connection below TLS."""
        self.server_state.connections.discard(self)  # pyright: ignore[reportArgumentType]
        state = {"transport": transport, "connection": self.transport}
        protocol = HttpToolsProtocol(self._config, self.server_state, state)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if received:
            protocol.data_received(received)

    async def _connect(self) -> None:
        target = self._head.split(b" ", 2)[1].decode("latin-1")
        host, _, port = target.rpartition(":")
        destination = self._route(host.strip("[]").lower(), int(port) if port.isdigit() else 443)
        try:
            if isinstance(destination, ssl.SSLContext):
                await self._secure(destination)
            elif destination is not None:
                await self._tunnel(*destination)
            else:
                self._refuse()
        except OSError:
            self._refuse()

    def _refuse(self) -> None:
        self.transport.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.transport.close()

    async def _secure(self, context: ssl.SSLContext) -> None:
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        secured = None
        with contextlib.suppress(OSError):
            secured = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_side=True)
        if secured is None or self.transport.is_closing():
            # The client does not trust the certificate, or left, or the server stops; no callback comes here any more.
            self.server_state.connections.discard(self)  # pyright: ignore[reportArgumentType]
            self.transport.abort()
        else:
            self._serve(secured)

    async def _tunnel(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        upstream, _ = await loop.create_connection(lambda: Tunnel(self.server_state, self.transport), host, port)
        self.server_state.connections.discard(self)  # pyright: ignore[reportArgumentType]
        protocol = Tunnel(self.server_state, upstream)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.transport.resume_reading()


class Tunnel(Connection):
    """One end of a tunnel: what arrives here is written to the other end, no faster than that end takes it."""

    def __init__(self, server_state: ServerState, other: asyncio.Transport) -> None:
        super().__init__(server_state)
        self._other = other

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def eof_received(self) -> bool:
        if self._other.can_write_eof() and not self._other.is_closing():
            self._other.write_eof()
        return True

    def pause_writing(self) -> None:
        self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._other.close()
