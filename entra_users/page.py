"""The page for people: one HTML document, under headers that let a browser run and load nothing but what is in it."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from entra_users.api import Response

_HTML = Path(__file__).with_suffix(".html")


def page(disclosed: Sequence[str]) -> Response:
    """The page.

    Args:
        disclosed: the properties that callers may read; the page shows them all and searches by some.
    """
    template, policy = _parts()
    text = template.replace("{properties}", html.escape(",".join(disclosed)), 1)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        # The address that the page is opened by may hold a key.
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Response(headers=headers, body=text.encode())


@cache
def _parts() -> tuple[str, str]:
    """The page as it is shipped, and the policy that admits its own script and style by their hashes."""
    # Line ends as a browser sees them when it takes the hashes.
    text = _HTML.read_text(encoding="utf-8")
    script, style = (re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL) for name in ("script", "style"))
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(map(_hash, script)),
        "style-src": " ".join(map(_hash, style)),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        # Text can become markup by no function of the browser: https://www.w3.org/TR/trusted-types/
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return text, "; ".join(f"{name} {value}" for name, value in policy.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
