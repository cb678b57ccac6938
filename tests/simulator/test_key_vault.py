"""Key Vault gives secrets to those it knows, by name and version.

https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret
https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes
"""

import base64
import datetime as dt
import json
from collections.abc import Iterator

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import KeyVaultSecret, SecretClient
from azure.keyvault.secrets._shared import http_challenge_cache
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from simulator import ClientCertificate, Simulator, client_certificate, vault_throttled
from simulator.clouds import CLOUDS, Cloud
from simulator.vault import PEM

URL = "https://contoso.vault.azure.net"


def vault_client(azure: Simulator, url: str = URL, *, identity: str | None = None) -> SecretClient:
    http_challenge_cache.clear()  # process-wide: what an earlier test learned of the vault would hide its challenge
    client_id = azure.entra.identity.client_id if identity is None else identity
    credential = ManagedIdentityCredential(client_id=client_id or None)
    return SecretClient(url, credential, retry_total=0)


@pytest.fixture
def client(azure: Simulator) -> Iterator[SecretClient]:
    with vault_client(azure) as client:
        yield client


def denial(client: SecretClient, name: str = "graph-client-secret") -> tuple[int | None, str, str]:
    """Status, error code and inner error code with which the vault refuses a secret."""
    with pytest.raises(HttpResponseError) as caught:
        client.get_secret(name)
    assert caught.value.response is not None
    error = json.loads(caught.value.response.text())["error"]
    return caught.value.status_code, error["code"], error.get("innererror", {}).get("code", "")


def token(azure: Simulator, resource: str) -> str:
    with ManagedIdentityCredential(client_id=azure.entra.identity.client_id) as credential:
        return credential.get_token(f"{resource}/.default").token


