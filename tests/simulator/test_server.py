"""The simulated hosts answer under their real names over TLS; every other host is left alone."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator

import pytest
import requests

from simulator import RecordedRequest, Simulator
from simulator.clouds import CLOUDS

pytestmark = pytest.mark.usefixtures("azure")


class Echo(socketserver.StreamRequestHandler):
    """Sends back what it reads until the other side is done, then says so."""

    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)
        self.request.sendall(b"done")


@pytest.fixture
def echo_port() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def connect(azure: Simulator, target: str) -> tuple[socket.socket, bytes]:
    """A connection to `target` through the proxy, and the first line of the proxy's answer."""
    connection = socket.create_connection(("127.0.0.1", azure.port), timeout=10)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    return connection, answer.partition(b"\r\n")[0]


HOSTS = [
    *{cloud.login_host for cloud in CLOUDS.values()},
    *{cloud.graph_host for cloud in CLOUDS.values()},
    *{f"contoso.{cloud.vault_suffix}" for cloud in CLOUDS.values()},
    "api.contoso.example",
    "login.contoso.example",
]


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_every_host_proves_its_name_to_clients_that_trust_the_authority(azure: Simulator, host: str) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud"""
    trust = ssl.create_default_context(cafile=azure.environment["REQUESTS_CA_BUNDLE"])
    connection, answer = connect(azure, f"{host}:443")
    assert answer == b"HTTP/1.1 200 Connection established"
    with connection, trust.wrap_socket(connection, server_hostname=host) as secured:
        assert secured.version() == "TLSv1.3"


def test_clients_that_do_not_trust_the_authority_are_told_so(azure: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        requests.get("https://graph.microsoft.com/", timeout=10)


def test_a_host_header_that_does_not_fit_is_misdirected(azure: Simulator) -> None:
    response = requests.get("https://graph.microsoft.com/", headers={"Host": "example.org"}, timeout=10)
    assert response.status_code == 421


def test_another_host_is_tunnelled_to_where_it_really_is(azure: Simulator, echo_port: int) -> None:
    connection, answer = connect(azure, f"localhost:{echo_port}")
    assert answer == b"HTTP/1.1 200 Connection established"
    with connection:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read() == b"hellodone"


def test_a_host_can_be_led_to_a_local_port(azure: Simulator, echo_port: int) -> None:
    azure.tunnel("elsewhere.blob.core.windows.net", echo_port)
    connection, _ = connect(azure, "elsewhere.blob.core.windows.net:443")
    sent = bytes(range(256)) * 40_000
    with connection:
        writer = threading.Thread(target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR)))
        writer.start()
        received = connection.makefile("rb").read()
        writer.join()
    assert received == sent + b"done"


def test_a_destination_that_refuses_gives_502(azure: Simulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    connection, answer = connect(azure, f"127.0.0.1:{port}")
    connection.close()
    assert answer == b"HTTP/1.1 502 Bad Gateway"


def test_an_endless_request_to_the_proxy_is_cut_off(azure: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", azure.port), timeout=10) as connection:
        connection.sendall(b"CONNECT " + b"x" * 20_000)
        try:
            answer = connection.recv(1)
        except ConnectionResetError:
            answer = b""
    assert answer == b""


def test_certificates_for_servers_of_ones_own_are_signed_by_the_same_authority(azure: Simulator) -> None:
    certificate, key = azure.certificate("account.blob.core.windows.net")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=azure.environment["REQUESTS_CA_BUNDLE"])
    near, far = socket.socketpair()
    accept = threading.Thread(target=lambda: server.wrap_socket(far, server_side=True).close())
    accept.start()
    with near, trust.wrap_socket(near, server_hostname="account.blob.core.windows.net") as secured:
        subject = secured.getpeercert()
    accept.join()
    assert subject is not None
    assert subject["subjectAltName"] == (("DNS", "account.blob.core.windows.net"),)
    assert azure.certificate("account.blob.core.windows.net") == (certificate, key)


def test_requests_are_recorded_without_secrets_or_continuations(azure: Simulator) -> None:
    requests.get(
        "https://graph.microsoft.com/v1.0/users?$top=1&$skiptoken=hidden&%24deltatoken=hidden",
        headers={"Authorization": "Bearer hidden", "ConsistencyLevel": "eventual", "User-Agent": "me"},
        timeout=10,
    )
    assert azure.requests == [
        RecordedRequest(
            host="graph.microsoft.com",
            method="GET",
            path="/v1.0/users",
            query="$top=1&$skiptoken=...&%24deltatoken=...",
            status=401,
            headers={
                "host": None,
                "user-agent": "me",
                "accept-encoding": "gzip, deflate",
                "accept": "*/*",
                "connection": None,
                "authorization": None,
                "consistencylevel": "eventual",
            },
        )
    ]


def test_many_connections_are_served_at_once(azure: Simulator) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(requests.get("https://graph.microsoft.com/", timeout=30).status_code)
        )
        for _ in range(40)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses == [401] * 40


def test_stopping_ends_open_connections_at_once() -> None:
    with Simulator() as azure:
        connection, _ = connect(azure, "graph.microsoft.com:443")
    with connection:
        assert connection.recv(1) == b""


def test_a_taken_port_is_an_error_at_once(azure: Simulator) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        Simulator(port=azure.port)
