"""The app's secret or certificate: made, registered on the app, and kept in the vault, each only where it is missing.

Running it again renews what expires within 30 days. The old one stays valid until it expires, so that workers that
still hold it go on.
"""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azcli import AzError, az, rest

RENEW_WITHIN = timedelta(days=30)
SECRET_LIFE = timedelta(days=180)
CERTIFICATE_MONTHS = 12
VAULT_API = "2024-11-01"


def provide_secret(environment: Mapping[str, str], now: datetime) -> str:
    """Make sure that the vault holds a client secret of this app; returns what was done.

    Both ends go through Azure Resource Manager, so that neither a role on the vault nor a way through its firewall
    is needed: https://learn.microsoft.com/en-us/azure/templates/microsoft.keyvault/vaults/secrets
    """
    client, name = environment["GRAPH_CLIENT_ID"], environment["KEY_VAULT_SECRET_NAME"]
    url = f"{environment['KEY_VAULT_ID']}/secrets/{name}?api-version={VAULT_API}"
    kept = _kept_secret(url)
    expires = datetime.fromtimestamp(kept["properties"]["attributes"].get("exp", 0), UTC) if kept else now
    if kept and kept.get("tags", {}).get("clientId") == client and expires - now > RENEW_WITHIN:
        return f"The vault holds a secret that is valid until {expires:%Y-%m-%d}."
    expires = (now + SECRET_LIFE).replace(microsecond=0)
    made = az(
        *("ad", "app", "credential", "reset", "--id", client, "--append"),
        *("--display-name", f"key vault {now:%Y-%m-%d}", "--end-date", expires.isoformat()),
    )
    attributes = {"enabled": True, "exp": int(expires.timestamp())}
    properties = {"value": made["password"], "contentType": "client secret", "attributes": attributes}
    rest("put", url, {"properties": properties, "tags": {"clientId": client}})
    return f"A new secret is in the vault, valid until {expires:%Y-%m-%d}."


def _kept_secret(url: str) -> dict[str, Any] | None:
    """What the vault has, never with its value: Azure Resource Manager does not give it."""
    try:
        return rest("get", url)
    except AzError as error:
        if not error.not_found:
            raise
        return None


def provide_certificate(environment: Mapping[str, str], now: datetime) -> str:
    """Make sure that the vault holds a certificate with its key; returns what was done.

    The key is made in the vault. It must be exportable, since the app signs with it in memory.
    """
    vault, name = environment["KEY_VAULT_NAME"], environment["KEY_VAULT_CERTIFICATE_NAME"]
    at = ("--vault-name", vault, "--name", name)
    try:
        expires = datetime.fromisoformat(az("keyvault", "certificate", "show", *at)["attributes"]["expires"])
    except AzError as error:
        if not error.not_found:
            raise
        expires = now
    if expires - now > RENEW_WITHIN:
        return f"The vault holds a certificate that is valid until {expires:%Y-%m-%d}."
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder, "policy.json")
        policy.write_text(json.dumps(_policy(environment["AZURE_FUNCTION_NAME"])), encoding="utf-8")
        az("keyvault", "certificate", "create", *at, "--policy", f"@{policy}")
    return "A new certificate is in the vault."


def register_certificate(environment: Mapping[str, str]) -> str:
    """Make sure that the app trusts the vault's current certificate; returns what was done."""
    vault, name = environment["KEY_VAULT_NAME"], environment["KEY_VAULT_CERTIFICATE_NAME"]
    client = environment["GRAPH_CLIENT_ID"]
    version = az("keyvault", "certificate", "show", "--vault-name", vault, "--name", name)["id"].rsplit("/", 1)[1]
    label = f"key vault {version}"
    if label in [known["displayName"] for known in az("ad", "app", "credential", "list", "--id", client, "--cert")]:
        return "The app trusts the vault's certificate."
    az(
        *("ad", "app", "credential", "reset", "--id", client, "--append"),
        *("--keyvault", vault, "--cert", name, "--display-name", label),
    )
    return "The app now trusts the vault's certificate."


def _policy(subject: str) -> dict[str, Any]:
    """How the vault makes the certificate: https://learn.microsoft.com/en-us/azure/key-vault/certificates/about-certificates"""
    return {
        "issuerParameters": {"name": "Self"},
        "keyProperties": {"exportable": True, "keyType": "RSA", "keySize": 2048, "reuseKey": False},
        "secretProperties": {"contentType": "application/x-pkcs12"},
        "x509CertificateProperties": {
            "subject": f"CN={subject}",
            "validityInMonths": CERTIFICATE_MONTHS,
            "keyUsage": ["digitalSignature"],
        },
        # No automatic renewal: the app registration would not know the new certificate.
        "lifetimeActions": [
            {"trigger": {"daysBeforeExpiry": RENEW_WITHIN.days}, "action": {"actionType": "EmailContacts"}}
        ],
    }
