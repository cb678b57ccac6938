"""Access tokens: issued by Entra, checked by every service that asks for one.

Claims: https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference
"""

import base64
import datetime as dt
import functools
import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.types import Options
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator.certificates import rsa_key
from simulator.clouds import API_RESOURCE, CLOUDS, Cloud, cloud_of_graph
from simulator.entra import Principal, Tenant

if TYPE_CHECKING:
    from simulator.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls Graph: the tenant's id, the application's client id, and the application roles in its token."""

    tenant: str
    client_id: str
    roles: frozenset[str]


type Reason = Literal["missing", "malformed", "signature", "audience", "lifetime", "revoked"]

# What Graph says of each: https://learn.microsoft.com/en-us/graph/resolve-auth-errors
_GRAPH_MESSAGES: dict[Reason, str] = {
    "missing": "Access token is empty.",
    "malformed": "IDX14100: JWT is not well formed, there are no dots (.).\n"
    "The token needs to be in JWS or JWE Compact Serialization Format.",
    "signature": "Access token validation failure. Invalid signature.",
    "audience": "Access token validation failure. Invalid audience.",
    "lifetime": "Lifetime validation failed, the token is expired.",
    "revoked": "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
    "TokenIssuedBeforeRevocationTimestamp.",
}


class TokenRefused(Exception):
    """A service does not accept the bearer token; `found` is the audience of a token for another service."""

    def __init__(self, reason: Reason, found: str = "") -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.found = found


@functools.cache
def signing_key() -> tuple[str, RSAPublicKey]:
    """The key id and public key that tokens are signed with."""
    public = rsa_key("token signing").public_key()
    numbers = public.public_numbers()
    digest = hashlib.sha256(f"{numbers.n}.{numbers.e}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), public


def key_set() -> dict[str, object]:
    """The JSON Web Key Set that publishes the signing key."""
    key_id, public = signing_key()
    key = RSAAlgorithm.to_jwk(public, as_dict=True)
    return {"keys": [{**key, "kid": key_id, "x5t": key_id, "use": "sig", "alg": "RS256"}]}


def issue(
    state: "State", *, tenant: Tenant, cloud: Cloud, principal: Principal, resource: str, credential: str
) -> tuple[str, int]:
    """Sign a token for `principal` and `resource`, and return it with the seconds it lives.

    The token lists the roles the principal was granted on the resource. With none granted it has no roles claim, and
    is issued all the same: it is for the resource to refuse it
    (https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow).

    Args:
        credential: what proved the principal, as in the `appidacr` claim: "1" a secret, "2" a certificate or assertion.
    """
    now, lifetime, token_id = int(state.clock()), state.entra.lifetime(), uuid.uuid4().hex
    # Tokens that Entra issues for a token exchange are of version 2, because federated credentials name that issuer.
    exchange = resource.rstrip("/") in {each.token_exchange_audience for each in CLOUDS.values()}
    claims: dict[str, object] = {
        "aud": resource,
        "iss": tenant.issuer() if exchange else f"https://{cloud.issuer_host}/{tenant.id}/",
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "idtyp": "app",
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": tenant.id,
        "uti": token_id,
        **({"azp": principal.client_id, "azpacr": credential, "ver": "2.0"} if exchange else {}),
        **({} if exchange else {"appid": principal.client_id, "appidacr": credential, "ver": "1.0"}),
    }
    granted = {cloud.graph_resource: principal.graph_roles, API_RESOURCE: principal.api_roles}.get(resource.rstrip("/"))
    if granted:
        claims["roles"] = sorted(granted)
    state.entra.remember(token_id)
    key_id, _ = signing_key()
    headers = {"kid": key_id, "x5t": key_id}
    return jwt.encode(claims, rsa_key("token signing"), algorithm="RS256", headers=headers), lifetime


def verified(token: str, key: RSAPublicKey, algorithms: Sequence[str]) -> dict[str, Any]:
    """The claims of a JSON Web Token after its signature, and nothing else of it, was checked."""
    unchecked: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    return jwt.decode(token, key, algorithms=algorithms, options=unchecked)


def check(state: "State", authorization: str | None, *, audiences: Collection[str]) -> dict[str, Any]:
    """The claims of the bearer token in an Authorization header.

    Raises:
        TokenRefused: the token is missing, malformed, foreign, revoked, ended, or meant for another audience.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("missing")
    try:
        claims = verified(token, signing_key()[1], ["RS256"])
    except jwt.InvalidSignatureError as error:
        raise TokenRefused("signature") from error
    except jwt.InvalidTokenError as error:
        raise TokenRefused("malformed") from error
    if claims["aud"] not in audiences:
        raise TokenRefused("audience", claims["aud"])
    if not claims["nbf"] - 300 <= state.clock() < claims["exp"]:
        raise TokenRefused("lifetime")
    if state.entra.is_revoked(claims["uti"]):
        raise TokenRefused("revoked")
    return claims


def authorize(request: Request, state: "State") -> Caller | Response:
    """Who calls Graph, or the 401 that Graph answers with; the token must be for the Graph of the cloud called.

    https://learn.microsoft.com/en-us/graph/resolve-auth-errors
    """
    cloud = cloud_of_graph(request.url.hostname or "") or CLOUDS["global"]
    try:
        audiences = [cloud.graph_resource, f"{cloud.graph_resource}/"]
        claims = check(state, request.headers.get("authorization"), audiences=audiences)
    except TokenRefused as refused:
        return _unauthenticated(request.headers, _GRAPH_MESSAGES[refused.reason], cloud)
    return Caller(tenant=claims["tid"], client_id=claims["appid"], roles=frozenset(claims.get("roles", ())))


def _unauthenticated(headers: Mapping[str, str], message: str, cloud: Cloud) -> Response:
    request_id = str(uuid.uuid4())
    client_request_id = headers.get("client-request-id", request_id)
    return JSONResponse(
        {
            "error": {
                "code": "InvalidAuthenticationToken",
                "message": message,
                "innerError": {
                    "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S"),
                    "request-id": request_id,
                    "client-request-id": client_request_id,
                },
            }
        },
        status_code=401,
        headers={
            "request-id": request_id,
            "client-request-id": client_request_id,
            "www-authenticate": 'Bearer realm="", '
            f'authorization_uri="https://{cloud.login_host}/common/oauth2/authorize", '
            'client_id="00000003-0000-0000-c000-000000000000"',
        },
    )
