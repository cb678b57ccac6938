"""One request over kept connections, through the proxy that the environment names."""

import pytest

from entra_users.errors import Unavailable
from entra_users.transport import Transport
from simulator import Simulator
from tests.product.conftest import GRAPH


def transport() -> Transport:
    return Transport(GRAPH, connections=1, headers={"User-Agent": "test"}, timeout=(5.0, 5.0))


@pytest.mark.parametrize("url", [GRAPH, f"{GRAPH}/v1.0/users", f"{GRAPH}/v1.0/users?$top=1&$filter=a eq 'b'"])
def test_an_address_is_asked_for_as_it_is(azure: Simulator, url: str) -> None:
    answer = transport().get(url, {"Prefer": "x"}, within=5.0)
    (asked,) = azure.requests
    path, _, query = (url.removeprefix(GRAPH) or "/").partition("?")
    assert (asked.method, asked.path, asked.query) == ("GET", path, query.replace(" ", "%20"))
    assert (asked.headers["user-agent"], asked.headers["prefer"], asked.status) == ("test", "x", answer.status)


@pytest.mark.parametrize("proxy", ["http://", "http://user:password@", "http://[", "http://host:port"])
def test_a_proxy_without_a_name_is_an_error_that_does_not_quote_it(
    azure: Simulator, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(Unavailable) as caught:
        transport()
    assert str(caught.value) == f"There is no way to {GRAPH}: correct the proxy's address in HTTPS_PROXY."


def test_a_certificate_bundle_that_is_missing_is_named(azure: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "missing.pem")
    with pytest.raises(Unavailable, match="FileNotFoundError"):
        transport().get(GRAPH, {}, within=5.0)
