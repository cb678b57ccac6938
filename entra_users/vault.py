"""A secret, or a certificate with its private key, from Key Vault; kept in memory only.

The only module that knows azure-keyvault-secrets. A certificate is read through the secrets API, since the
certificates API gives only its public half:
https://learn.microsoft.com/en-us/azure/key-vault/certificates/how-to-export-certificate
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from entra_users.errors import Unavailable, VaultError
from entra_users.identity import first_line

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSecret:
    """One version of a secret; its repr does not hold the value."""

    value: str = field(repr=False)
    content_type: str
    version: str
    expires_on: datetime | None
    """When the vault says that it expires (aware UTC); Key Vault itself goes on serving it."""


def read_secret(
    vault_url: str, name: str, credential: "Callable[[], TokenCredential]", *, retries: int = 4
) -> VaultSecret:
    """Read the current version of a secret, or of a certificate with its private key.

    Args:
        vault_url: the vault's address.
        name: of the secret or certificate.
        credential: gives what to reach the vault with; only called here, so that nothing is imported before.
        retries: how often what may pass is tried again; the four take 11 seconds together.

    Raises:
        VaultError: not reachable, not found, disabled, or no right to read it.
        IdentityError: there is no identity to read it with.
        Unavailable: the vault is throttled or has trouble of its own; another try may succeed.
    """
    # Lazy: these imports take longer than the read.
    from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415
    from azure.keyvault.secrets import SecretClient  # noqa: PLC0415

    try:
        with SecretClient(
            vault_url, credential(), retry_total=retries, connection_timeout=5, read_timeout=15
        ) as client:
            secret = client.get_secret(name)
    except HttpResponseError as error:
        status = error.status_code or 0
        kind = Unavailable if status == 429 or status >= 500 else VaultError
        raise kind(
            f"Key Vault {vault_url} did not give {name!r}: {first_line(error)}",
            status=error.status_code,
            code=_code(error),
        ) from None  # where an answer was cut short, the SDK's error quotes what came of the secret
    except (AzureError, ValueError) as error:  # the latter where what answers is no vault of this address
        raise VaultError(f"Key Vault {vault_url} could not be asked for {name!r}: {first_line(error)}") from None
    return VaultSecret(
        value=secret.value or "",
        content_type=secret.properties.content_type or "",
        version=secret.properties.version or "",
        expires_on=secret.properties.expires_on,
    )


def _code(error: "HttpResponseError") -> str | None:
    """The most telling of the codes in Key Vault's error: `{"error": {"code", "innererror": {"code"}}}`."""
    inner: dict[str, str] = getattr(error.error, "innererror", None) or {}
    return inner.get("code") or getattr(error.error, "code", None)
