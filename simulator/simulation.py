"""The simulator as one object: state, server, and what a client needs to find them."""

import secrets
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.types import ASGIApp

from simulator.api import api_app
from simulator.certificates import CertificateAuthority
from simulator.clouds import API_HOST, CLOUDS, CUSTOM_LOGIN_HOST, cloud_of_vault
from simulator.control import control_routes
from simulator.directory import Directory
from simulator.entra import CREDENTIALS, Entra
from simulator.faults import UNREACHABLE, Faults
from simulator.identity import identity_route
from simulator.insights import INGESTION_HOST, OTHER_HOSTS, Insights, ingestion_app
from simulator.login import login_app
from simulator.proxy import Destination
from simulator.server import Server, Services
from simulator.state import RecordedRequest, State
from simulator.users import graph_app
from simulator.vault import Vault, vault_app


class Simulator:
    """Microsoft Entra, Graph, Key Vault, Application Insights and the managed-identity endpoint, on one loopback port.

    Usable as a context manager; a client process finds it through `environment`.

        with Simulator(users=2000) as azure:
            subprocess.run([...], env={**os.environ, **azure.environment})
    """

    def __init__(self, *, users: int = 0, port: int = 0) -> None:
        listener = socket.create_server(("127.0.0.1", port))
        self.port: int = listener.getsockname()[1]
        self.state = State(users)
        self._folder = tempfile.TemporaryDirectory(prefix="simulator-")
        self._authority = CertificateAuthority(Path(self._folder.name))
        self._identity_header = secrets.token_urlsafe(24)
        self._tunnels: dict[str, int] = {}
        hosts = self._hosts()
        self._context = self._authority.server_context(hosts)
        local = [identity_route(self.state, header=self._identity_header), *control_routes(self)]
        self._services = Services(self.state, hosts, Starlette(routes=local))
        self._server = Server(self._services, self._route, listener)

    def _hosts(self) -> dict[str, ASGIApp]:
        login, graph, vault = login_app(self.state), graph_app(self.state), vault_app(self.state)
        hosts: dict[str, ASGIApp] = {API_HOST: api_app(self.state), CUSTOM_LOGIN_HOST: login}
        hosts |= {INGESTION_HOST: ingestion_app(self.state)} | {host: Starlette() for host in OTHER_HOSTS}
        for cloud in CLOUDS.values():
            hosts |= {cloud.login_host: login, cloud.graph_host: graph, f"*.{cloud.vault_suffix}": vault}
        return hosts

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """Stop serving and remove the certificates."""
        self._server.stop()
        self._folder.cleanup()

    def reset(self, *, users: int = 0) -> None:
        """Begin anew with `users` users; ports, certificates and tunnels stay."""
        self.state.reset(users)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead a client process to the simulator."""
        root, direct = f"http://127.0.0.1:{self.port}", "127.0.0.1,localhost"
        return {
            "HTTPS_PROXY": root,
            "NO_PROXY": direct,
            # Python's clients prefer these where both are set, and a machine behind a proxy may have set them.
            "https_proxy": root,
            "no_proxy": direct,
            "REQUESTS_CA_BUNDLE": str(self._authority.bundle),
            "IDENTITY_ENDPOINT": f"{root}/msi/token",
            "IDENTITY_HEADER": self._identity_header,
            # Without it a failing managed identity is followed by tries with the command-line tools of this machine.
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }

    def app_settings(self, mode: str, *, cloud: str = "global") -> dict[str, str]:
        """The settings with which the function app signs in by credential `mode` in `cloud`."""
        if mode not in CREDENTIALS or cloud not in CLOUDS:
            raise ValueError(f"there is no credential {mode} or no cloud {cloud}")
        where, entra = CLOUDS[cloud], self.entra
        settings = {
            "GRAPH_CREDENTIAL": mode,
            "GRAPH_CLOUD": cloud,
            "AZURE_CLIENT_ID": entra.identity.client_id,
        }
        if mode != "managed-identity":
            settings |= {
                "GRAPH_TENANT_ID": entra.tenant_of(where).id,
                "GRAPH_CLIENT_ID": entra.application.client_id,
            }
        if mode in {"secret", "certificate"}:
            settings["KEY_VAULT_URL"] = f"https://contoso.{where.vault_suffix}"
        return settings

    @property
    def directory(self) -> Directory:
        """The users."""
        return self.state.directory

    @property
    def entra(self) -> Entra:
        """Tenants, app registrations, managed identities and issued tokens."""
        return self.state.entra

    @property
    def vaults(self) -> dict[str, Vault]:
        """Key Vaults by name."""
        return self.state.vaults

    @property
    def insights(self) -> Insights:
        """What apps told Application Insights of themselves."""
        return self.state.insights

    @property
    def faults(self) -> Faults:
        """What will go wrong."""
        return self.state.faults

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests received since the last reset, or the last 100,000 of them, oldest first."""
        return list(self.state.requests)

    def tunnel(self, host: str, port: int) -> None:
        """Lead CONNECT requests for `host` to a port on loopback."""
        self._tunnels[host] = port

    def certificate(self, host: str) -> tuple[Path, Path]:
        """Paths of a PEM certificate chain and key for a server of your own under `host`, signed by the simulator."""
        return self._authority.issue(host)

    def _route(self, host: str, port: int) -> Destination:
        if host in self._tunnels:
            return "127.0.0.1", self._tunnels[host]
        if self._services.find(host) is None:
            return host, port
        if self.state.faults.take(host, "CONNECT", "", kind=UNREACHABLE) is not None:
            return None
        # A vault that does not exist has no address either.
        missing = cloud_of_vault(host) is not None and host.partition(".")[0] not in self.state.vaults
        return None if missing else self._context
