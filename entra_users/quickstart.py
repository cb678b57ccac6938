"""The parameters file of Microsoft's quickstart, taken as it is: any protected API, called with the app's own identity.

https://github.com/Azure-Samples/ms-identity-python-daemon (both samples: with a secret and with a certificate)
"""

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from entra_users.certificates import is_private_key
from entra_users.errors import SettingsError
from entra_users.graph import Graph
from entra_users.tokens import AppRegistration, ClientCredential, Tokens

_PLACEHOLDER = re.compile(r"Enter_the_|your_client_id|The secret generated|790E\.\.\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The file's content, checked."""

    authority: str | None
    oidc_authority: str | None
    client_id: str
    scope: tuple[str, ...]
    endpoint: str
    credential: ClientCredential

    @property
    def root(self) -> str:
        """Scheme and host of the endpoint."""
        return "/".join(self.endpoint.split("/", 3)[:3])


def read_parameters(path: Path) -> Parameters:
    """The parameters in a file: `authority` or `oidc_authority`, `client_id`, `scope`, `endpoint`, and a credential.

    The credential is `secret`, or `thumbprint` with `private_key_file` (PEM; a relative path counts from the current
    folder, as in the quickstart). An `oidc_authority` that still holds the quickstart's placeholder counts as null.

    Raises:
        SettingsError: with one sentence for everything that is missing or malformed.
    """
    try:
        # Some editors on Windows write a byte-order mark.
        parameters = msgspec.json.decode(path.read_bytes().removeprefix(BOM_UTF8), type=dict[str, Any])
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror}."]) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"{path} is not a JSON object: {error}."]) from None  # its text may hold the secret
    read = _Reader(parameters)
    authority, oidc_authority = read.address("authority"), read.address("oidc_authority")
    if oidc_authority and _PLACEHOLDER.search(oidc_authority):
        oidc_authority = None
    if not authority and not oidc_authority:
        read.fault("authority is missing: https://login.microsoftonline.com/ and the tenant's id or name")
    if authority and oidc_authority:
        read.fault("authority and oidc_authority are both given: set the one that is not used to null")
    scope = parameters.get("scope")
    given = cast("list[Any]", scope) if isinstance(scope, list) else [scope]
    scopes = [each for each in given if isinstance(each, str) and each]
    if scopes != given or not scopes:
        read.fault('scope must be a list such as ["https://graph.microsoft.com/.default"]')
    client_id, endpoint, credential = read.text("client_id"), read.address("endpoint"), _credential(read)
    if not endpoint:
        read.fault("endpoint is missing: https://graph.microsoft.com/v1.0/users, or another protected API's address")
    if read.faults or credential is None:
        raise SettingsError([f"{path}: {fault}." for fault in read.faults])
    return Parameters(
        authority=authority,
        oidc_authority=oidc_authority,
        client_id=client_id,
        scope=tuple(scopes),
        endpoint=endpoint or "",
        credential=credential,
    )


def connect(parameters: Parameters, *, budget: float) -> Graph:
    """What serves the endpoint, Graph or another API, reached with the parameters' credential.

    Args:
        parameters: from the file.
        budget: seconds that one request may take, retries included.
    """
    source = AppRegistration(
        client_id=parameters.client_id,
        scopes=parameters.scope,
        credential=lambda: parameters.credential,
        authority=parameters.authority,
        oidc_authority=parameters.oidc_authority,
    )
    return Graph(parameters.root, Tokens(source), budget=budget)


class _Reader:
    """Reads members of the file and collects what is wrong with them."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self.faults: list[str] = []

    def fault(self, text: str) -> None:
        self.faults.append(text)

    def has(self, name: str) -> bool:
        return self._parameters.get(name) is not None

    def text(self, name: str, *, form: str = r"(?s).*\S.*", meaning: str = "a text that is not empty") -> str:
        value = self._parameters.get(name)
        if value is None:
            self.fault(f"{name} is missing")
        elif isinstance(value, str) and _PLACEHOLDER.search(value):
            self.fault(f"{name} still holds the quickstart's placeholder")
        elif not isinstance(value, str) or not re.fullmatch(form, value):
            self.fault(f"{name} must be {meaning}")
        return str(value)

    def address(self, name: str) -> str | None:
        if not self.has(name):
            return None
        value = self._parameters[name]
        if not isinstance(value, str) or not re.fullmatch(r"https://[^\s/?#@\[\]]+(/\S*)?", value):
            self.fault(f"{name} must be an address that begins with https://")
        elif name != "oidc_authority" and _PLACEHOLDER.search(value):
            self.fault(f"{name} still holds the quickstart's placeholder")
        return str(value)


def _credential(read: _Reader) -> ClientCredential | None:
    if read.has("secret") == read.has("private_key_file"):
        read.fault("give either secret, or thumbprint and private_key_file")
        return None
    if read.has("secret"):
        return ClientCredential(value=read.text("secret"), name="secret")
    sha1 = {"form": "([0-9a-fA-F]{2}[: ]?){20}", "meaning": "the certificate's SHA-1 thumbprint, 40 hexadecimal digits"}
    thumbprint, key_file = read.text("thumbprint", **sha1), read.text("private_key_file")
    try:
        private_key = Path(key_file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        read.fault(f"private_key_file {key_file!r} cannot be read ({type(error).__name__})")
        return None
    if not is_private_key(private_key):
        read.fault(f"private_key_file {key_file!r} holds no RSA private key in PEM without a password")
    return ClientCredential(
        # With a thumbprint MSAL names the certificate by its SHA-1, the way the quickstart does.
        value={"thumbprint": re.sub("[: ]", "", thumbprint), "private_key": private_key},
        name="certificate",
    )
