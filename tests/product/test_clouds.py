"""The national clouds: https://learn.microsoft.com/en-us/graph/deployments."""

from collections.abc import Callable

import pytest

from entra_users.clouds import CLOUDS, Cloud
from entra_users.connection import connect, token_source
from entra_users.errors import AccessDenied, TokenError
from entra_users.graph import Graph
from entra_users.settings import Settings
from entra_users.tokens import Tokens
from entra_users.users import read_users, users_url
from simulator import Simulator
from simulator.clouds import CLOUDS as SIMULATED
from tests.product.conftest import IssuedTokens

HOSTS = {
    "global": ("login.microsoftonline.com", "graph.microsoft.com", "contoso.vault.azure.net"),
    "usgov": ("login.microsoftonline.us", "graph.microsoft.us", "contoso.vault.usgovcloudapi.net"),
    "usgov-dod": ("login.microsoftonline.us", "dod-graph.microsoft.us", "contoso.vault.usgovcloudapi.net"),
    "china": ("login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn", "contoso.vault.azure.cn"),
}


def test_the_clouds_are_those_that_graph_has() -> None:
    assert {
        name: (cloud.authority, cloud.graph, cloud.vault_suffix, cloud.exchange_audience)
        for name, cloud in CLOUDS.items()
    } == {
        name: (
            f"https://{cloud.login_host}",
            f"https://{cloud.graph_host}",
            f".{cloud.vault_suffix}",
            cloud.token_exchange_audience,
        )
        for name, cloud in SIMULATED.items()
    }


def test_the_scope_of_a_token_is_all_that_was_consented_on_the_clouds_graph() -> None:
    assert CLOUDS["china"].graph_scope == "https://microsoftgraph.chinacloudapi.cn/.default"


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("mode", ["secret", "certificate", "federated", "managed-identity"])
def test_every_credential_reads_all_users_in_every_cloud_and_calls_no_other(
    azure: Simulator, name: str, mode: str
) -> None:
    azure.reset(users=3)
    azure.entra.identity.graph_roles.add("User.Read.All")
    graph = connect(Settings.read(azure.app_settings(mode, cloud=name)), budget=10.0)
    users = list(read_users(graph, users_url(graph.root, ["id"])))
    assert sum(map(len, users)) == 3
    login, graph_host, vault = HOSTS[name]
    called = {
        "secret": {login, graph_host, vault, "managed-identity"},
        "certificate": {login, graph_host, vault, "managed-identity"},
        "federated": {login, graph_host, "managed-identity"},
        "managed-identity": {graph_host, "managed-identity"},
    }
    assert {each.host for each in azure.requests} == called[mode]


@pytest.mark.parametrize("issued", CLOUDS)
@pytest.mark.parametrize("asked", CLOUDS)
def test_a_token_is_good_for_its_own_cloud_alone(
    azure: Simulator, make_graph: Callable[..., Graph], issued: str, asked: str
) -> None:
    azure.reset(users=3)
    cloud: Cloud = CLOUDS[asked]
    graph = make_graph(root=cloud.graph, tokens=Tokens(IssuedTokens(azure, issued)))
    if issued == asked:
        assert len(graph.page(users_url(cloud.graph, ["id"])).users) == 3
    else:
        with pytest.raises(AccessDenied) as caught:
            graph.page(users_url(cloud.graph, ["id"]))
        assert (caught.value.status, caught.value.code) == (401, "InvalidAuthenticationToken")
        assert "check that tenant, app and cloud belong together" in str(caught.value)


def test_a_tenant_of_another_cloud_is_not_found(azure: Simulator) -> None:
    settings = azure.app_settings("federated", cloud="china") | {"GRAPH_CLOUD": "usgov"}
    with pytest.raises(TokenError) as caught:
        token_source(Settings.read(settings)).acquire()
    assert caught.value.code == "AADSTS90002"
