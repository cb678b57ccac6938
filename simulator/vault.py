"""Key Vault: secrets and the certificates behind them, read by name and version.

https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret
"""

import base64
import datetime as dt
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import tokens
from simulator.certificates import ClientCertificate
from simulator.clouds import GLOBAL, Cloud, cloud_of_vault

if TYPE_CHECKING:
    from simulator.entra import Entra
    from simulator.state import State

PKCS12, PEM = "application/x-pkcs12", "application/x-pem-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """One version of a secret, named by 32 hexadecimal digits."""

    version: str
    value: str = field(repr=False)
    content_type: str | None
    expires_on: dt.datetime | None
    enabled: bool
    created: int
    certificate: bool


class Vault:
    """One Key Vault, with access by role assignments.

    Attributes:
        readers: object ids of the principals that hold the role Key Vault Secrets User.
        firewall: whether the vault's firewall keeps the callers' network out.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.readers: set[str] = set()
        self.firewall = False
        self._secrets: dict[str, list[SecretVersion]] = {}

    def set_secret(
        self,
        name: str,
        value: str,
        *,
        content_type: str | None = None,
        expires_on: dt.datetime | None = None,
        enabled: bool = True,
        certificate: bool = False,
    ) -> str:
        """Add a version, which becomes the current one, and return its name."""
        version = SecretVersion(
            version=uuid.uuid4().hex,
            value=value,
            content_type=content_type,
            expires_on=expires_on,
            enabled=enabled,
            created=int(time.time()),
            certificate=certificate,
        )
        self._secrets.setdefault(name.lower(), []).append(version)
        return version.version

    def set_certificate(
        self, name: str, certificate: ClientCertificate, *, content_type: str = PKCS12, enabled: bool = True
    ) -> str:
        """Add a version of a certificate, whose private key is read as a secret, and return the version's name.

        https://learn.microsoft.com/en-us/azure/key-vault/certificates/how-to-export-certificate
        """
        pem = certificate.key_pem() + certificate.certificate_pem()
        return self.set_secret(
            name,
            pem if content_type == PEM else base64.b64encode(certificate.pkcs12()).decode(),
            content_type=content_type,
            expires_on=certificate.expires_on,
            enabled=enabled,
            certificate=True,
        )

    def delete_secret(self, name: str) -> None:
        """Soft-delete a secret: it can no longer be read."""
        del self._secrets[name.lower()]

    def secret(self, name: str, version: str | None) -> SecretVersion | None:
        """The version called `version`, or the newest; None if there is none."""
        versions = self._secrets.get(name.lower(), [])
        return next((each for each in reversed(versions) if version in {None, each.version}), None)


def default_vault(name: str, entra: "Entra") -> Vault:
    """A vault with the app registration's secret and certificate, which both managed identities may read."""
    vault = Vault(name)
    secret = entra.application.secrets[0]
    vault.set_secret("graph-client-secret", secret.value, expires_on=secret.expires_on)
    vault.set_certificate("graph-client-certificate", entra.application.certificates[0])
    vault.readers = {identity.object_id for identity in (entra.identity, entra.system_identity) if identity is not None}
    return vault


class _Refused(Exception):
    """The vault answers with this status and error object, whose inner code is the finer one."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, object] = {"code": code, "message": message}
        if inner is not None:
            self.error["innererror"] = {"code": inner}


def vault_app(state: "State") -> Starlette:
    """The routes of every vault under every cloud's suffix.

    Errors: https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes
    """

    async def get_secret(request: Request) -> Response:
        host = request.url.hostname or ""
        cloud, vault = cloud_of_vault(host) or GLOBAL, state.vaults[host.partition(".")[0]]
        try:
            with state.lock:
                claims = tokens.check(state, request.headers.get("authorization"), audiences=[cloud.vault_resource])
                _admit(vault, claims, request)
                name, _, version = request.path_params["secret"].strip("/").partition("/")
                return JSONResponse(_bundle(host, name, _readable(vault, name, version or None)))
        except tokens.TokenRefused as refused:
            return _challenge(refused, cloud, state.entra.tenant_of(cloud).id)
        except _Refused as refused:
            return JSONResponse({"error": refused.error}, status_code=refused.status)

    return Starlette(routes=[Route("/secrets/{secret:path}", get_secret)])


def _admit(vault: Vault, claims: Mapping[str, Any], request: Request) -> None:
    if "api-version" not in request.query_params:
        raise _Refused(400, "BadParameter", "AKV10047: the api-version query parameter is missing.")
    caller = f"Caller: appid={claims['appid']};oid={claims['oid']};iss={claims['iss']}"
    place = f"Vault: {vault.name};location=westeurope"
    if vault.firewall:
        raise _Refused(
            403,
            "Forbidden",
            "Client address is not authorized and caller is not a trusted service.\r\n"
            f"Client address: 127.0.0.1\r\n{caller}\r\n{place}",
            "ForbiddenByFirewall",
        )
    if claims["oid"] not in vault.readers:
        raise _Refused(
            403,
            "Forbidden",
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
            "definitions were changed recently, please observe propagation time.\r\n"
            f"{caller}\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n"
            f"Assignment: (not found)\r\n{place}",
            "ForbiddenByRbac",
        )


def _readable(vault: Vault, name: str, version: str | None) -> SecretVersion:
    secret = vault.secret(name, version)
    if secret is None:
        raise _Refused(
            404,
            "SecretNotFound",
            f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you "
            "may be able to recover it using the correct recovery command.",
        )
    if not secret.enabled:
        raise _Refused(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
    return secret


def _bundle(host: str, name: str, secret: SecretVersion) -> dict[str, object]:
    # A secret that has ended is still served; only its attributes say so.
    # https://learn.microsoft.com/en-us/azure/key-vault/secrets/about-secrets#secret-attributes
    attributes: dict[str, object] = {
        "enabled": secret.enabled,
        "created": secret.created,
        "updated": secret.created,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    }
    if secret.expires_on is not None:
        attributes["exp"] = int(secret.expires_on.timestamp())
    bundle: dict[str, object] = {
        "value": secret.value,
        "id": f"https://{host}/secrets/{name}/{secret.version}",
        "attributes": attributes,
        "tags": {},
    }
    if secret.content_type is not None:
        bundle["contentType"] = secret.content_type
    if secret.certificate:
        bundle |= {"kid": f"https://{host}/keys/{name}/{secret.version}", "managed": True}
    return bundle


def _challenge(refused: tokens.TokenRefused, cloud: Cloud, tenant: str) -> Response:
    """The 401 that tells a client where to get a token and for which resource.

    https://learn.microsoft.com/en-us/azure/key-vault/general/authentication-requests-and-responses
    """
    challenge = f'Bearer authorization="https://{cloud.login_host}/{tenant}", resource="{cloud.vault_resource}"'
    messages = {
        "missing": "AKV10000: Request is missing a Bearer or PoP token.",
        "audience": f"AKV10022: Invalid audience. Expected {cloud.vault_resource}, found: {refused.found}.",
        "lifetime": "[TokenExpired] Error validating token: 'S2S12086'.",
    }
    error = {"code": "Unauthorized", "message": messages.get(refused.reason, "[BearerReadAccessTokenFailed]")}
    return JSONResponse({"error": error}, status_code=401, headers={"www-authenticate": challenge})
