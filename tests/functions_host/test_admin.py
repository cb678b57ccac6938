"""Functions that HTTP does not trigger, run through the admin endpoint.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-manually-run-non-http
"""

from pathlib import Path

import pytest
import requests

from simulator.functions import FunctionFailed, FunctionsHost


def test_a_timer_runs_on_request(host: FunctionsHost, session: requests.Session) -> None:
    """The answer is 202 at once, and the function's name may be in any case."""
    url, key = f"{host.url}/admin/functions/Nightly", {"x-functions-key": host.keys.master}
    before = len(host.logs)
    response = session.post(url, json={"input": ""}, headers=key)
    assert (response.status_code, response.content) == (202, b"")
    host.drain()
    said = [entry.message for entry in host.logs[before:] if entry.function == "nightly" and entry.category == "root"]
    assert said == ["past due: False"]


@pytest.mark.parametrize("key", ["none", "default"])
def test_only_the_master_key_opens_the_admin_endpoint(host: FunctionsHost, session: requests.Session, key: str) -> None:
    headers = {"x-functions-key": host.keys.default} if key == "default" else {}
    response = session.post(f"{host.url}/admin/functions/nightly", json={}, headers=headers)
    assert (response.status_code, response.content) == (401, b"")


@pytest.mark.parametrize(
    ("name", "body", "kind", "status"),
    [
        ("nothing", "{}", "application/json", 404),
        ("nightly", "", "application/json", 400),
        ("nightly", "[]", "application/json", 400),
        ("nightly", "{}", "text/plain", 415),
        ("open_to_all", "{}", "application/json", 501),
    ],
)
def test_a_request_that_is_not_understood_runs_nothing(
    *, host: FunctionsHost, session: requests.Session, name: str, body: str, kind: str, status: int
) -> None:
    headers = {"x-functions-key": host.keys.master, "content-type": kind}
    response = session.post(f"{host.url}/admin/functions/{name}", data=body, headers=headers)
    assert (response.status_code, response.content) == (status, b"")


def test_a_timer_run_in_code_is_waited_for_and_may_be_past_due(host: FunctionsHost) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-timer#usage"""
    before = len(host.logs)
    host.run_timer("nightly", past_due=True)
    said = [entry.message for entry in host.logs[before:] if entry.function == "nightly" and entry.category == "root"]
    assert said == ["past due: True"]


def test_a_timer_that_fails_says_how(app: Path) -> None:
    with (
        FunctionsHost(app, {"NIGHTLY_FAILS": "yes"}) as host,
        pytest.raises(FunctionFailed, match="RuntimeError: no night"),
    ):
        host.run_timer("nightly")