def test_without_a_token_the_vault_says_where_to_get_one(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/authentication-requests-and-responses"""
    response = requests.get(f"{URL}/secrets/graph-client-secret/?api-version=7.6", timeout=10)
    assert (response.status_code, response.headers["WWW-Authenticate"], response.json()) == (
        401,
        (
            f'Bearer authorization="https://login.microsoftonline.com/{azure.entra.tenants[0].id}", '
            'resource="https://vault.azure.net"'
        ),
        {"error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}},
    )


def test_a_secret_has_value_version_type_and_end(azure: Simulator, client: SecretClient) -> None:
    end = dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    version = azure.vaults["contoso"].set_secret("mine", "s3cret", content_type="text/plain", expires_on=end)
    secret = client.get_secret("mine")
    assert (secret.value, secret.id, len(version)) == ("s3cret", f"{URL}/secrets/mine/{version}", 32)
    properties = secret.properties
    assert (properties.content_type, properties.expires_on, properties.enabled) == ("text/plain", end, True)


def test_the_newest_version_is_current_and_older_ones_stay(azure: Simulator, client: SecretClient) -> None:
    vault = azure.vaults["contoso"]
    first, second = vault.set_secret("mine", "first"), vault.set_secret("mine", "second")
    read = [client.get_secret("mine"), client.get_secret("mine", first), client.get_secret("mine", second)]
    assert [each.value for each in read] == ["second", "first", "second"]


def test_names_are_case_insensitive(client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/about-keys-secrets-certificates"""
    assert client.get_secret("GRAPH-Client-Secret").value == client.get_secret("graph-client-secret").value


def test_a_secret_that_has_ended_is_still_served(azure: Simulator, client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/secrets/about-secrets#secret-attributes"""
    azure.vaults["contoso"].set_secret("mine", "old", expires_on=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert client.get_secret("mine").value == "old"


def test_a_disabled_secret_is_refused(azure: Simulator, client: SecretClient) -> None:
    azure.vaults["contoso"].set_secret("mine", "off", enabled=False)
    assert denial(client, "mine") == (403, "Forbidden", "SecretDisabled")


def test_a_secret_that_is_missing_or_deleted_is_not_found(azure: Simulator, client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/soft-delete-overview"""
    assert denial(client, "nothing") == (404, "SecretNotFound", "")
    azure.vaults["contoso"].delete_secret("graph-client-secret")
    with pytest.raises(ResourceNotFoundError):
        client.get_secret("graph-client-secret")


def test_only_principals_with_the_reader_role_may_read(azure: Simulator, client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/rbac-guide"""
    azure.vaults["contoso"].readers.remove(azure.entra.identity.object_id)
    assert denial(client) == (403, "Forbidden", "ForbiddenByRbac")
    with vault_client(azure, identity="") as system_assigned:
        assert isinstance(system_assigned.get_secret("graph-client-secret"), KeyVaultSecret)


def test_the_firewall_keeps_callers_out(azure: Simulator, client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/network-security"""
    azure.vaults["contoso"].firewall = True
    assert denial(client) == (403, "Forbidden", "ForbiddenByFirewall")


def test_a_busy_vault_answers_429(azure: Simulator, client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/overview-throttling"""
    azure.faults.plan(vault_throttled(times=None))
    assert denial(client) == (429, "Throttled", "")


def test_a_vault_that_does_not_exist_cannot_be_reached(azure: Simulator) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get("https://nobody.vault.azure.net/secrets/mine?api-version=7.6", timeout=10)


@pytest.mark.parametrize(
    "audience", ["https://graph.microsoft.com", "https://vault.azure.net/", "https://vault.azure.cn"]
)
def test_a_token_must_be_for_the_vaults_of_this_cloud(azure: Simulator, audience: str) -> None:
    headers = {"Authorization": f"Bearer {token(azure, audience)}"}
    response = requests.get(f"{URL}/secrets/graph-client-secret?api-version=7.6", headers=headers, timeout=10)
    message = f"AKV10022: Invalid audience. Expected https://vault.azure.net, found: {audience}."
    assert (response.status_code, response.json()) == (401, {"error": {"code": "Unauthorized", "message": message}})


def test_a_request_must_name_the_version_of_the_api(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/authentication-requests-and-responses"""
    headers = {"Authorization": f"Bearer {token(azure, 'https://vault.azure.net')}"}
    response = requests.get(f"{URL}/secrets/graph-client-secret", headers=headers, timeout=10)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS.keys())
def test_every_cloud_has_its_vault(azure: Simulator, cloud: Cloud) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/general/about-keys-secrets-certificates"""
    settings = azure.app_settings("secret", cloud=cloud.name)
    with vault_client(azure, settings["KEY_VAULT_URL"]) as client:
        assert client.get_secret("graph-client-secret").value == azure.entra.application.secrets[0].value


def test_a_revoked_token_is_refused(azure: Simulator, client: SecretClient) -> None:
    client.get_secret("graph-client-secret")
    azure.entra.revoke_tokens()
    with pytest.raises(ClientAuthenticationError):
        client.get_secret("graph-client-secret")


def test_a_certificate_is_read_as_a_secret_in_pkcs12_or_pem(azure: Simulator, client: SecretClient) -> None:
    """https://learn.microsoft.com/en-us/azure/key-vault/certificates/how-to-export-certificate"""
    certificate = client_certificate("another")
    vault = azure.vaults["contoso"]
    vault.set_certificate("binary", certificate)
    vault.set_certificate("text", certificate, content_type=PEM)
    binary, text = client.get_secret("binary"), client.get_secret("text")
    assert binary.value is not None
    assert text.value is not None
    pair = pkcs12.load_pkcs12(base64.b64decode(binary.value), None)
    assert isinstance(pair.key, RSAPrivateKey)
    assert pair.cert is not None
    read = ClientCertificate(key=pair.key, certificate=pair.cert.certificate)
    assert (read.key_pem(), read.certificate_pem()) == (certificate.key_pem(), certificate.certificate_pem())
    assert text.value == certificate.key_pem() + certificate.certificate_pem()
    told = [(each.properties.content_type, each.properties.expires_on) for each in (binary, text)]
    assert told == [
        ("application/x-pkcs12", certificate.expires_on),
        ("application/x-pem-file", certificate.expires_on),
    ]
