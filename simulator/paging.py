"""Page tokens: opaque to clients, signed, and good only for the query they were given for.

https://learn.microsoft.com/en-us/graph/paging
"""

import base64
import hashlib
import hmac
import json
from typing import Any

_MAC = 12


class BadToken(ValueError):
    """A token that this directory did not give out for this use."""


def seal(key: bytes, use: str, content: list[Any]) -> str:
    """A token that holds this content, for this use: an endpoint, or a query."""
    payload = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(key, use, payload) + payload).rstrip(b"=").decode()


def unseal(key: bytes, use: str, token: str) -> list[Any]:
    """The content of a token.

    Raises:
        BadToken: it was changed, cut, or sealed for another use or by another directory.
    """
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadToken("not a token") from error
    mac, payload = sealed[:_MAC], sealed[_MAC:]
    if not hmac.compare_digest(mac, _mac(key, use, payload)):
        raise BadToken("not a token of this query")
    return json.loads(payload)


def _mac(key: bytes, use: str, payload: bytes) -> bytes:
    return hashlib.blake2b(use.encode() + b"\0" + payload, key=key, digest_size=_MAC).digest()
