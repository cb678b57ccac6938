"""Access keys.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-http-webhook-trigger#http-auth
https://learn.microsoft.com/en-us/azure/azure-functions/function-keys-how-to
"""

import pytest
import requests

from simulator.functions import FunctionsHost, Keys


@pytest.mark.parametrize(
    ("route", "key", "status"),
    [
        ("open", "none", 200),
        ("open", "wrong", 200),
        ("echo/a", "none", 401),
        ("echo/a", "wrong", 401),
        ("echo/a", "default", 200),
        ("echo/a", "master", 200),
        ("admins", "default", 401),
        ("admins", "master", 200),
    ],
)
@pytest.mark.parametrize("place", ["header", "query"])
def test_a_level_asks_for_its_key_or_the_master_key(
    *, host: FunctionsHost, session: requests.Session, route: str, key: str, status: int, place: str
) -> None:
    """In the header `x-functions-key` or the query's `code`; a refusal is a 401 without a body."""
    value = {"wrong": "wrong", "default": host.keys.default, "master": host.keys.master}.get(key)
    headers = {"x-functions-key": value} if value and place == "header" else {}
    query = {"code": value} if value and place == "query" else {}
    response = session.get(f"{host.url}/api/{route}", headers=headers, params=query)
    assert response.status_code == status
    assert status == 200 or response.content == b""


def test_a_key_in_the_header_wins_over_the_query(host: FunctionsHost, session: requests.Session) -> None:
    url = f"{host.url}/api/echo/a?code={host.keys.default}"
    assert session.get(url, headers={"x-functions-key": "wrong"}).status_code == 401


def test_a_path_without_a_function_is_not_found_whatever_the_key(
    host: FunctionsHost, session: requests.Session
) -> None:
    """Routes come first, so that 404 tells nothing about keys."""
    assert session.get(f"{host.url}/api/nothing").status_code == 404


def test_keys_are_new_with_every_start_and_not_shown() -> None:
    first, second = Keys(), Keys()
    assert len({first.default, first.master, second.default, second.master}) == 4
    assert repr(first) == "Keys()"
