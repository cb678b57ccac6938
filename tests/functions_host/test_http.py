"""HTTP triggers: routes, requests and responses.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-http-webhook-trigger
"""

import http.client
import json
from typing import Any

import pytest
import requests

from simulator.functions import FunctionsHost


def get(host: FunctionsHost, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Ask for a path exactly as it is written; other clients tidy it first."""
    connection = http.client.HTTPConnection(host.url.removeprefix("http://"))
    connection.request("GET", path, headers={"x-functions-key": host.keys.default} | (headers or {}))
    with connection.getresponse() as response:
        answer = response.status, response.read()
    connection.close()
    return answer


def seen(host: FunctionsHost, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    status, body = get(host, path, headers)
    assert status == 200, path
    return json.loads(body)


def test_a_function_sees_the_request_that_was_made(host: FunctionsHost, session: requests.Session) -> None:
    """Method, URL, route, query, headers, and a body that is not text."""
    response = session.post(
        f"{host.url}/api/echo/one?$top=5&name=a+b&name=c&empty=",
        data=bytes(range(256)),
        headers={"X-Functions-Key": host.keys.default, "X-Twice": "1"},
    )
    expected = {
        "method": "POST",
        "url": f"{host.url}/api/echo/one?$top=5&name=a+b&name=c&empty=",
        "route": {"name": "one"},
        # Values of one name are joined, and a parameter without a value is not passed on.
        "query": {"$top": "5", "name": "a b,c"},
        "headers": {"x-functions-key": host.keys.default, "x-twice": "1"},
        "body": bytes(range(256)).hex(),
    }
    assert (response.status_code, response.json()) == (200, expected)
    assert response.headers["content-type"] == "application/json"


def test_the_url_is_the_one_the_caller_used(host: FunctionsHost) -> None:
    """So that a link that a function builds from it leads back through whatever the caller came through."""
    assert seen(host, "/api/open", {"Host": "app.example:8443"})["url"] == "http://app.example:8443/api/open"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/echo/adele%40contoso.com", "adele@contoso.com"),
        ("/api/echo/a%20b+c", "a b+c"),
        ("/api/echo/M%C3%BCller", "Müller"),
        ("/API/Echo/Adele", "Adele"),
        ("/api/echo/one/", "one"),
        ("/api/echo/other/../one", "one"),
        ("/api/echo/other/%2e%2e/one", "one"),
        # An encoded slash stays encoded, so that a value never reaches out of its segment.
        ("/api/echo/..%2F..%2fsecret", "..%2F..%2fsecret"),
        ("/api/echo/%2561", "%61"),
        ("/api/echo/%FF", "%FF"),
    ],
)
def test_route_values_are_decoded_once_and_never_span_segments(host: FunctionsHost, path: str, name: str) -> None:
    assert seen(host, path)["route"] == {"name": name}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/parts/7/a/b/c", {"number": "7", "rest": "a/b/c"}),
        ("/api/parts/7", {"number": "7"}),
        ("/api/optional", {}),
        ("/api/optional/one", {"name": "one"}),
    ],
)
def test_catch_all_and_optional_parameters_match(host: FunctionsHost, path: str, route: dict[str, str]) -> None:
    """https://learn.microsoft.com/en-us/aspnet/core/fundamentals/routing#route-templates"""
    assert seen(host, path)["route"] == route


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/echo/one", "/api/echo", "/api/echo/a/b", "/api/parts/0/a", "/api/parts/x"]
)
def test_a_path_that_no_route_takes_is_not_found(host: FunctionsHost, path: str) -> None:
    """A constraint that is not met counts as another path."""
    assert get(host, path) == (404, b"")


def test_a_method_that_no_route_takes_is_not_found(host: FunctionsHost, session: requests.Session) -> None:
    """The host makes the method a part of the route: 404, and not 405."""
    response = session.delete(f"{host.url}/api/echo/one", headers={"x-functions-key": host.keys.default})
    assert (response.status_code, response.content) == (404, b"")


def test_head_is_answered_by_a_function_that_lists_it(host: FunctionsHost, session: requests.Session) -> None:
    key = {"x-functions-key": host.keys.default}
    response = session.head(f"{host.url}/api/echo/one", headers=key)
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize("status", [200, 201, 404, 429, 503])
def test_status_headers_cookies_and_bytes_of_a_response_arrive(
    host: FunctionsHost, session: requests.Session, status: int
) -> None:
    response = session.get(f"{host.url}/api/responses/{status}", headers={"x-functions-key": host.keys.default})
    assert (response.status_code, response.content) == (status, bytes(range(256)))
    names = ("content-type", "x-answer", "set-cookie")
    assert [response.headers[name] for name in names] == ["application/octet-stream", "yes", "a=b; path=/; httponly"]


def test_an_exception_is_a_500_without_a_word_of_it(host: FunctionsHost) -> None:
    """The traceback is in the log, with the function and the invocation."""
    before = len(host.logs)
    assert get(host, "/api/fail") == (500, b"")
    entry = next(each for each in host.logs[before:] if each.level == "Error")
    assert (entry.category, entry.function) == ("Function.fail", "fail")
    assert "ValueError: something of the inside" in entry.message
    assert "Traceback" in entry.message


def test_a_body_without_a_stated_length_is_not_passed_on(host: FunctionsHost, session: requests.Session) -> None:
    """The host hands over a body only where Content-Length is positive."""
    response = session.post(
        f"{host.url}/api/echo/one", data=iter([b"chunk"]), headers={"x-functions-key": host.keys.default}
    )
    assert response.json()["body"] == ""
