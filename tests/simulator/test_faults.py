"""Planned faults reach the client as the real thing: statuses, cut bodies, resets, silence."""

import pytest
import requests
from urllib3.exceptions import IncompleteRead

from simulator import (
    Fault,
    Simulator,
    answered,
    connection_reset,
    hang,
    not_json,
    server_error,
    throttled,
    truncated,
    unreachable,
)

URL = "https://graph.microsoft.com/v1.0/users"

pytestmark = pytest.mark.usefixtures("azure")


def get(url: str = URL) -> requests.Response:
    return requests.get(url, timeout=10)


def test_without_faults_the_service_answers(azure: Simulator) -> None:
    assert get().status_code == 401


@pytest.mark.parametrize("retry_after", ["10", "2.128", "Wed, 21 Oct 2026 07:28:00 GMT", None])
def test_throttling_says_when_to_come_back_or_not(azure: Simulator, retry_after: str | None) -> None:
    """https://learn.microsoft.com/en-us/graph/throttling"""
    azure.faults.plan(throttled(retry_after))
    response = get()
    assert (response.status_code, response.headers.get("Retry-After"), response.json()) == (
        429,
        retry_after,
        {
            "error": {
                "code": "TooManyRequests",
                "message": "Please retry again later.",
                "innerError": {"code": "429", "status": "429"},
            }
        },
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalServerError"),
        (502, "BadGateway"),
        (503, "ServiceUnavailable"),
        (504, "GatewayTimeout"),
        (509, "UnknownError"),
    ],
)
def test_server_errors_have_graphs_shape(azure: Simulator, status: int, code: str) -> None:
    """https://learn.microsoft.com/en-us/graph/errors"""
    azure.faults.plan(server_error(status, retry_after="3"))
    response = get()
    assert (response.status_code, response.json()["error"]["code"], response.headers["Retry-After"]) == (
        status,
        code,
        "3",
    )


def test_any_answer_can_be_planned(azure: Simulator) -> None:
    azure.faults.plan(answered(418, "short and stout", {"x-pot": "tea"}))
    response = get()
    assert (response.status_code, response.text, response.headers["x-pot"]) == (418, "short and stout", "tea")


def test_a_captive_portal_answers_200_with_html(azure: Simulator) -> None:
    azure.faults.plan(not_json())
    response = get()
    assert (response.status_code, response.headers["content-type"], response.text[:15]) == (
        200,
        "text/html",
        "<!DOCTYPE html>",
    )


def test_a_truncated_body_ends_before_its_length(azure: Simulator) -> None:
    whole = len(get().content)
    azure.faults.plan(truncated(7))
    with pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
        get()
    read = caught.value.args[0].args[1]
    assert isinstance(read, IncompleteRead)
    assert (read.partial, read.expected) == (7, whole - 7)


def test_a_planned_answer_can_be_truncated_too(azure: Simulator) -> None:
    azure.faults.plan(Fault(status=200, body=b'{"value": []}', truncate=4))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="4 bytes read, 9 more expected"):
        get()


@pytest.mark.parametrize("where", [None, "managed-identity"])
def test_a_reset_is_a_tcp_reset(azure: Simulator, where: str | None) -> None:
    azure.faults.plan(connection_reset(host=where))
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        get(URL if where is None else azure.environment["IDENTITY_ENDPOINT"])


def test_a_reset_can_come_within_the_body(azure: Simulator) -> None:
    azure.faults.plan(Fault(truncate=5, reset=True))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="Connection reset by peer"):
        get()


def test_a_hang_lasts_until_the_client_gives_up(azure: Simulator) -> None:
    azure.faults.plan(hang())
    with pytest.raises(requests.ReadTimeout):
        requests.get(URL, timeout=(10, 0.05))
    assert [each.status for each in azure.requests] == [None]


def test_a_body_can_stall_midway(azure: Simulator) -> None:
    azure.faults.plan(Fault(truncate=5, hang=True))
    with pytest.raises(requests.ConnectionError, match="Read timed out"):
        requests.get(URL, timeout=(10, 0.05))


def test_an_unreachable_host_gives_no_connection(azure: Simulator) -> None:
    azure.faults.plan(unreachable())
    with pytest.raises(requests.exceptions.ProxyError, match="502 Bad Gateway"):
        get()
    assert get().status_code == 401


def test_faults_are_met_by_place_in_order_and_number(azure: Simulator) -> None:
    azure.faults.plan(
        answered(500, method="POST", times=None),
        answered(501, path=r"/users/\$count$", times=None),
        answered(502, skip=1, times=2, path="users$"),
        answered(503, host="graph.microsoft.us"),
        answered(504),
    )
    statuses = [get().status_code for _ in range(5)]
    assert statuses == [504, 502, 502, 401, 401]
    assert get(f"{URL}/$count").status_code == 501
    assert get(URL.replace(".com", ".us")).status_code == 503
    assert requests.post(URL, timeout=10).status_code == 500
    azure.faults.clear()
    assert requests.post(URL, timeout=10).status_code == 401


def test_a_reset_of_the_simulator_forgets_planned_faults(azure: Simulator) -> None:
    azure.faults.plan(server_error(times=None))
    azure.reset()
    assert get().status_code == 401
