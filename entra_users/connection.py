"""From settings to Graph: which credential the app has, and what it is read from."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from entra_users.certificates import client_certificate
from entra_users.graph import Graph
from entra_users.identity import azure_credential, identity_token, managed_identity
from entra_users.settings import Settings
from entra_users.store import Store, open_store
from entra_users.tokens import AppRegistration, ClientCredential, IdentityTokens, Tokens, TokenSource
from entra_users.vault import read_secret

if TYPE_CHECKING:
    from entra_users.sync import Sync


def connect(settings: Settings, *, budget: float, background: bool = False) -> Graph:
    """Graph with the app's own identity; nothing is asked of anyone before the first request.

    Args:
        settings: which credential, tenant, app and cloud.
        budget: seconds that one Graph request may take, retries included.
        background: give way to other apps when Graph throttles the tenant.
    """
    # https://learn.microsoft.com/en-us/graph/throttling-limits#identity-and-access-service-limits
    priority = {"x-ms-throttle-priority": "low"} if background else {}
    return Graph(
        settings.cloud.graph,
        Tokens(token_source(settings)),
        budget=budget,
        connections=settings.sync_lanes,
        headers=priority,
    )


def token_source(settings: Settings) -> TokenSource:
    """Where Graph tokens come from in the credential mode of the settings."""
    if settings.graph_credential == "managed-identity":
        return IdentityTokens(settings.cloud.graph_scope, partial(managed_identity, settings.azure_client_id))
    return AppRegistration(
        client_id=settings.graph_client_id,
        authority=f"{settings.cloud.authority}/{settings.graph_tenant_id}",
        scopes=[settings.cloud.graph_scope],
        credential=_credential(settings),
        warn_days=settings.credential_warn_days,
    )


def _credential(settings: Settings) -> Callable[[], ClientCredential]:
    by_mode = {"secret": _vault_secret, "certificate": _vault_certificate, "federated": _assertion}
    return partial(by_mode[settings.graph_credential], settings)


def _vault_secret(settings: Settings) -> ClientCredential:
    name = settings.key_vault_secret_name
    secret = read_secret(settings.key_vault_url, name, partial(azure_credential, settings.azure_client_id))
    return ClientCredential(value=secret.value, name=f"secret {name!r}", expires_on=secret.expires_on)


def _vault_certificate(settings: Settings) -> ClientCredential:
    name = settings.key_vault_certificate_name
    secret = read_secret(settings.key_vault_url, name, partial(azure_credential, settings.azure_client_id))
    certificate = client_certificate(secret.value, secret.content_type)
    return ClientCredential(
        # Without a thumbprint MSAL signs with PS256 and names the certificate by its SHA-256:
        # https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials
        value={"private_key": certificate.private_key, "public_certificate": certificate.public_certificate},
        name=f"certificate {name!r}",
        expires_on=certificate.expires_on,
    )


def _assertion(settings: Settings) -> ClientCredential:
    identity = managed_identity(settings.azure_client_id)
    scope = f"{settings.cloud.exchange_audience}/.default"
    # https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    return ClientCredential(
        value={"client_assertion": lambda: identity_token(identity, scope).value},
        name=f"managed identity {settings.azure_client_id}",
    )


def connect_store(settings: Settings) -> Store:
    """The store of the settings; nothing is asked of it before the first use."""
    return open_store(settings.users_store, credential=partial(azure_credential, settings.azure_client_id))


def connect_sync(settings: Settings) -> "Sync":
    """What keeps the store of the settings equal to the directory of the settings."""
    from entra_users.sync import Options, Sync  # noqa: PLC0415 -- lazy: a live page needs none of it

    graph = connect(settings, budget=settings.sync_budget_seconds, background=True)
    options = Options(
        select=settings.users_select,
        lanes=settings.sync_lanes,
        partition_users=settings.sync_partition_users,
        count_tolerance=settings.sync_count_tolerance,
        max_shrink=settings.sync_max_shrink,
        full_days=settings.full_sync_days,
        formats=settings.snapshot_formats,
        keep=settings.snapshot_keep,
        changes_days=settings.changes_keep_days,
    )
    return Sync(graph, connect_store(settings), options)
