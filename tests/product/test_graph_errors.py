"""What Graph's errors mean as ours: https://learn.microsoft.com/en-us/graph/errors."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.errors import (
    AccessDenied,
    BadQuery,
    EntraUsersError,
    NotFound,
    PageTokenExpired,
    RequestError,
    ResyncRequired,
    Throttled,
    TimedOut,
    Unavailable,
)
from entra_users.graph_errors import graph_error

NOW = datetime(2026, 11, 22, tzinfo=UTC)
URL = "https://graph.microsoft.com/v1.0/users"


def error_of(
    status: int, code: str | None = None, message: str = "What Graph says.", *, url: str = URL, **headers: str
) -> EntraUsersError:
    body = {"error": {"code": code, "message": message, "innerError": {"request-id": "the-id"}}}
    return graph_error(status, headers, json.dumps(body).encode(), url=url, now=NOW)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "Request_BadRequest", BadQuery),
        (400, "Request_UnsupportedQuery", BadQuery),
        (400, "Directory_ExpiredPageToken", PageTokenExpired),
        (400, "SyncStateNotFound", ResyncRequired),
        (401, "InvalidAuthenticationToken", AccessDenied),
        (403, "Authorization_RequestDenied", AccessDenied),
        (404, "Request_ResourceNotFound", NotFound),
        (408, "RequestTimeout", Unavailable),
        (409, "Conflict", RequestError),
        (410, "Gone", ResyncRequired),
        (410, "resyncRequired", ResyncRequired),
        (418, "Teapot", RequestError),
        (429, "TooManyRequests", Throttled),
        (500, "InternalServerError", Unavailable),
        (501, "NotImplemented", BadQuery),
        (502, "BadGateway", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "GatewayTimeout", TimedOut),
        (509, "BandwidthLimitExceeded", Unavailable),
        (302, None, RequestError),
    ],
)
def test_an_answer_is_the_error_that_says_what_to_do(
    status: int, code: str | None, kind: type[EntraUsersError]
) -> None:
    error = error_of(status, code)
    assert (type(error), error.status, error.code, error.request_id) == (kind, status, code, "the-id")
    assert "What Graph says." in str(error)


def test_a_page_token_that_is_not_found_is_told_in_the_message_only() -> None:
    """https://learn.microsoft.com/en-us/graph/paging names the exception."""
    error = error_of(400, "Request_BadRequest", "DirectoryPageTokenNotFoundException: gone.")
    assert type(error) is PageTokenExpired


def test_trouble_of_the_service_is_never_taken_for_a_lost_sync_state() -> None:
    assert type(error_of(503, "resyncRequired")) is Unavailable


@pytest.mark.parametrize("inner", ["innerError", "innererror", "InnerError"])
def test_members_are_found_however_they_are_spelt(inner: str) -> None:
    body = json.dumps({"Error": {"Code": "A", "MESSAGE": "B", inner: {"Request-Id": "C"}}})
    error = graph_error(400, {}, body.encode(), url=URL, now=NOW)
    assert (error.code, error.request_id) == ("A", "C")
    assert error.args == ("GET /v1.0/users was answered with an error. B Correct the query.",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b'"error"',
        b'{"error": 7}',
        b'{"error": {"code": 1, "message": [], "innerError": 2}}',
        b'{"error": {"message": "\xff"}}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_graphs_still_gives_an_error_by_its_status(body: bytes) -> None:
    error = graph_error(503, {"request-id": "from the header", "Retry-After": "7"}, body, url=URL, now=NOW)
    assert (type(error), error.status, error.code) == (Unavailable, 503, None)
    assert (error.request_id, error.retry_after) == ("from the header", 7.0)
    assert error.args == ("GET /v1.0/users was answered with an error. Graph has trouble of its own: run again later.",)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1.0/users?$filter=mail eq 'adele@contoso.com'", "/v1.0/users"),
        ("/v1.0/users/$count?$filter=x", "/v1.0/users/$count"),
        ("/v1.0/users/delta?$deltatoken=abcdefgh", "/v1.0/users/delta"),
        ("/v1.0/users/adele@contoso.com?$select=id", "/v1.0/users/{user}"),
        ("/v1.0/users/delta-force@contoso.com", "/v1.0/users/{user}"),
        ("/v1.0/users/adele@contoso.com/manager", "/v1.0/users/{user}/manager"),
        ("/v1.0/users('$adele''s@contoso.com')?$select=id", "/v1.0/users/{user}"),
        ("/v1.0/organization", "/v1.0/organization"),
    ],
)
def test_nobody_who_was_asked_for_is_named_and_no_query_told(path: str, told: str) -> None:
    error = graph_error(500, {}, b"", url=f"https://graph.microsoft.com{path}", now=NOW)
    assert str(error).startswith(f"GET {told} was answered with an error.")


def test_a_continuation_that_graph_quotes_is_left_out() -> None:
    token = "RFNwdAIAAQAAABpBZGVsZVZAY29udG9zby5jb20"
    url = f"{URL}?$select=id&$SkipToken={token}"
    error = error_of(400, "Request_BadRequest", f"The token '{token}' is not valid.", url=url)
    assert str(error).startswith("GET /v1.0/users was answered with an error. The token '...' is not valid.")


@given(st.integers(300, 599), st.binary(), st.dictionaries(st.sampled_from(["Retry-After", "request-id"]), st.text()))
def test_any_answer_that_is_not_2xx_is_one_of_our_errors(status: int, body: bytes, headers: dict[str, str]) -> None:
    error = graph_error(status, headers, body, url=URL, now=NOW)
    assert error.status == status
