"""The sign-in hosts: discovery, published keys, and the token endpoint of the client-credentials flow.

https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import base64
import binascii
import datetime as dt
import hmac
import urllib.parse
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import tokens
from simulator.aadsts import SignInRefused, error_body, refusal
from simulator.clouds import CLOUDS, cloud_of_resource, login_host_of
from simulator.entra import Application, Tenant
from simulator.state import State

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET, ASSERTION = "1", "2"
CLOCK_SKEW = 300


def login_app(state: State) -> Starlette:
    """The routes of every sign-in host."""

    async def configuration(request: Request) -> Response:
        host, name = request.url.hostname or "", request.path_params["tenant"]
        tenant = state.entra.tenant(name, login_host_of(host) or "")
        if tenant is None:
            return JSONResponse({**error_body(90002, name), "error": "invalid_tenant"}, status_code=400)
        root = f"https://{host}/{tenant.id}"
        return JSONResponse(
            {
                "issuer": f"{root}/v2.0",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
            }
        )

    async def instances(request: Request) -> Response:
        host = request.url.hostname or ""
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"https://{host}/common/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {"preferred_network": each, "preferred_cache": each, "aliases": [each]}
                    for each in sorted({cloud.login_host for cloud in CLOUDS.values()})
                ],
            }
        )

    async def keys(request: Request) -> Response:
        del request
        return JSONResponse(tokens.key_set())

    async def token(request: Request) -> Response:
        form = dict(urllib.parse.parse_qsl((await request.body()).decode()))
        with state.lock:
            try:
                body = _token(state, request.url.hostname or "", request.path_params["tenant"], form)
            except SignInRefused as refused:
                return refusal(refused, request.headers.get("client-request-id"))
        return JSONResponse(body, headers={"cache-control": "no-store, no-cache", "pragma": "no-cache"})

    return Starlette(
        routes=[
            Route("/common/discovery/instance", instances),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", configuration),
            Route("/{tenant}/discovery/v2.0/keys", keys),
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
        ]
    )


def _token(state: State, host: str, tenant_name: str, form: Mapping[str, str]) -> dict[str, object]:
    for name in ("grant_type", "client_id", "scope"):
        if not form.get(name):
            raise SignInRefused(900144, name)
    if form["grant_type"] != "client_credentials":
        raise SignInRefused(70003, form["grant_type"])
    login_host = login_host_of(host) or ""
    tenant = state.entra.tenant(tenant_name, login_host)
    if tenant is None:
        raise SignInRefused(90002, tenant_name)
    application = state.entra.applications.get(form["client_id"].lower())
    if application is None:
        raise SignInRefused(700016, form["client_id"], tenant.domain)
    if application.disabled:
        raise SignInRefused(7000112, application.client_id, application.name)
    resource = _resource(form["scope"])
    cloud = cloud_of_resource(resource.rstrip("/"))
    # The API behind External ID is known to the global tenant only, as every resource to its own cloud's tenants.
    if cloud is None or cloud.login_host != login_host:
        raise SignInRefused(500011, resource, tenant.domain)
    credential = _credential(state, host, tenant, application, form)
    access_token, lifetime = tokens.issue(
        state, tenant=tenant, cloud=cloud, principal=application, resource=resource, credential=credential
    )
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access_token,
    }


def _resource(scope: str) -> str:
    """The one resource that `scope` asks for by its `/.default`."""
    if len(scope.split()) != 1:
        raise SignInRefused(70011, scope)
    if not scope.endswith("/.default"):
        raise SignInRefused(1002012, scope)
    return scope.removesuffix("/.default")


def _credential(state: State, host: str, tenant: Tenant, application: Application, form: Mapping[str, str]) -> str:
    """How the application proved itself, as the `appidacr` claim says it."""
    if assertion := form.get("client_assertion"):
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise SignInRefused(900144, "client_assertion_type")
        _check_assertion(state, host, tenant, application, assertion)
        return ASSERTION
    if secret := form.get("client_secret"):
        _check_secret(state, application, secret)
        return SECRET
    raise SignInRefused(7000218)


def _check_secret(state: State, application: Application, presented: str) -> None:
    known = [secret for secret in application.secrets if hmac.compare_digest(secret.value, presented)]
    if not known:
        raise SignInRefused(7000215, application.client_id)
    if all(secret.expires_on.timestamp() <= state.clock() for secret in known):
        raise SignInRefused(7000222, application.client_id)


def _check_assertion(state: State, host: str, tenant: Tenant, application: Application, assertion: str) -> None:
    try:
        header = jwt.get_unverified_header(assertion)
        claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise SignInRefused(50027) from error
    if claims.get("iss") == application.client_id or "x5t#S256" in header:
        _check_certificate(application, header, assertion)
        if not claims.get("iss") == claims.get("sub") == application.client_id:
            raise SignInRefused(700021)
        roots = [f"https://{host}/{name}" for name in (tenant.id, tenant.domain)]
        if claims.get("aud") not in [f"{root}{path}" for root in roots for path in ("/oauth2/v2.0/token", "/v2.0")]:
            raise SignInRefused(700023)
    else:
        _check_federated(tenant, application, claims, assertion)
    _check_time(state, claims)


def _check_certificate(application: Application, header: Mapping[str, str], assertion: str) -> None:
    """The signature must be that of a registered certificate, named by thumbprint.

    https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials
    """
    named = header.get("x5t#S256") or header.get("x5t") or ""
    try:
        thumbprint = base64.urlsafe_b64decode(named.rstrip("=") + "=" * (-len(named.rstrip("=")) % 4))
    except binascii.Error as error:
        raise SignInRefused(50027) from error
    certificate = application.certificate_named(thumbprint)
    if certificate is None:
        raise SignInRefused(700027, "The key was not found.", thumbprint.hex().upper(), application.client_id)
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)  # noqa: S101 -- the simulator makes no other keys
    try:
        tokens.verified(assertion, key, ["PS256", "RS256"])
    except jwt.InvalidTokenError as error:
        raise SignInRefused(
            700027,
            "The key was found, but use of the key to verify the signature failed.",
            named,
            application.client_id,
        ) from error


def _check_federated(tenant: Tenant, application: Application, claims: Mapping[str, Any], assertion: str) -> None:
    """Issuer, subject and audience must match a federated credential of the app, and Entra must have signed.

    https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """
    # A token does not cross clouds, so only credentials of the cloud signed in to count.
    credentials = [
        each
        for each in application.federated_credentials
        if each.issuer.startswith(f"https://{tenant.login_host}/") and each.issuer == claims.get("iss")
    ]
    if not credentials:
        raise SignInRefused(700211, str(claims.get("iss")))
    credentials = [each for each in credentials if each.subject == claims.get("sub")]
    if not credentials:
        raise SignInRefused(700213, str(claims.get("sub")))
    if not any(each.audience == claims.get("aud") for each in credentials):
        raise SignInRefused(700212, str(claims.get("aud")))
    try:
        tokens.verified(assertion, tokens.signing_key()[1], ["RS256"])
    except jwt.InvalidTokenError as error:
        raise SignInRefused(50027) from error


def _check_time(state: State, claims: Mapping[str, Any]) -> None:
    now, end = state.clock(), float(claims.get("exp", 0))
    if not float(claims.get("nbf", 0)) - CLOCK_SKEW <= now < end + CLOCK_SKEW:
        moments = [dt.datetime.fromtimestamp(moment, dt.UTC).isoformat() for moment in (now, end)]
        raise SignInRefused(700024, *moments)
