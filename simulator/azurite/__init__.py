"""Azure Storage on this machine: Microsoft's emulator Azurite behind the simulator's proxy, under real host names.

Its version is pinned in package.json beside this file; `make azurite` installs it, which needs Node.
https://learn.microsoft.com/en-us/azure/storage/common/storage-use-azurite
"""

import base64
import os
import re
import secrets
import shutil
import subprocess
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from simulator.simulation import Simulator

_PROGRAMS = Path(__file__).resolve().parents[2] / ".azurite" / "node_modules" / "azurite" / "dist" / "src"
_LISTENS = re.compile(r"successfully listens on https://127\.0\.0\.1:(\d+)")


def missing() -> str | None:
    """Why Azurite cannot run here, or None when it can."""
    if shutil.which("node") is None:
        return "Azurite needs Node.js, 20 or later, which is not on the PATH"
    if not _PROGRAMS.is_dir():
        return "Azurite is not installed: run `make azurite`"
    return None


class Azurite:
    """Blob and queue storage of some accounts, for whoever goes through the simulator's proxy.

    Requests need a token for https://storage.azure.com, such as the simulated managed identity's; every identity has
    every right. What is stored ends with the context.

        with Simulator() as azure, Azurite(azure, accounts=["account"]) as storage:
            storage.create_container("users")  # https://account.blob.core.windows.net/users
    """

    def __init__(self, azure: Simulator, *, accounts: Sequence[str] = ("account",)) -> None:
        self.ports: dict[str, int] = {}
        """The ports on loopback, of `blob` and of `queue`, both with TLS."""
        self._azure = azure
        self._keys = {account: base64.b64encode(secrets.token_bytes(32)).decode() for account in accounts}
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        with self._processes:
            for service in ("blob", "queue"):
                self.ports[service] = self._processes.enter_context(self._serving(service))
                for account in self._keys:
                    self._azure.tunnel(f"{account}.{service}.core.windows.net", self.ports[service])
            self._processes = self._processes.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()

    def create_container(self, name: str, *, account: str | None = None) -> str:
        """Make a Blob container, in the first account if none is named; its URL."""
        url, options = self._client("blob", account)
        with ContainerClient(url, name, **options) as container:
            container.create_container()
            return container.url

    def create_queue(self, name: str, *, account: str | None = None) -> str:
        """Make a queue, in the first account if none is named; its URL."""
        url, options = self._client("queue", account)
        with QueueClient(url, name, **options) as queue:
            queue.create_queue()
            return queue.url

    def _client(self, service: str, account: str | None) -> tuple[str, dict[str, Any]]:
        name, environment = account or next(iter(self._keys)), self._azure.environment
        return f"https://{name}.{service}.core.windows.net", {
            "credential": {"account_name": name, "account_key": self._keys[name]},
            "proxies": {"https": environment["HTTPS_PROXY"]},
            "connection_verify": environment["REQUESTS_CA_BUNDLE"],
        }

    @contextmanager
    def _serving(self, service: str) -> Generator[int]:
        """Run one of Azurite's services, on a port that it finds free."""
        certificate, key = self._azure.certificate(f"*.{service}.core.windows.net")
        command = ["node", str(_PROGRAMS / service / "main.js"), f"--{service}Port", "0"]
        command += ["--oauth", "basic", "--cert", str(certificate), "--key", str(key)]
        command += ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
        accounts = ";".join(f"{account}:{key}" for account, key in self._keys.items())
        with subprocess.Popen(
            command,
            cwd=certificate.parent,
            env={**os.environ, "AZURITE_ACCOUNTS": accounts},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101 -- it was asked for
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if found := _LISTENS.search(line):
                    break
            else:
                raise RuntimeError(f"Azurite's {service} service did not start:\n{''.join(said)}")
            # A pipe that nobody reads would stop it once it is full.
            drain = Thread(target=deque, args=(process.stdout, 0))
            drain.start()
            try:
                yield int(found[1])
            finally:
                process.terminate()
                drain.join()
