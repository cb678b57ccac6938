"""GET requests to one host over kept connections: an answer whole and decompressed, or a named error.

requests finds the proxy and the certificates that the environment names, and makes the connections; urllib3 below it
sends. What requests does beside that for every single request would be a quarter of the work for a page of users.
"""

import http.client
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from isal import isal_zlib
from requests.adapters import HTTPAdapter

from entra_users.errors import TimedOut, Unavailable

# Its debug records hold the addresses asked for, and with them continuations.
logging.getLogger("urllib3").setLevel(logging.INFO)

_GZIP = 31  # zlib's number for the gzip format
_BUFFER = 1 << 20  # holds most pages of users, which then need not be moved while they grow


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one request: its body whole and decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Adapter(HTTPAdapter):
    def connections(self, root: str) -> Any:
        """Connections to a host, through the proxy and with the certificates of the environment, looked up once."""
        with requests.Session() as session:
            found: Any = session.merge_environment_settings(root, {}, None, None, None)
        request = requests.Request("GET", root).prepare()
        return self.get_connection_with_tls_context(
            request, found["verify"], proxies=found["proxies"], cert=found["cert"]
        )


class Transport:
    """Kept connections to one host, for several threads.

    Args:
        root: scheme and host.
        connections: how many threads will ask at once.
        headers: sent with every request.
        timeout: seconds to wait for a connection, and for the next bytes of an answer.

    Raises:
        Unavailable: what the environment names is not a proxy's address.
    """

    def __init__(
        self, root: str, *, connections: int, headers: Mapping[str, str], timeout: tuple[float, float]
    ) -> None:
        # Until a larger block was freed once, glibc asks the system for the memory of every single page and gives it
        # back, which costs a tenth of the work: https://man7.org/linux/man-pages/man3/mallopt.3.html (M_MMAP_THRESHOLD)
        bytes(2 * _BUFFER)
        self._root = root
        self._headers = headers
        self._timeout = timeout
        try:
            self._connections: urllib3.HTTPConnectionPool = _Adapter(pool_maxsize=connections).connections(root)
        # Not chained, since it quotes a proxy's password; TypeError is where there is one and no host.
        except (requests.RequestException, urllib3.exceptions.HTTPError, TypeError):
            raise Unavailable(f"There is no way to {root}: correct the proxy's address in HTTPS_PROXY.") from None

    def get(self, url: str, headers: Mapping[str, str], *, within: float) -> Answer:
        """Ask once.

        Args:
            url: an address below the root.
            headers: sent beside those of every request.
            within: seconds to wait at most, where that is less than the timeout.

        Raises:
            TimedOut: no answer, or no more of it, came in time.
            Unavailable: the connection failed, or the answer ended early.
        """
        path, (connect, read) = url.removeprefix(self._root), self._timeout
        try:
            with self._connections.urlopen(
                "GET",
                path if path.startswith("/") else f"/{path}",
                headers={**self._headers, **headers},
                timeout=urllib3.Timeout(connect=min(connect, within), read=min(read, within)),
                # Retries are the caller's: urllib3's own would neither share throttling nor keep the budget.
                retries=False,
                # A redirect would carry the token to wherever it points.
                redirect=False,
                preload_content=False,
            ) as response:
                body = response.read(decode_content=False)
                if response.headers.get("Content-Encoding") == "gzip":
                    body = isal_zlib.decompress(body, _GZIP, _BUFFER)
                return Answer(status=response.status, headers=response.headers, body=body)
        # Not chained: the errors on the way quote the address, whose query may hold a continuation.
        except urllib3.exceptions.TimeoutError:
            raise TimedOut(f"{self._root} did not answer in time. Check the network to it.") from None
        except (urllib3.exceptions.HTTPError, isal_zlib.error) as error:
            raise Unavailable(
                f"The connection to {self._root} failed or ended early ({_cause(error)}). Check the network to it."
            ) from None


def _cause(error: BaseException) -> str:
    """What failed at the bottom, such as a certificate that is not trusted or a connection that was refused."""
    network = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException)
    while isinstance(error.__context__, network):
        error = error.__context__
    return f"{type(error).__name__}: {error}"
