"""A reverse proxy before Azurite that spoils the requests it was told to."""

import http.client
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, override

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoil:
    """What happens to requests of `method` whose path and query contain `target`.

    Attributes:
        skip: how many such requests pass unharmed first.
        times: how many are then spoiled.
        status: answer so, with `code` as Azure's error code, instead of passing the request on.
        reset: end the connection instead of passing the request on.
        hang: say nothing until the proxy closes.
        lost: pass the request on, do what `then` says, and end the connection instead of answering.
        cut: pass the request on, and end the connection after so many bytes of the answer's body.
    """

    method: str = ""
    target: str = ""
    skip: int = 0
    times: int = 1
    status: int = 0
    code: str = ""
    reset: bool = False
    hang: bool = False
    lost: bool = False
    then: Callable[[], object] = lambda: None
    cut: int | None = None


class FaultyProxy:
    """A TLS server on a free port of loopback, before the TLS server at `upstream` on loopback."""

    def __init__(self, certificate: tuple[Path, Path], upstream: int) -> None:
        self.upstream = upstream
        self.requests: list[tuple[str, str]] = []
        """Method and target (path and query) of every request, oldest first."""
        self._plans: list[tuple[Spoil, Iterator[bool]]] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self._server = _Server(self, context)
        self.port = self._server.server_port

    @contextmanager
    def serving(self) -> Generator["FaultyProxy"]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def plan(self, *spoils: Spoil) -> None:
        """Spoil coming requests so; the first that fits and is not used up applies."""
        self._plans += [(spoil, iter([False] * spoil.skip + [True] * spoil.times)) for spoil in spoils]

    def reset(self) -> None:
        """Forget plans and requests, and let go of those that hang."""
        self._released.set()
        self._released = threading.Event()
        self._plans.clear()
        self.requests.clear()

    def spoil(self, method: str, target: str) -> Spoil | None:
        """What to do to this request, which is recorded."""
        with self._lock:
            self.requests.append((method, target))
            for spoil, turns in self._plans:
                if spoil.method in {"", method} and spoil.target in target and next(turns, False):
                    return spoil
        return None

    def wait(self) -> None:
        """Return when the proxy is reset or closed."""
        self._released.wait()


class _Server(ThreadingHTTPServer):
    def __init__(self, proxy: FaultyProxy, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy
        self.context = context

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] -- no other server has this handler

    @override
    def setup(self) -> None:
        # Here and not in the server's accept loop, which a slow handshake would stop.
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    @override
    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.request.close()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing to stderr."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy, method = self.server.proxy, self.command
        spoil = proxy.spoil(method, self.path)
        if spoil and spoil.hang:
            proxy.wait()
        if spoil and (spoil.hang or spoil.reset):
            self._cut_off()
        elif spoil and spoil.status:
            self._answer(spoil.status, {"x-ms-error-code": spoil.code}, b"")
        else:
            status, headers, answer = self._forward(body)
            if spoil and spoil.lost:
                spoil.then()
                self._cut_off()
            elif spoil and spoil.cut is not None:
                self._answer(status, headers, answer[: spoil.cut], length=len(answer))
                self._cut_off()
            else:
                self._answer(status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 -- the names http.server looks for

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # loopback, of this very test
        upstream = http.client.HTTPSConnection("127.0.0.1", self.server.proxy.upstream, context=context)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = upstream.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response_only(status)
        # The length of what a HEAD would have got is the service's to say.
        said = headers.get("content-length") if self.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", said or str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _cut_off(self) -> None:
        """End the connection by a TCP reset, and not by TLS's farewell."""
        self.close_connection = True
        self.request.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()
