"""Entra's sign-in endpoint gives tokens to those who prove who they are, and says why not to the others.

https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
"""

import base64
import re
import time
import uuid
from typing import Any

import jwt
import msal
import pytest
import requests
from azure.identity import ManagedIdentityCredential
from cryptography.hazmat.primitives import hashes

from simulator import ClientCertificate, Simulator, client_certificate, token_error

GRAPH_SCOPE = "https://graph.microsoft.com/.default"
LOGIN = "https://login.microsoftonline.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

pytestmark = pytest.mark.usefixtures("azure")


def sign_in(azure: Simulator, credential: Any) -> dict[str, Any]:
    app = msal.ConfidentialClientApplication(
        azure.entra.application.client_id,
        client_credential=credential,
        authority=f"{LOGIN}/{azure.entra.tenants[0].id}",
        instance_discovery=False,
    )
    result = app.acquire_token_for_client([GRAPH_SCOPE])
    assert result is not None
    return result


def post(azure: Simulator, tenant: str | None = None, **changes: str | None) -> requests.Response:
    """A token request by hand, with a good client secret unless `changes` say otherwise."""
    form = {
        "grant_type": "client_credentials",
        "client_id": azure.entra.application.client_id,
        "client_secret": azure.entra.application.secrets[0].value,
        "scope": GRAPH_SCOPE,
    } | changes
    tenant = tenant or azure.entra.tenants[0].id
    return requests.post(f"{LOGIN}/{tenant}/oauth2/v2.0/token", data=form, timeout=10)


def refusal(response: requests.Response) -> tuple[int, str, list[int]]:
    body = response.json()
    return response.status_code, body["error"], body["error_codes"]


def claims(token: str) -> dict[str, Any]:
    keys = jwt.PyJWKClient(f"{LOGIN}/common/discovery/v2.0/keys")
    key = requests.get(keys.uri, timeout=10).json()["keys"][0]
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT", "kid": key["kid"], "x5t": key["kid"]}
    return jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], options={"verify_aud": False})


