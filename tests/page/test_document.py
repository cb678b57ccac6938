"""The document by itself: where it is served, under which headers, and what is in it."""

import base64
import hashlib
import re

import pytest
import requests

from entra_users.page import page
from simulator.functions import FunctionsHost
from tests.page.conftest import PROPERTIES, Serve


def get(host: FunctionsHost, path: str, key: str | None = None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{host.url}{path}", headers={} if key is None else {"x-functions-key": key}, timeout=60)


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_page_is_at_the_root_of_the_api_for_who_has_a_key(host: FunctionsHost, path: str) -> None:
    assert get(host, path).status_code == 401
    answer = get(host, path, host.keys.default)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.content == page(PROPERTIES.split(",")).body


def test_it_runs_and_loads_only_what_is_in_it(host: FunctionsHost) -> None:
    answer = get(host, "/api/", host.keys.default)
    hashes = {
        name: [
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in re.findall(rf"<{name}[^>]*>(.*?)</{name}>", answer.text, re.DOTALL)
        ]
        for name in ("script", "style")
    }
    assert {name: len(found) for name, found in hashes.items()} == {"script": 1, "style": 1}
    assert answer.headers["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        f"script-src {hashes['script'][0]}",
        f"style-src {hashes['style'][0]}",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]


def test_it_is_kept_nowhere_and_tells_nobody_its_address(host: FunctionsHost) -> None:
    headers = get(host, "/api/", host.keys.default).headers
    names = ("Cache-Control", "Referrer-Policy", "X-Content-Type-Options")
    names += ("Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy")
    assert [headers[name] for name in names] == ["no-store", "no-referrer", "nosniff", "same-origin", "same-origin"]


def test_names_of_properties_cannot_become_markup() -> None:
    document = page(["id", '"><script>alert(1)</script>']).body.decode()
    assert 'data-properties="id,&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in document


def test_where_callers_come_with_tokens_the_page_needs_one_and_no_key(serve: Serve) -> None:
    host = serve(CALLER_AUTH="entra")
    assert get(host, "/api/", host.keys.default).status_code == 401
    with requests.Session() as session:
        session.trust_env = False
        # What App Service adds once it has checked a token.
        answer = session.get(f"{host.url}/api/", headers={"X-MS-CLIENT-PRINCIPAL-ID": "someone"}, timeout=60)
    assert answer.status_code == 200
