"""A client of the simulated Graph that does as little as possible by itself."""

from collections.abc import Iterator
from typing import Any

import requests

from simulator import Simulator
from simulator.clouds import CLOUDS
from simulator.directory import Directory
from simulator.tokens import issue

EVENTUAL = {"ConsistencyLevel": "eventual"}


class GraphClient:
    """Sends GET requests to the simulator's Graph with a token of the app registration it comes with."""

    def __init__(self, azure: Simulator) -> None:
        self.azure = azure
        self.headers: dict[str, str] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies = {"https": azure.environment["HTTPS_PROXY"]}
        self._session.verify = azure.environment["REQUESTS_CA_BUNDLE"]

    @property
    def directory(self) -> Directory:
        """The simulated users."""
        return self.azure.state.directory

    def start(self, users: int, **options: Any) -> None:
        """Begin anew with so many users; the options are those of Directory."""
        self.azure.reset()
        state = self.azure.state
        state.directory = Directory(users, clock=lambda: state.clock(), **options)  # noqa: PLW0108 (tests set the clock)
        self.sign_in()

    def sign_in(self) -> None:
        """Get a token for the roles that the app has now."""
        entra, cloud = self.azure.entra, CLOUDS["global"]
        token, _ = issue(
            self.azure.state,
            tenant=entra.tenant_of(cloud),
            cloud=cloud,
            principal=entra.application,
            resource=cloud.graph_resource,
            credential="1",
        )
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, url: str, **headers: str) -> requests.Response:
        """Get a URL, or a path below /v1.0, with these headers too."""
        return self.send("GET", url, **headers)

    def send(self, method: str, url: str, **headers: str) -> requests.Response:
        """Send a request without a body."""
        url = url if url.startswith("https://") else f"https://graph.microsoft.com/v1.0{url}"
        return self._session.request(method, url, headers=self.headers | headers)

    def error(self, url: str, **headers: str) -> tuple[int, str, str]:
        """The status, error code and message with which a request is refused."""
        response = self.get(url, **headers)
        error = response.json()["error"]
        return response.status_code, error["code"], error["message"]

    def pages(self, url: str, **headers: str) -> Iterator[dict[str, Any]]:
        """Every page, by next link, with these headers on each."""
        link: str | None = url
        while link is not None:
            response = self.get(link, **headers)
            assert response.status_code == 200, response.text
            yield response.json()
            link = response.json().get("@odata.nextLink")

    def users(self, url: str, **headers: str) -> list[dict[str, Any]]:
        """The users of every page."""
        return [user for page in self.pages(url, **headers) for user in page["value"]]

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
