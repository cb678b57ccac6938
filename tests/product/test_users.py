"""All users, each exactly once, or a named error, over TLS to the simulated Graph."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entra_users.errors import EntraUsersError, Incomplete, MalformedPage, NotFound, PageTokenExpired
from entra_users.graph import Graph
from entra_users.users import is_id, read_users, user_ids, user_url, users_url
from simulator import Fault, Simulator
from simulator.faults import answered, page_fault
from tests.product.conftest import GRAPH

# The fixtures hold a server and a clock; each example begins anew with a directory of its own.
OVER_THE_WIRE = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def url_of(top: int) -> str:
    return f"{GRAPH}/v1.0/users?$select=id,displayName&$top={top}"


def read(graph: Graph, url: str, *, advanced: bool = False) -> list[Any]:
    """The users in the order of their ids."""
    pages = list(read_users(graph, url, advanced=advanced))
    return sorted((msgspec.json.decode(user) for page in pages for user in page), key=lambda user: user["id"])


def whole(azure: Simulator) -> list[Any]:
    return sorted(azure.directory.users(["id", "displayName"]), key=lambda user: user["id"])


def test_the_first_page_asks_for_the_most_that_graph_gives_and_quotes_the_filter() -> None:
    assert users_url(GRAPH, ["id", "mail"]) == f"{GRAPH}/v1.0/users?$select=id,mail&$top=999"
    assert users_url(GRAPH, ["id"], where="mail eq 'a&b+c'", advanced=True) == (
        f"{GRAPH}/v1.0/users?$select=id&$top=999&$filter=mail%20eq%20%27a%26b%2Bc%27&$count=true"
    )


def test_all_users_are_read_with_every_property(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=1200)
    select = ["id", "userPrincipalName", "businessPhones", "accountEnabled", "createdDateTime"]
    users = read(graph, users_url(GRAPH, select))
    assert users == sorted(azure.directory.users(select), key=lambda user: user["id"])
    assert len(azure.requests) == 2


def test_an_advanced_filter_is_read_over_all_pages(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=1200)
    url = users_url(GRAPH, ["id", "displayName", "userType"], where="userType ne 'Guest'", advanced=True)
    members = [user for user in azure.directory.users(["id", "displayName", "userType"]) if user["userType"] != "Guest"]
    assert read(graph, url, advanced=True) == sorted(members, key=lambda user: user["id"])


@pytest.mark.parametrize("expired", [1, 5])
def test_a_page_token_that_expires_starts_the_read_again_without_repeating_a_user(
    azure: Simulator, graph: Graph, expired: int
) -> None:
    azure.reset(users=35)
    azure.faults.plan(page_fault("expired-page-token", skip=1, times=expired))
    assert read(graph, url_of(10)) == whole(azure)
    assert [each.status for each in azure.requests].count(400) == expired


def test_a_page_token_that_expires_six_times_is_an_error(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=35)
    azure.faults.plan(page_fault("expired-page-token", times=None))
    pages = read_users(graph, url_of(10))
    assert len(next(pages)) == 10
    with pytest.raises(PageTokenExpired) as caught:
        list(pages)
    assert (caught.value.status, caught.value.code) == (400, "Directory_ExpiredPageToken")
    assert [each.status for each in azure.requests] == [200, 400] * 6


def test_who_moves_to_a_later_page_is_not_given_twice(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=35)
    azure.faults.plan(page_fault("duplicate-user", times=2))
    assert read(graph, url_of(10)) == whole(azure)


@pytest.mark.parametrize("user", ["{}", '{"id": null}', '{"id": 7}', "null", "7", '[{"id": "1"}]'])
def test_a_user_without_an_id_is_an_error(azure: Simulator, graph: Graph, user: str) -> None:
    azure.faults.plan(answered(200, f'{{"value": [{{"id": "1"}}, {user}]}}'))
    with pytest.raises(MalformedPage, match="without an id"):
        read(graph, url_of(10))


def test_ids_come_in_the_order_of_the_users() -> None:
    assert user_ids([msgspec.Raw(b'{"n": 1, "id": "b"}'), msgspec.Raw(b'{"id": "a"}')]) == ["b", "a"]


@OVER_THE_WIRE
@given(users=st.integers(0, 60), top=st.integers(1, 70), empty=st.lists(st.integers(0, 12), max_size=4))
def test_any_split_into_pages_gives_the_same_users_exactly_once(
    azure: Simulator, make_graph: Callable[..., Graph], users: int, top: int, empty: list[int]
) -> None:
    azure.reset(users=users)
    azure.faults.plan(*(page_fault("empty-page", skip=page) for page in empty))
    assert read(make_graph(), url_of(top)) == whole(azure)


TIMES = st.sampled_from([1, 1, 2, 3, None])
ERROR = json.dumps({"error": {"code": "Planned", "message": "As planned."}}).encode()
FAULTS = st.one_of(
    st.builds(
        Fault,
        host=st.just("graph.microsoft.com"),
        skip=st.integers(0, 6),
        times=TIMES,
        status=st.sampled_from([302, 400, 401, 403, 404, 408, 410, 429, 500, 501, 502, 503, 504, 509]),
        headers=st.fixed_dictionaries(
            {},
            optional={"Retry-After": st.sampled_from(["1", "2.5", "0", "99999", "x", "Sun, 22 Nov 2026 10:00:00 GMT"])},
        ),
        body=st.sampled_from([b"", b"<html>", b"\xff", ERROR]),
    ),
    st.builds(
        Fault,
        host=st.just("graph.microsoft.com"),
        skip=st.integers(0, 6),
        times=TIMES,
        truncate=st.integers(0, 3000),
        reset=st.booleans(),
    ),
    st.builds(Fault, host=st.just("graph.microsoft.com"), skip=st.integers(0, 6), times=TIMES, reset=st.just(True)),
    st.builds(
        page_fault,
        st.sampled_from(
            "empty-page repeat-next-link foreign-next-link no-value cut-json duplicate-user expired-page-token".split()
        ),
        skip=st.integers(0, 6),
        times=st.sampled_from([1, 2, 3]),
    ),
)


@OVER_THE_WIRE
@given(plan=st.lists(FAULTS, min_size=1, max_size=5))
def test_any_plan_of_faults_gives_the_same_users_or_a_named_error(
    azure: Simulator, make_graph: Callable[..., Graph], plan: list[Fault]
) -> None:
    """Never fewer, never twice."""
    azure.reset(users=43)
    azure.faults.plan(*plan)
    users: list[Any] = []
    failure: EntraUsersError | None = None
    try:
        for page in read_users(make_graph(), url_of(10)):
            users += [msgspec.json.decode(user) for user in page]
    except EntraUsersError as error:
        failure = error
    ids = [user["id"] for user in users]
    assert len(ids) == len(set(ids))
    if failure is None:
        assert sorted(users, key=lambda user: user["id"]) == whole(azure)
    else:
        assert failure.status is not None or isinstance(failure, Incomplete) or "Check the network" in str(failure)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("87d349ed-44d7-43e1-9a83-5f2406dee5bd", "users/87d349ed-44d7-43e1-9a83-5f2406dee5bd"),
        ("adele@contoso.com", "users/adele@contoso.com"),
        ("o'hara+x@contoso.com", "users/o%27hara%2Bx@contoso.com"),
        ("adele_fabrikam.com#EXT#@contoso.com", "users/adele_fabrikam.com%23EXT%23@contoso.com"),
        ("müller@contoso.com", "users/m%C3%BCller@contoso.com"),
        ("a?b&c@contoso.com", "users/a%3Fb%26c@contoso.com"),
        ("$adele's@contoso.com", "users('%24adele''s@contoso.com')"),
    ],
)
def test_a_user_is_addressed_by_id_or_name(key: str, path: str) -> None:
    """https://learn.microsoft.com/en-us/graph/api/user-get"""
    assert user_url(GRAPH, key, ["id", "mail"]) == f"{GRAPH}/v1.0/{path}?$select=id,mail"


