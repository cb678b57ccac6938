"""Certificates as Key Vault keeps them, read in memory only."""

import base64
import datetime as dt
import traceback

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given
from hypothesis import strategies as st

from entra_users.certificates import PEM, PKCS12, ClientCertificate, client_certificate, is_private_key
from entra_users.errors import VaultError
from simulator import client_certificate as made

OURS = made("entra-users")
OTHER = made("another")
WHOLE = ClientCertificate(
    private_key=OURS.key_pem(), public_certificate=OURS.certificate_pem(), expires_on=OURS.expires_on
)


def bundle(**changed: object) -> str:
    parts = {"name": None, "key": OURS.key, "cert": OURS.certificate, "cas": None} | changed
    encryption = parts.pop("encryption_algorithm", serialization.NoEncryption())
    return base64.b64encode(
        pkcs12.serialize_key_and_certificates(**parts, encryption_algorithm=encryption)  # type: ignore[arg-type]
    ).decode()


def encrypted_pem() -> str:
    return OURS.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    ).decode()


def elliptic() -> tuple[str, x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "elliptic")])
    now = dt.datetime.now(dt.UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    return pem.decode(), certificate, key


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        (bundle(), PKCS12),
        (bundle(cas=[OTHER.certificate]), PKCS12),
        (OURS.key_pem() + OURS.certificate_pem(), PEM),
        (OURS.certificate_pem() + OURS.key_pem(), PEM),
        # MSAL signs in the name of the first: a chain may come before the app's own certificate.
        (OTHER.certificate_pem() + OURS.certificate_pem() + OURS.key_pem(), PEM),
    ],
)
def test_key_and_certificate_are_read_from_either_form(value: str, content_type: str) -> None:
    assert client_certificate(value, content_type) == WHOLE


@pytest.mark.parametrize(
    ("value", "content_type", "told"),
    [
        ("a secret", "", "holds 'no content type' under the certificate's name"),
        ("a secret", "text/plain", "holds 'text/plain' under the certificate's name"),
        ("not base64!", PKCS12, "could not be read as application/x-pkcs12"),
        (bundle()[:-400], PKCS12, "could not be read as application/x-pkcs12"),
        (bundle(encryption_algorithm=serialization.BestAvailableEncryption(b"x")), PKCS12, "could not be read as"),
        ("", PEM, "could not be read as application/x-pem-file"),
        (OURS.key_pem()[:-100], PEM, "could not be read as application/x-pem-file"),
        (OURS.key_pem(), PEM, "could not be read as application/x-pem-file"),
        (OURS.certificate_pem(), PEM, "its policy does not let the private key be exported"),
        (encrypted_pem() + OURS.certificate_pem(), PEM, "has a password, which Key Vault does not keep"),
        (bundle(key=None), PKCS12, "came without an RSA private key of its own"),
        (OURS.key_pem() + OTHER.certificate_pem(), PEM, "came without an RSA private key of its own"),
        (bundle(cert=None, key=OURS.key), PKCS12, "came without an RSA private key of its own"),
        (elliptic()[0], PEM, "its key is of another kind"),
    ],
)
def test_anything_else_is_refused_with_what_to_do_and_without_what_was_read(
    value: str, content_type: str, told: str
) -> None:
    with pytest.raises(VaultError) as caught:
        client_certificate(value, content_type)
    assert told in str(caught.value)
    whole = "".join(traceback.format_exception(caught.value))
    assert not any(line in whole for line in value.splitlines() if len(line) > 40)


def test_the_repr_holds_neither_key_nor_certificate() -> None:
    assert repr(WHOLE) == f"ClientCertificate(expires_on={OURS.expires_on!r})"


@given(st.text(), st.sampled_from([PKCS12, PEM, "text/plain"]))
def test_no_text_is_an_error_of_another_kind(value: str, content_type: str) -> None:
    with pytest.raises(VaultError):
        client_certificate(value, content_type)


@pytest.mark.parametrize(
    ("pem", "usable"),
    [
        (OURS.key_pem(), True),
        (OURS.certificate_pem() + OURS.key_pem(), True),
        (encrypted_pem(), False),
        (elliptic()[0], False),
        (OURS.certificate_pem(), False),
        ("", False),
    ],
)
def test_only_an_rsa_key_without_a_password_can_sign(pem: str, usable: bool) -> None:
    assert is_private_key(pem) == usable
