"""A certificate with its private key, from the two forms in which Key Vault keeps one."""

import base64
from dataclasses import dataclass, field
from datetime import datetime

from entra_users.errors import VaultError

PKCS12 = "application/x-pkcs12"
PEM = "application/x-pem-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """Private key and certificate as PEM; its repr holds neither."""

    private_key: str = field(repr=False)
    public_certificate: str = field(repr=False)
    expires_on: datetime
    """Aware UTC."""


def client_certificate(value: str, content_type: str) -> ClientCertificate:
    """Read what Key Vault keeps for a certificate: PKCS#12 in base64 without a password, or PEM with key and chain.

    https://learn.microsoft.com/en-us/azure/key-vault/certificates/how-to-export-certificate

    Raises:
        VaultError: it is neither, or it holds no private key because its policy says it is not exportable.
    """
    # Lazy: only the certificate mode needs cryptography, which is slow to import.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: PLC0415

    try:
        if content_type == PKCS12:
            bundle = pkcs12.load_pkcs12(base64.b64decode(value, validate=True), None)
            key, certificates = bundle.key, [bundle.cert.certificate] if bundle.cert else []
        elif content_type == PEM:
            key = serialization.load_pem_private_key(value.encode(), None)
            certificates = x509.load_pem_x509_certificates(value.encode())
        else:
            raise VaultError(
                f"Key Vault holds {content_type or 'no content type'!r} under the certificate's name, and a certificate"
                f" with its key is {PKCS12} or {PEM}. Name a Key Vault certificate in KEY_VAULT_CERTIFICATE_NAME."
            )
    except ValueError:
        # Without the parser's own error, which could quote what it read.
        raise VaultError(
            f"Key Vault's certificate could not be read as {content_type}: it is cut short, has a password, or its"
            " policy does not let the private key be exported. Create it with an exportable key, without a password."
        ) from None
    except TypeError:
        raise VaultError(
            "Key Vault's certificate has a password, which Key Vault does not keep. Import it without one."
        ) from None
    # MSAL signs with the leaf, which the chain may precede.
    leaf = next((each for each in certificates if key and each.public_key() == key.public_key()), None)
    if not isinstance(key, RSAPrivateKey) or leaf is None:
        raise VaultError(
            "Key Vault's certificate came without an RSA private key of its own: its key is of another kind, or its"
            " policy does not let it be exported. Create it with an exportable RSA key, or use"
            " GRAPH_CREDENTIAL=federated, which needs no key at all."
        )
    return ClientCertificate(
        private_key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        public_certificate=leaf.public_bytes(serialization.Encoding.PEM).decode(),
        expires_on=leaf.not_valid_after_utc,
    )


def is_private_key(pem: str) -> bool:
    """Whether a text is an RSA private key in PEM that needs no password: what MSAL signs with."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- lazy, as above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415

    try:
        return isinstance(serialization.load_pem_private_key(pem.encode(), None), RSAPrivateKey)
    except (ValueError, TypeError):
        return False