@pytest.mark.parametrize(
    "key",
    [
        *("", ".", "..", "delta", "$count", "delta(token='x@y')", "a@b/manager", "a@b\\manager", "a@b%2Fmanager"),
        *("a b@c", "../groups@x", "a@b@c", "a@", "@b", "87d349ed-44d7-43e1-9a83-5f2406dee5bd/manager", "a@b\n"),
    ],
)
def test_what_would_lead_elsewhere_than_to_a_user_is_no_key(key: str) -> None:
    with pytest.raises(NotFound):
        user_url(GRAPH, key, ["id"])


@given(st.text())
def test_any_key_leads_to_a_user_of_graph_or_nowhere(key: str) -> None:
    try:
        url = user_url(GRAPH, key, ["id"])
    except NotFound:
        return
    assert re.fullmatch(rf"{re.escape(GRAPH)}/v1\.0/users(/[^/?#()]+|\('[^/?#()]+'\))\?\$select=id", url)


@pytest.mark.parametrize("user", [b"{}", b'{"id": 7}', b"null", b'{"id": "\xff"}', b'{"id": "1"'])
def test_ids_of_what_is_no_user_are_an_error(user: bytes) -> None:
    with pytest.raises(MalformedPage, match="without an id"):
        user_ids([b'{"id": "1"}', user])


def test_an_id_is_told_from_a_name() -> None:
    assert is_id("87D349ED-44d7-43e1-9a83-5f2406dee5bd")
    assert not is_id("87d349ed-44d7-43e1-9a83-5f2406dee5bd@contoso.com")
