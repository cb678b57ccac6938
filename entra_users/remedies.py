"""From an error to what to do about it, and by whom; docs/errors.md holds the same table.

A remedy is found by the service's own code, and failing that by the class of the error.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from entra_users.clouds import CLOUDS, Cloud
from entra_users.errors import EntraUsersError, RequestError, StoreError, VaultError
from entra_users.remedies_app import CONCERNS, ERRORS
from entra_users.remedies_azure import GRAPH, NOT_GRANTED, STORAGE, VAULT
from entra_users.remedies_entra import ENTRA
from entra_users.remedy import CALLER, Remedy
from entra_users.settings import Settings

REMEDIES: dict[str, Remedy] = ENTRA | GRAPH | VAULT | STORAGE | CONCERNS
"""By the service's code, or the app's own."""

_OF_GROUP: tuple[tuple[type[EntraUsersError], dict[str, Remedy]], ...] = (
    (RequestError, GRAPH),
    (VaultError, VAULT),
    (StoreError, STORAGE | CONCERNS),
)

_CONSENT = (
    GRAPH["Authorization_RequestDenied"],
    GRAPH["Authentication_MSGraphPermissionMissing"],
    ERRORS["AccessDenied"],
)


def facts(settings: Settings) -> dict[str, str]:
    """What a remedy can name of the app at hand: its ids and addresses, no secrets."""
    certificate = settings.graph_credential == "certificate"
    credential = settings.key_vault_certificate_name if certificate else settings.key_vault_secret_name
    kind, vault = "certificate" if certificate else "secret", settings.key_vault_url
    return {
        **_registration(settings.cloud, settings.graph_tenant_id, settings.graph_client_id),
        "cloud": settings.graph_cloud,
        "graph": settings.cloud.graph,
        "identity": settings.azure_client_id or "SYSTEM_ASSIGNED_IDENTITY",
        "audience": settings.cloud.exchange_audience,
        "vault": vault,
        "vault_name": (urlsplit(vault).hostname or "").partition(".")[0],
        "kind": kind,
        "credential": credential,
        "credential_place": f"the {kind} {credential} in {vault}",
        "store": settings.users_store,
    }


def parameters_facts(authority: str, app: str) -> dict[str, str]:
    """As `facts`, for the quickstart's parameters file."""
    address = urlsplit(authority)
    root, tenant = f"https://{address.netloc}", address.path.strip("/").partition("/")[0]
    name, cloud = next((pair for pair in CLOUDS.items() if pair[1].authority == root), ("global", CLOUDS["global"]))
    return {
        **_registration(cloud, tenant, app),
        "consent_url": consent_url(root, tenant, app),
        "cloud": name,
        "graph": cloud.graph,
        "identity": "",
        "audience": cloud.exchange_audience,
        "vault": "",
        "vault_name": "",
        "kind": "credential",
        "credential": "",
        "credential_place": "the credential in the parameters file",
        "store": "",
    }


def _registration(cloud: Cloud, tenant: str, app: str) -> dict[str, str]:
    page = f"{cloud.portal}/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/{{}}/appId/{app}"
    # An app without a registration is its managed identity.
    none = f"{cloud.portal} , Enterprise applications, Managed identities"
    return {
        "portal": cloud.portal,
        "tenant": tenant,
        "app": app,
        "issuer": f"{cloud.authority}/{tenant}/v2.0",
        "consent_url": consent_url(cloud.authority, tenant, app),
        "overview_page": page.format("Overview") if app else none,
        "credentials_page": page.format("Credentials") if app else none,
        "permissions_page": page.format("CallAnAPI") if app else none,
    }


def consent_url(authority: str, tenant: str, app: str) -> str:
    """Where an administrator consents to what the app registration asks for.

    https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#request-the-permissions-from-a-directory-admin
    """
    return f"{authority}/{tenant}/adminconsent?client_id={app}"


def advice(error: EntraUsersError, known: Mapping[str, str]) -> str:
    """What an error means and what to do about it, in one paragraph.

    Empty for an error of the caller's own making that came without a service's code: its message says it all.
    """
    remedy = remedy_for(error, known)
    if remedy.who == CALLER and _by_code(error) is None:
        return ""
    return f"{remedy.meaning} To do ({remedy.who}): {remedy.how}"


def remedy_for(error: EntraUsersError, known: Mapping[str, str]) -> Remedy:
    """The remedy for an error, with the facts of the app at hand in it."""
    # A class that has no remedy has that of its nearest parent.
    by_class = (ERRORS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in ERRORS)
    return _filled(_by_code(error) or next(by_class), known)


def remedy_named(name: str, known: Mapping[str, str]) -> Remedy:
    """The same for what the check warns of, or a class of errors by its name; any other name is told as any error."""
    return _filled(CONCERNS.get(name) or ERRORS.get(name, ERRORS[EntraUsersError.__name__]), known)


def _by_code(error: EntraUsersError) -> Remedy | None:
    # The same code means different things to different services.
    table = next((table for group, table in _OF_GROUP if isinstance(error, group)), REMEDIES)
    return table.get(error.code or "")


def _filled(remedy: Remedy, known: Mapping[str, str]) -> Remedy:
    if remedy in _CONSENT and not known["app"]:
        remedy = NOT_GRANTED
    return remedy._replace(how=remedy.how.format_map(known))
