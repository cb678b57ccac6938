"""Who the app is on Azure: its managed identity, or on a developer's machine the developer's own sign-in.

The only module that knows azure-identity, which is slow to import: it is loaded at the first use.
"""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entra_users.errors import IdentityError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken as AzureToken
    from azure.core.credentials import TokenCredential

# Its warnings say again what the error says, and quote answers that are cut short, a token's beginning among them.
logging.getLogger("azure.identity").setLevel(logging.CRITICAL)

# A dead identity endpoint should be told within seconds; a busy one answers on the second or third try.
_RETRIES: dict[str, Any] = {"retry_total": 3, "connection_timeout": 5, "read_timeout": 15}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A bearer token and when it expires, in seconds since 1970; its repr does not hold the token."""

    value: str = field(repr=False)
    expires_on: float


def azure_credential(client_id: str) -> "TokenCredential":
    """What Key Vault and storage are reached with: the managed identity on Azure, the developer's sign-in elsewhere.

    `client_id` names a user-assigned identity; an empty one means the system-assigned.
    https://learn.microsoft.com/en-us/python/api/azure-identity/azure.identity.defaultazurecredential
    """
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 -- lazy: 0.15 s of imports

    return _Named(DefaultAzureCredential(managed_identity_client_id=client_id or None, **_RETRIES))


def managed_identity(client_id: str) -> "TokenCredential":
    """The managed identity alone: never a developer's own rights, which are another user's and too many."""
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 -- lazy: 0.15 s of imports

    return ManagedIdentityCredential(client_id=client_id or None, **_RETRIES)


class _Named:
    """A credential whose failures are ours: told as the identity's, and not as those of what it was to open."""

    def __init__(self, credential: "TokenCredential") -> None:
        self._credential = credential

    def get_token(self, *scopes: str, **options: Any) -> "AzureToken":
        from azure.core.credentials import AccessToken as AzureToken  # noqa: PLC0415 -- lazy, as above

        token = identity_token(self._credential, *scopes, **options)
        return AzureToken(token.value, int(token.expires_on))


def identity_token(credential: "TokenCredential", scope: str, **options: Any) -> AccessToken:
    """A token for `scope`, which ends in `/.default`; `options` are those of azure-identity.

    Raises:
        IdentityError: there is no identity here, or it was refused.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415 -- lazy, as above

    try:
        token = credential.get_token(scope, **options)
    except (AzureError, ValueError) as error:  # the latter where the endpoint answers with what is not JSON
        # Where an answer was cut short, the SDK's error quotes what came of the token.
        raise IdentityError(f"The managed identity gave no token for {scope}: {first_line(error)}") from None
    return AccessToken(value=token.token, expires_on=token.expires_on)


def first_line(error: Exception) -> str:
    """The first line of an SDK's message, as a sentence; the rest is advice for the SDK's own users."""
    line = str(error).strip().partition("\n")[0].strip()
    return line if line.endswith(".") else f"{line}."
