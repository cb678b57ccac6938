"""The real clients reach the simulated services through nothing but the environment."""

import msal
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets._shared import http_challenge_cache

from simulator import Simulator


def test_the_secret_of_the_vault_gives_a_graph_token(azure: Simulator) -> None:
    settings = azure.app_settings("secret")
    http_challenge_cache.clear()  # process-wide: what an earlier test learned of the vault would hide the first request
    with (
        DefaultAzureCredential(managed_identity_client_id=settings["AZURE_CLIENT_ID"]) as credential,
        SecretClient(settings["KEY_VAULT_URL"], credential) as vault,
    ):
        secret = vault.get_secret("graph-client-secret")
    app = msal.ConfidentialClientApplication(
        settings["GRAPH_CLIENT_ID"],
        client_credential=secret.value,
        authority=f"https://login.microsoftonline.com/{settings['GRAPH_TENANT_ID']}",
        instance_discovery=False,
    )
    result = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
    assert result is not None
    assert result["token_type"] == "Bearer"
    assert [(each.host, each.status) for each in azure.requests] == [
        ("contoso.vault.azure.net", 401),
        ("managed-identity", 200),
        ("contoso.vault.azure.net", 200),
        ("login.microsoftonline.com", 200),
        ("login.microsoftonline.com", 200),
    ]
