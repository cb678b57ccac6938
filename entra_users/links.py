"""The links from the settings to Graph, each checked by using it the way the app does."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from entra_users.certificates import client_certificate
from entra_users.connection import connect_store, token_source
from entra_users.delta import latest_link
from entra_users.errors import AccessDenied, BadQuery, NotFound
from entra_users.graph import Graph
from entra_users.identity import AccessToken, azure_credential, identity_token, managed_identity
from entra_users.partitions import Partition, count_users
from entra_users.settings import Settings
from entra_users.store import Store
from entra_users.tokens import Tokens
from entra_users.users import read_users, users_url
from entra_users.vault import read_secret

_USERS = "User.Read.All"
# https://learn.microsoft.com/en-us/graph/api/user-list#permissions
_READ_USERS = {_USERS, "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
# https://learn.microsoft.com/en-us/graph/api/resources/user#properties
_OF_PROPERTY = {
    "customSecurityAttributes": ("CustomSecAttributeAssignment.Read.All", "CustomSecAttributeAssignment.ReadWrite.All"),
    "employeeLeaveDateTime": ("User-LifeCycleInfo.Read.All", "User-LifeCycleInfo.ReadWrite.All"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding[T]:
    """A link that holds: what the next one needs of it, and what was seen, for people."""

    value: T
    found: str
    concern: str = ""
    """Why it holds only just: what `remedies.remedy_named` knows."""


def read_settings(settings: Settings) -> Finding[Store]:
    """The settings were read; the store's address is one.

    Raises:
        SettingsError: it is not.
    """
    store = connect_store(settings)
    found = f"{len(settings.users_select)} properties of each user; the store is {settings.users_store}"
    return Finding(value=store, found=found)


def reach_identity(settings: Settings) -> Finding[Settings]:
    """The identity gives a token for what the credential mode needs it for; where there is a vault, for the vault.

    Raises:
        IdentityError: it does not.
    """
    mode, client_id, whose = settings.graph_credential, settings.azure_client_id, _identity(settings)
    if mode in ("secret", "certificate"):
        scope, credential = f"https://{settings.cloud.vault_suffix[1:]}/.default", azure_credential(client_id)
        whose = f"{_identity(settings)}, or this machine's own sign-in,"
    elif mode == "federated":
        scope, credential = f"{settings.cloud.exchange_audience}/.default", managed_identity(client_id)
    else:
        scope, credential = settings.cloud.graph_scope, managed_identity(client_id)
    identity_token(credential, scope)
    return Finding(value=settings, found=f"{whose} gave a token for {scope}")


def read_credential(settings: Settings, now: datetime) -> Finding[Settings]:
    """The vault gives the secret, or the certificate with its key; a date that is near is a concern.

    Raises:
        VaultError: it does not, or what it gives cannot be used.
        Unavailable: the vault has trouble of its own.
    """
    certificate = settings.graph_credential == "certificate"
    name = settings.key_vault_certificate_name if certificate else settings.key_vault_secret_name
    secret = read_secret(settings.key_vault_url, name, partial(azure_credential, settings.azure_client_id), retries=1)
    expires = client_certificate(secret.value, secret.content_type).expires_on if certificate else secret.expires_on
    found = f"{settings.graph_credential} {name!r} of {settings.key_vault_url}"
    if expires is None:
        return Finding(value=settings, found=f"{found} has no expiry date in the vault, so that nothing warns of it")
    days = (expires - now).days
    found += f" expires in {days:,} days" if days >= 0 else f" expired on {expires:%Y-%m-%d}"
    concern = "credentialExpires" if days < settings.credential_warn_days else ""
    return Finding(value=settings, found=found, concern=concern)


def acquire_token(settings: Settings, now: datetime) -> Finding[AccessToken]:
    """A token for Graph, from Entra or the managed identity and never from a cache.

    Raises:
        CredentialError: it was refused.
        Unavailable: there was no proper answer.
    """
    token = token_source(settings).acquire()
    by = {
        "secret": f"secret {settings.key_vault_secret_name!r}",
        "certificate": f"certificate {settings.key_vault_certificate_name!r}",
        "federated": f"a federated credential of {_identity(settings)}",
        "managed-identity": _identity(settings),
    }[settings.graph_credential]
    whose = f", for app {settings.graph_client_id} in tenant {settings.graph_tenant_id}"
    minutes = (token.expires_on - now.timestamp()) / 60
    found = f"acquired by {by}{whose if settings.graph_client_id else ''}; valid for {minutes:.0f} minutes"
    return Finding(value=token, found=found)


def read_permissions(settings: Settings, token: AccessToken) -> Finding[AccessToken]:
    """The application permissions in the token are those that the app needs, and no more.

    Microsoft lets nobody rely on what is in a token for Graph, so one that cannot be read is no failure: whether users
    can be read is for the next link to say. https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens

    Raises:
        AccessDenied: one is missing.
    """
    roles = granted(token.value)
    if roles is None:
        return Finding(value=token, found="unknown: Microsoft has made this token unreadable for apps")
    held = ", ".join(sorted(roles)) or "none"
    if not roles & _READ_USERS:
        raise AccessDenied(
            f"The token has no permission to read users ({_USERS}); it has: {held}.", code="Authorization_RequestDenied"
        )
    needed = {_USERS}
    for name in settings.users_select:
        if enough := _OF_PROPERTY.get(name):
            if not roles.intersection(enough):
                raise AccessDenied(
                    f"The token has no permission to read {name} ({enough[0]}); it has: {held}.",
                    code="Authentication_MSGraphPermissionMissing",
                )
            needed.add(enough[0])
    more = ", ".join(sorted(roles - needed))
    if more:
        return Finding(value=token, found=f"more than is needed: {more}", concern="tooManyPermissions")
    return Finding(value=token, found=held)


def granted(token: str) -> frozenset[str] | None:
    """The application permissions in a token; None for a token that cannot be read."""
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (IndexError, ValueError, binascii.Error):
        return None
    return frozenset(claims.roles)


class _Claims(msgspec.Struct):
    roles: list[str] = []


def read_one_user(settings: Settings, token: AccessToken, budget: float) -> Finding[Graph]:
    """Graph gives a user with every property of USERS_SELECT; nothing of it is shown.

    Raises:
        EntraUsersError: as `read_users`.
    """
    graph = Graph(settings.cloud.graph, Tokens(_Held(token)), budget=budget)
    # A page may be empty though others follow.
    pages = read_users(graph, f"{graph.root}/v1.0/users?$select={','.join(settings.users_select)}&$top=1")
    if not any(pages):
        return Finding(value=graph, found=f"{graph.root} gave none", concern="noUsers")
    return Finding(value=graph, found=f"{graph.root} gave one, with {len(settings.users_select)} properties asked for")


def count(graph: Graph) -> Finding[None]:
    """Graph counts users, so that a read can be held against its count.

    Raises:
        EntraUsersError: as `count_users`, but for a tenant without advanced queries.
    """
    try:
        return Finding(value=None, found=f"{count_users(graph):,} users")
    except (BadQuery, NotFound) as error:
        return Finding(value=None, found=str(error), concern="cannotCount")


def read_changes(settings: Settings, graph: Graph) -> Finding[None]:
    """Graph tells changes, so that a run need not read everyone.

    Raises:
        EntraUsersError: as `latest_link`, but for a tenant without delta queries.
    """
    try:
        latest_link(graph, settings.users_select)
    except BadQuery as error:
        return Finding(value=None, found=str(error), concern="noDelta")
    return Finding(value=None, found="Graph gave a delta link")


def query_advanced(graph: Graph) -> Finding[None]:
    """Graph takes the advanced query that a large directory is split by.

    Raises:
        EntraUsersError: as `Graph.page`, but for a tenant without advanced queries.
    """
    undated = Partition(number=0, undated=True)
    try:
        graph.page(
            users_url(graph.root, ["id"], where=undated.where, advanced=True), headers={"ConsistencyLevel": "eventual"}
        )
    except BadQuery as error:
        return Finding(value=None, found=str(error), concern="noAdvancedQueries")
    return Finding(value=None, found="Graph took one by createdDateTime")


class _Held:
    """The one token that a check uses throughout: if Graph refuses it, another of the same making would not help."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    def acquire(self) -> AccessToken:
        return self._token


def _identity(settings: Settings) -> str:
    return f"managed identity {settings.azure_client_id or '(system-assigned)'}"