def test_a_client_secret_gives_a_token_signed_with_the_published_key(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference"""
    azure.entra.token_lifetime = 4000
    before = int(time.time())
    result = sign_in(azure, azure.entra.application.secrets[0].value)
    told = claims(result["access_token"])
    assert before <= told["iat"] <= time.time()
    assert result["expires_in"] == 4000
    application, tenant = azure.entra.application, azure.entra.tenants[0]
    assert told == {
        "aud": "https://graph.microsoft.com",
        "iss": f"https://sts.windows.net/{tenant.id}/",
        "iat": told["iat"],
        "nbf": told["iat"],
        "exp": told["iat"] + 4000,
        "idtyp": "app",
        "oid": application.object_id,
        "sub": application.object_id,
        "tid": tenant.id,
        "uti": told["uti"],
        "appid": application.client_id,
        "appidacr": "1",
        "ver": "1.0",
        "roles": ["User.Read.All"],
    }


def test_tokens_live_between_60_and_90_minutes(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#token-lifetime"""
    lifetimes = [post(azure).json()["expires_in"] for _ in range(20)]
    assert all(3600 <= each <= 5400 for each in lifetimes)
    assert len(set(lifetimes)) > 1


def test_an_app_without_consent_gets_a_token_without_roles(azure: Simulator) -> None:
    azure.entra.application.graph_roles.clear()
    assert "roles" not in claims(sign_in(azure, azure.entra.application.secrets[0].value)["access_token"])


@pytest.mark.parametrize("name", ["id", "domain"])
def test_a_tenant_is_found_by_id_or_by_domain(azure: Simulator, name: str) -> None:
    assert post(azure, getattr(azure.entra.tenants[0], name)).status_code == 200


@pytest.mark.parametrize("header", ["x5t#S256", "x5t"])
def test_a_certificate_signs_an_assertion_named_by_either_thumbprint(azure: Simulator, header: str) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials"""
    certificate = azure.entra.application.certificates[0]
    named = {
        "x5t#S256": {"public_certificate": certificate.certificate_pem()},
        "x5t": {"thumbprint": certificate.thumbprint(hashes.SHA1()).hex()},  # noqa: S303 -- what the older header is
    }
    result = sign_in(azure, {"private_key": certificate.key_pem()} | named[header])
    assert claims(result["access_token"])["appidacr"] == "2"


def assertion(azure: Simulator, certificate: ClientCertificate, **changes: object) -> str:
    application, tenant = azure.entra.application, azure.entra.tenants[0]
    now = int(time.time())
    payload = {
        "aud": f"{LOGIN}/{tenant.id}/oauth2/v2.0/token",
        "iss": application.client_id,
        "sub": application.client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "exp": now + 600,
    } | changes
    name = base64.urlsafe_b64encode(certificate.thumbprint(hashes.SHA256())).decode()
    return jwt.encode(payload, certificate.key, algorithm="PS256", headers={"x5t#S256": name})


def post_assertion(azure: Simulator, signed: str) -> requests.Response:
    return post(azure, client_secret=None, client_assertion=signed, client_assertion_type=ASSERTION_TYPE)


def test_an_assertion_is_checked_for_signature_audience_identity_and_time(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials#assertion-format"""
    good, foreign = azure.entra.application.certificates[0], client_certificate("unregistered")
    ended = {"nbf": int(time.time()) - 4200, "exp": int(time.time()) - 3600}
    head, payload, _ = assertion(azure, good).split(".")
    forged = ".".join([head, payload, assertion(azure, good).split(".")[2]])
    assert post_assertion(azure, assertion(azure, good)).status_code == 200
    assert {
        name: refusal(post_assertion(azure, each))
        for name, each in {
            "unregistered certificate": assertion(azure, foreign),
            "signature of another assertion": forged,
            "audience of another tenant": assertion(azure, good, aud=f"{LOGIN}/{uuid.uuid4()}/oauth2/v2.0/token"),
            "issued for another app": assertion(azure, good, sub=str(uuid.uuid4())),
            "ended": assertion(azure, good, **ended),
            "not a token": "abc",
            "named by no thumbprint": jwt.encode({}, good.key, algorithm="PS256", headers={"x5t#S256": "a"}),
        }.items()
    } == {
        "unregistered certificate": (401, "invalid_client", [700027]),
        "signature of another assertion": (401, "invalid_client", [700027]),
        "audience of another tenant": (401, "invalid_client", [700023]),
        "issued for another app": (401, "invalid_client", [700021]),
        "ended": (401, "invalid_client", [700024]),
        "not a token": (401, "invalid_client", [50027]),
        "named by no thumbprint": (401, "invalid_client", [50027]),
    }


def exchange_token(azure: Simulator, audience: str = "api://AzureADTokenExchange") -> str:
    with ManagedIdentityCredential(client_id=azure.entra.identity.client_id) as credential:
        return credential.get_token(f"{audience}/.default").token


def test_a_managed_identity_that_the_app_trusts_signs_in_for_it(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity"""
    result = sign_in(azure, {"client_assertion": lambda: exchange_token(azure)})
    told = claims(result["access_token"])
    assert (told["appid"], told["appidacr"]) == (azure.entra.application.client_id, "2")


def test_a_federated_credential_must_match_issuer_subject_and_audience(azure: Simulator) -> None:
    trusted = azure.entra.application.federated_credentials
    token, mine = exchange_token(azure), trusted[0]

    def with_trust(**changes: str) -> tuple[int, str, list[int]]:
        fields = {"issuer": mine.issuer, "subject": mine.subject, "audience": mine.audience} | changes
        trusted[:] = [type(mine)(**fields)]
        return refusal(post_assertion(azure, token))

    assert with_trust(issuer=f"{mine.issuer}/") == (401, "invalid_client", [700211])
    assert with_trust(subject=mine.subject.upper()) == (401, "invalid_client", [700213])
    assert with_trust(audience="api://other") == (401, "invalid_client", [700212])


def test_a_federated_assertion_must_be_signed_by_its_issuer(azure: Simulator) -> None:
    head, payload, _ = exchange_token(azure).split(".")
    forged = f"{head}.{payload}.{exchange_token(azure).split('.')[2]}"
    assert refusal(post_assertion(azure, forged)) == (401, "invalid_client", [50027])


def test_a_federated_assertion_from_another_cloud_is_refused(azure: Simulator) -> None:
    token = exchange_token(azure, "api://AzureADTokenExchangeChina")
    assert refusal(post_assertion(azure, token)) == (401, "invalid_client", [700211])


def test_bad_requests_are_refused_by_code(azure: Simulator) -> None:
    application = azure.entra.application
    application.add_secret("ended-secret", days=-1)
    unknown = str(uuid.uuid4())
    assert {
        "wrong secret": refusal(post(azure, client_secret="wrong")),
        "ended secret": refusal(post(azure, client_secret="ended-secret")),
        "no credential": refusal(post(azure, client_secret=None)),
        "assertion of no type": refusal(post(azure, client_secret=None, client_assertion="abc")),
        "unknown app": refusal(post(azure, client_id=unknown)),
        "unknown tenant": refusal(post(azure, unknown)),
        "tenant of another cloud": refusal(post(azure, azure.entra.tenants[1].id)),
        "scope without .default": refusal(post(azure, scope="https://graph.microsoft.com/User.Read.All")),
        "two scopes": refusal(post(azure, scope=f"{GRAPH_SCOPE} {GRAPH_SCOPE}")),
        "no scope": refusal(post(azure, scope=None)),
        "unknown resource": refusal(post(azure, scope="api://nobody/.default")),
        "resource of another cloud": refusal(post(azure, scope="https://graph.microsoft.us/.default")),
        "other grant": refusal(post(azure, grant_type="password")),
    } == {
        "wrong secret": (401, "invalid_client", [7000215]),
        "ended secret": (401, "invalid_client", [7000222]),
        "no credential": (401, "invalid_client", [7000218]),
        "assertion of no type": (400, "invalid_request", [900144]),
        "unknown app": (400, "unauthorized_client", [700016]),
        "unknown tenant": (400, "invalid_request", [90002]),
        "tenant of another cloud": (400, "invalid_request", [90002]),
        "scope without .default": (400, "invalid_scope", [1002012]),
        "two scopes": (400, "invalid_scope", [70011]),
        "no scope": (400, "invalid_request", [900144]),
        "unknown resource": (400, "invalid_resource", [500011]),
        "resource of another cloud": (400, "invalid_resource", [500011]),
        "other grant": (400, "unsupported_grant_type", [70003]),
    }
    application.disabled = True
    assert refusal(post(azure)) == (400, "unauthorized_client", [7000112])


def test_expired_secrets_stop_working_and_a_new_one_works(azure: Simulator) -> None:
    azure.entra.application.expire_secrets()
    assert refusal(post(azure)) == (401, "invalid_client", [7000222])
    assert post(azure, client_secret=azure.entra.application.add_secret()).status_code == 200


def test_a_refusal_has_the_shape_of_entras(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#error-response"""
    body = post(azure, client_secret="wrong").json()
    assert list(body) == [
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    ]
    application = azure.entra.application.client_id
    assert re.fullmatch(
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client "
        f"secret value, not the client secret ID, for a secret added to app '{application}'. "
        f"Trace ID: {body['trace_id']} Correlation ID: {body['correlation_id']} Timestamp: {body['timestamp']}",
        body["error_description"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", body["timestamp"])
    assert body["error_uri"] == "https://login.microsoftonline.com/error?code=7000215"


def test_discovery_of_an_unknown_tenant_fails_with_400(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc"""
    response = requests.get(f"{LOGIN}/{uuid.uuid4()}/v2.0/.well-known/openid-configuration", timeout=10)
    assert refusal(response) == (400, "invalid_tenant", [90002])


def test_instance_discovery_lists_the_sign_in_hosts(azure: Simulator) -> None:
    body = requests.get(f"{LOGIN}/common/discovery/instance?api-version=1.1", timeout=10).json()
    assert [each["preferred_network"] for each in body["metadata"]] == [
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
    ]


def test_a_custom_domain_signs_in_by_its_own_discovery_document(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/external-id/customers/concept-custom-url-domain"""
    authority = f"https://login.contoso.example/{azure.entra.tenants[0].id}/v2.0"
    app = msal.ConfidentialClientApplication(
        azure.entra.application.client_id,
        client_credential=azure.entra.application.secrets[0].value,
        oidc_authority=authority,
    )
    result = app.acquire_token_for_client(["api://contoso-api/.default"])
    assert result is not None
    token = result["access_token"]
    response = requests.get(
        "https://api.contoso.example/reports", headers={"Authorization": f"Bearer {token}"}, timeout=10
    )
    assert response.json() == {"reports": [{"id": 1, "name": "Sign-ins"}, {"id": 2, "name": "Licences"}]}


def test_another_api_wants_its_own_audience_and_role(azure: Simulator) -> None:
    def call(token: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get("https://api.contoso.example/reports", headers=headers, timeout=10).status_code

    own = post(azure, scope="api://contoso-api/.default").json()["access_token"]
    azure.entra.application.api_roles.clear()
    without_role = post(azure, scope="api://contoso-api/.default").json()["access_token"]
    assert [call(None), call(post(azure).json()["access_token"]), call(own), call(without_role)] == [401, 401, 200, 403]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (53003, (400, "invalid_grant", [53003])),
        (90033, (503, "temporarily_unavailable", [90033])),
        (90055, (429, "temporarily_unavailable", [90055])),
    ],
)
def test_any_refusal_can_be_planned(azure: Simulator, code: int, expected: tuple[int, str, list[int]]) -> None:
    azure.faults.plan(token_error(code))
    assert refusal(post(azure)) == expected
    assert post(azure).status_code == 200
