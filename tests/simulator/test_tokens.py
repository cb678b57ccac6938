"""Graph accepts tokens that are meant for it, are genuine and have not ended.

https://learn.microsoft.com/en-us/graph/resolve-auth-errors
"""

import time

import pytest
import requests

from simulator import Simulator
from simulator.clouds import CLOUDS, Cloud


def graph_token(azure: Simulator, cloud: Cloud, resource: str | None = None) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": azure.entra.application.client_id,
        "client_secret": azure.entra.application.secrets[0].value,
        "scope": f"{resource or cloud.graph_resource}/.default",
    }
    tenant = azure.entra.tenant_of(cloud).id
    response = requests.post(f"https://{cloud.login_host}/{tenant}/oauth2/v2.0/token", data=form, timeout=10)
    return response.json()["access_token"]


def users(token: str | None, host: str = "graph.microsoft.com") -> requests.Response:
    headers = {"client-request-id": "mine"} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
    return requests.get(f"https://{host}/v1.0/users", headers=headers, timeout=10)


def refusal(response: requests.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS.keys())
def test_every_clouds_graph_takes_its_own_tokens_and_no_other_does(azure: Simulator, cloud: Cloud) -> None:
    """https://learn.microsoft.com/en-us/graph/deployments"""
    token = graph_token(azure, cloud)
    statuses = {each.name: users(token, each.graph_host).status_code for each in CLOUDS.values()}
    assert statuses == {each: 200 if each == cloud.name else 401 for each in CLOUDS}


def test_a_refusal_has_graphs_shape_and_names_the_sign_in_host(azure: Simulator) -> None:
    response = users(None)
    inner = response.json()["error"]["innerError"]
    assert response.json() == {
        "error": {
            "code": "InvalidAuthenticationToken",
            "message": "Access token is empty.",
            "innerError": {
                "date": inner["date"],
                "request-id": response.headers["request-id"],
                "client-request-id": "mine",
            },
        }
    }
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        'client_id="00000003-0000-0000-c000-000000000000"'
    )


def test_tokens_that_are_malformed_forged_foreign_revoked_or_ended_are_refused(azure: Simulator) -> None:
    cloud = CLOUDS["global"]
    good = graph_token(azure, cloud)
    head, payload, _ = good.split(".")
    forged = f"{head}.{payload}.{graph_token(azure, cloud).split('.')[2]}"
    assert {
        "malformed": refusal(users("abc")),
        "forged": refusal(users(forged)),
        "foreign": refusal(users(graph_token(azure, cloud, cloud.vault_resource))),
        "good": users(good).status_code,
    } == {
        "malformed": (
            401,
            "InvalidAuthenticationToken",
            (
                "IDX14100: JWT is not well formed, there are no dots (.).\n"
                "The token needs to be in JWS or JWE Compact Serialization Format."
            ),
        ),
        "forged": (401, "InvalidAuthenticationToken", "Access token validation failure. Invalid signature."),
        "foreign": (401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience."),
        "good": 200,
    }
    azure.entra.revoke_tokens()
    assert refusal(users(good))[:2] == (401, "InvalidAuthenticationToken")
    later = graph_token(azure, cloud)
    assert users(later).status_code == 200
    azure.state.clock = lambda: time.time() + 5401
    assert refusal(users(later)) == (
        401,
        "InvalidAuthenticationToken",
        "Lifetime validation failed, the token is expired.",
    )


def test_a_token_without_roles_reaches_graph_and_is_denied_there(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow"""
    azure.entra.application.graph_roles.clear()
    assert refusal(users(graph_token(azure, CLOUDS["global"])))[:2] == (403, "Authorization_RequestDenied")
