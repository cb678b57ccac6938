"""Certificates: the simulator's own authority for TLS, and client certificates for app registrations."""

import datetime as dt
import functools
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import pkcs12


class CertificateAuthority:
    """The authority that signs every simulated host's TLS certificate; its files live in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA(organization_name="Azure simulator")
        self.bundle = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.bundle)

    def server_context(self, hosts: Iterable[str]) -> ssl.SSLContext:
        """A TLS context for a server that answers under all of `hosts`; wildcards are allowed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*hosts).configure_cert(context)  # pyright: ignore[reportUnknownMemberType] -- pyOpenSSL's type
        return context

    def issue(self, host: str) -> tuple[Path, Path]:
        """Paths of the PEM certificate chain and the PEM private key for a server of your own under `host`."""
        name = host.replace("*", "any")
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        if not certificate.exists():
            issued = self._authority.issue_cert(host)
            issued.private_key_pem.write_to_path(key)
            for place, blob in enumerate(issued.cert_chain_pems):
                blob.write_to_path(certificate, append=place > 0)
        return certificate, key


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A self-signed certificate with its RSA key, as Key Vault makes it for an app registration."""

    key: RSAPrivateKey
    certificate: x509.Certificate

    @property
    def expires_on(self) -> dt.datetime:
        """When the certificate ends, in UTC."""
        return self.certificate.not_valid_after_utc

    def thumbprint(self, algorithm: hashes.HashAlgorithm) -> bytes:
        """The digest of the DER form, which `x5t` (SHA-1) and `x5t#S256` (SHA-256) name the certificate by."""
        return self.certificate.fingerprint(algorithm)

    def pkcs12(self) -> bytes:
        """The PKCS#12 form without a password."""
        return pkcs12.serialize_key_and_certificates(
            None, self.key, self.certificate, None, serialization.NoEncryption()
        )

    def key_pem(self) -> str:
        """The private key as PKCS#8 PEM text."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def certificate_pem(self) -> str:
        """The certificate as PEM text."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


@functools.cache
def rsa_key(name: str) -> RSAPrivateKey:
    """The RSA key called `name`, made once per process, because making one takes a tenth of a second."""
    del name
    return generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def client_certificate(name: str, *, days: float = 365) -> ClientCertificate:
    """The certificate called `name`, made once per process, which ends in `days` from now (negative: it has ended)."""
    key = rsa_key(name)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    end = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=400))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return ClientCertificate(key=key, certificate=certificate)
