"""From an error to what to do about it, and by whom; docs/errors.md holds the same table.

Entra's codes: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
Graph's codes: https://learn.microsoft.com/en-us/graph/errors
Key Vault's codes: https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from entra_users.errors import EntraUsersError
from entra_users.settings import Settings


class Remedy(NamedTuple):
    """What an error means, who can put it right, and how; `{names}` stand for facts of the app at hand."""

    meaning: str
    who: str
    how: str


_REGISTRATION = "{portal} > App registrations > {app}"
_NOT_TRUSTED = Remedy(
    "The app registration does not trust the managed identity that signed the request.",
    "owner of the app registration",
    f"{_REGISTRATION} > Certificates & secrets > Federated credentials: add the managed identity {{identity}} by"
    " its object (principal) id, with audience {audience}.",
)

REMEDIES: dict[str, Remedy] = {
    "AADSTS7000215": Remedy(
        "The client secret is wrong; often the secret's id was stored instead of its value.",
        "owner of the app registration",
        f"Create a client secret ({_REGISTRATION} > Certificates & secrets) and store its value as a new version of"
        " {credential} in {vault}. The app picks it up by itself.",
    ),
    "AADSTS7000222": Remedy(
        "The client secret has expired.",
        "owner of the app registration",
        f"Create a client secret ({_REGISTRATION} > Certificates & secrets) and store its value as a new version of"
        " {credential} in {vault}. The app picks it up by itself.",
    ),
    "AADSTS700027": Remedy(
        "Entra does not know the certificate that signed the request.",
        "owner of the app registration",
        f"Upload the public half of {{credential}} in {{vault}} to {_REGISTRATION} > Certificates & secrets.",
    ),
    "AADSTS700016": Remedy(
        "The app is not known in this tenant.",
        "operator",
        "Correct GRAPH_CLIENT_ID ({app}) or GRAPH_TENANT_ID ({tenant}); in another organisation's tenant its"
        " administrator first consents at {consent_url}",
    ),
    "AADSTS7000112": Remedy(
        "The app is disabled in this tenant.",
        "administrator of the tenant",
        "{portal} > Enterprise applications > {app} > Properties: enable it for sign-in.",
    ),
    "AADSTS90002": Remedy(
        "There is no such tenant in this cloud.",
        "operator",
        "Correct GRAPH_TENANT_ID ({tenant}), or GRAPH_CLOUD ({cloud}).",
    ),
    # Issuer, audience or subject of the federated credential differ; which of the three does not change what to do.
    **dict.fromkeys(("AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS700213"), _NOT_TRUSTED),
    "AADSTS53003": Remedy(
        "A Conditional Access policy for workload identities blocks the app.",
        "Conditional Access administrator",
        "Admit the app {app}, or where it runs, in the policy.",
    ),
    "AADSTS500011": Remedy(
        "The API that the token is for is not known in this tenant.",
        "operator",
        "Correct GRAPH_CLOUD ({cloud}), or the scope.",
    ),
    "Authorization_RequestDenied": Remedy(
        "The app has a token, but no permission to read users: admin consent is missing.",
        "Privileged Role Administrator or Global Administrator",
        "Add the application permission User.Read.All to the app and grant admin consent at {consent_url} ; a token"
        " acquired before then does not have it, and lives for up to 90 minutes.",
    ),
    "ForbiddenByRbac": Remedy(
        "The identity has no right to read secrets in the vault.",
        "owner of the vault",
        "Give the identity {identity} the role Key Vault Secrets User on {vault}; it takes effect within minutes.",
    ),
    "ForbiddenByFirewall": Remedy(
        "The vault's firewall does not admit the app.",
        "owner of the vault",
        "{vault}: admit the app's subnet or address under Networking, or give it a private endpoint. Functions are not"
        " a trusted service.",
    ),
    "SecretNotFound": Remedy(
        "The vault has no secret or certificate of this name.",
        "operator",
        "Create {credential} in {vault}, or correct KEY_VAULT_SECRET_NAME or KEY_VAULT_CERTIFICATE_NAME.",
    ),
    "SecretDisabled": Remedy(
        "The current version of the secret is disabled.",
        "owner of the vault",
        "Enable the current version of {credential} in {vault}, or add a new version.",
    ),
}
"""By the service's code."""

_NOT_GRANTED = Remedy(
    "The managed identity has a token, but no permission to read users.",
    "Privileged Role Administrator or Global Administrator",
    "Assign the application permission User.Read.All of Microsoft Graph to the managed identity {identity}, for which"
    " there is no consent page; a token acquired before then does not have it, and lives for up to a day.",
)


def facts(settings: Settings) -> dict[str, str]:
    """What a remedy can name of the app at hand: its ids and addresses, no secrets."""
    cloud, tenant, app = settings.cloud, settings.graph_tenant_id, settings.graph_client_id
    certificate = settings.graph_credential == "certificate"
    return {
        "portal": cloud.portal,
        "cloud": settings.graph_cloud,
        "tenant": tenant,
        "app": app,
        "identity": settings.azure_client_id or "(system-assigned)",
        "audience": cloud.exchange_audience,
        "vault": settings.key_vault_url,
        "credential": settings.key_vault_certificate_name if certificate else settings.key_vault_secret_name,
        "consent_url": consent_url(cloud.authority, tenant, app),
    }


def consent_url(authority: str, tenant: str, app: str) -> str:
    """Where an administrator consents to what the app registration asks for.

    https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#request-the-permissions-from-a-directory-admin
    """
    return f"{authority}/{tenant}/adminconsent?client_id={app}"


def advice(error: EntraUsersError, known: Mapping[str, str]) -> str:
    """What to do about an error, in one paragraph; empty where its own message says all there is."""
    remedy = REMEDIES.get(error.code or "")
    if error.code == "Authorization_RequestDenied" and not known["app"]:
        remedy = _NOT_GRANTED
    if remedy is None:
        return ""
    return f"{remedy.meaning} To do ({remedy.who}): {remedy.how.format_map(known)}"


def parameters_facts(authority: str, app: str) -> dict[str, str]:
    """As `facts`, for the quickstart's parameters file."""
    address = urlsplit(authority)
    tenant = address.path.strip("/").partition("/")[0]
    return {
        "portal": "https://entra.microsoft.com",
        "cloud": str(address.hostname),
        "tenant": tenant,
        "app": app,
        "identity": "",
        "audience": "",
        "vault": "the parameters file",
        "credential": "the credential",
        "consent_url": consent_url(f"https://{address.netloc}", tenant, app),
    }
