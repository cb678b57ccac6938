"""The managed-identity endpoint gives tokens to the machine's identities.

https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import time
import uuid
from typing import Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, ServiceResponseError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

from simulator import Simulator, connection_reset

VAULT = "https://vault.azure.net"


def ask(azure: Simulator, *, header: str | None = None, **query: str) -> requests.Response:
    environment = azure.environment
    return requests.get(
        environment["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": VAULT} | query,
        headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"] if header is None else header},
        timeout=10,
    )


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_the_user_assigned_identity_is_asked_for_by_client_id(azure: Simulator) -> None:
    azure.entra.token_lifetime = 5000
    identity = azure.entra.identity
    with ManagedIdentityCredential(client_id=identity.client_id) as credential:
        token = credential.get_token(f"{VAULT}/.default")
    told = claims(token.token)
    assert (told["appid"], told["oid"], told["aud"]) == (identity.client_id, identity.object_id, VAULT)
    assert 4990 <= token.expires_on - time.time() <= 5000


def test_without_a_client_id_the_system_assigned_identity_answers(azure: Simulator) -> None:
    assert azure.entra.system_identity is not None
    with ManagedIdentityCredential() as credential:
        told = claims(credential.get_token(f"{VAULT}/.default").token)
    assert told["appid"] == azure.entra.system_identity.client_id


def test_the_answer_has_the_documented_form(azure: Simulator) -> None:
    azure.entra.token_lifetime = 5000
    client_id = azure.entra.identity.client_id
    body = ask(azure, client_id=client_id).json()
    assert body == {
        "access_token": body["access_token"],
        "expires_on": str(claims(body["access_token"])["exp"]),
        "resource": VAULT,
        "token_type": "Bearer",
        "client_id": client_id,
    }


def test_an_identity_that_the_machine_does_not_have_is_refused(azure: Simulator) -> None:
    response = ask(azure, client_id=str(uuid.uuid4()))
    body = response.json()
    assert (response.status_code, body) == (
        400,
        {
            "statusCode": 400,
            "message": "No User Assigned or Delegated Managed Identity found for specified "
            "ClientId/ResourceId/PrincipalId.",
            "correlationId": body["correlationId"],
        },
    )
    azure.entra.system_identity = None
    assert ask(azure).status_code == 400
    with DefaultAzureCredential() as credential, pytest.raises(ClientAuthenticationError):
        credential.get_token(f"{VAULT}/.default")


@pytest.mark.parametrize("header", ["", "wrong"])
def test_the_header_proves_that_the_caller_is_on_the_machine(azure: Simulator, header: str) -> None:
    assert ask(azure, header=header).status_code == 401


def test_another_version_of_the_endpoint_is_refused(azure: Simulator) -> None:
    assert ask(azure, **{"api-version": "2017-09-01"}).status_code == 400


def test_an_unknown_resource_is_refused(azure: Simulator) -> None:
    assert ask(azure, resource="https://nobody.example").status_code == 500


def test_the_endpoint_can_be_down(azure: Simulator) -> None:
    azure.faults.plan(connection_reset(host="managed-identity", times=None))
    with ManagedIdentityCredential(retry_total=0) as credential, pytest.raises(ServiceResponseError):
        credential.get_token(f"{VAULT}/.default")


def test_storage_tokens_have_the_claims_that_storage_checks(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/azure/storage/blobs/authorize-access-azure-active-directory"""
    told = claims(ask(azure, resource="https://storage.azure.com/").json()["access_token"])
    assert (told["aud"], told["iss"]) == (
        "https://storage.azure.com/",
        f"https://sts.windows.net/{azure.entra.tenants[0].id}/",
    )
    assert told["nbf"] <= time.time() < told["exp"]


def test_exchange_tokens_have_the_issuer_that_federated_credentials_name(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity"""
    tenant, identity = azure.entra.tenants[0], azure.entra.identity
    answer = ask(azure, resource="api://AzureADTokenExchange", client_id=identity.client_id)
    told = claims(answer.json()["access_token"])
    assert (told["iss"], told["sub"], told["aud"]) == (
        f"https://login.microsoftonline.com/{tenant.id}/v2.0",
        identity.object_id,
        "api://AzureADTokenExchange",
    )


def test_an_identity_may_be_granted_graph_roles_itself(azure: Simulator) -> None:
    answer = ask(azure, resource="https://graph.microsoft.com", client_id=azure.entra.identity.client_id)
    assert claims(answer.json()["access_token"])["roles"] == ["User.Read.All"]
