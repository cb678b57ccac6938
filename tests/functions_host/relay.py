"""A relay on loopback whose connections can be cut, to take a service away from its clients for a while."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast


class Relay(socketserver.ThreadingTCPServer):
    """Passes every connection on to a port on loopback, until it is cut."""

    daemon_threads = False

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.target = target
        self.whole = True
        self.sockets = set[socket.socket]()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        self.whole = False
        for each in list(self.sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Pass new connections on again."""
        self.whole = True


class Connection(socketserver.BaseRequestHandler):
    """One connection, both ways."""

    def handle(self) -> None:
        """Pass bytes on until either side ends."""
        relay = cast("Relay", self.server)
        if not relay.whole:
            return
        with socket.create_connection(("127.0.0.1", relay.target)) as upstream:
            ends = {self.request, upstream}
            relay.sockets |= ends
            back = threading.Thread(target=pass_on, args=(upstream, self.request))
            back.start()
            pass_on(self.request, upstream)
            back.join()
            relay.sockets -= ends


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends, and end the target too."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay_to(target: int) -> Generator[Relay]:
    """Run a relay to a port on loopback."""
    with Relay(target) as relay:
        serving = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            relay.cut()
            serving.join()
