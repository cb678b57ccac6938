"""Planned faults of Graph's pages, and its limits."""

import json
from itertools import pairwise
from typing import Any

import pytest

from simulator import Fault
from simulator.faults import PAGE_KINDS, page_fault
from simulator.throttling import Throttle, cost, units_per_period
from tests.simulator.graph_client import GraphClient

USERS = "/users?$top=60&$select=id"
NEXT, VALUE = "@odata.nextLink", "value"


def ids(pages: list[dict[str, Any]]) -> list[str]:
    return [user["id"] for page in pages for user in page[VALUE]]


def test_an_empty_page_leads_by_another_link_to_the_users_it_held_back(graph: GraphClient) -> None:
    """https://learn.microsoft.com/en-us/graph/paging"""
    undisturbed = ids(list(graph.pages(USERS)))
    graph.azure.faults.plan(page_fault("empty-page", skip=1, times=2))
    pages = list(graph.pages(USERS))
    assert [len(page[VALUE]) for page in pages] == [60, 0, 0, 60, 60, 60, 10]
    assert ids(pages) == undisturbed
    assert len({page[NEXT] for page in pages[:-1]}) == 6


def test_a_repeated_next_link_is_that_of_the_page_itself(graph: GraphClient) -> None:
    first = graph.get(USERS).json()[NEXT]
    graph.azure.faults.plan(page_fault("repeat-next-link", path="^/v1.0/users$"))
    assert graph.get(first).json()[NEXT] == first


def test_a_foreign_next_link_leads_to_another_host(graph: GraphClient) -> None:
    graph.azure.faults.plan(page_fault("foreign-next-link"))
    assert graph.get(USERS).json()[NEXT].startswith("https://graph.example.net/v1.0/users?")


def test_a_page_without_users_is_an_object_without_value(graph: GraphClient) -> None:
    graph.azure.faults.plan(page_fault("no-value"))
    assert set(graph.get(USERS).json()) == {"@odata.context", NEXT}


def test_a_page_cut_within_its_json_is_a_whole_answer_of_http(graph: GraphClient) -> None:
    graph.azure.faults.plan(page_fault("cut-json"))
    cut, whole = (graph.get(USERS, **{"Accept-Encoding": "identity"}) for _ in range(2))
    assert int(cut.headers["content-length"]) == len(cut.content) == len(whole.content) // 2
    assert whole.content.startswith(cut.content)
    with pytest.raises(json.JSONDecodeError):
        cut.json()


def test_a_user_delivered_twice_is_the_last_of_one_page_and_the_first_of_the_next(graph: GraphClient) -> None:
    graph.azure.faults.plan(page_fault("duplicate-user", skip=1))
    read = ids(list(graph.pages(USERS)))
    assert len(read) == 251
    assert [second for first, second in pairwise(read) if first == second] == [read[119]]


def test_an_expired_page_token_is_that_of_the_page_planned(graph: GraphClient) -> None:
    """https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/2254"""
    graph.azure.faults.plan(page_fault("expired-page-token", skip=1))
    second = graph.get(USERS).json()[NEXT]
    third = graph.get(second).json()[NEXT]
    assert graph.error(third) == (400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
    assert graph.get(third).status_code == 200


def test_a_kind_of_fault_that_does_not_exist_cannot_be_planned() -> None:
    with pytest.raises(TypeError, match="there is no empty_page: cut-json"):
        page_fault("empty_page")
    assert {page_fault(kind).kind for kind in PAGE_KINDS} == PAGE_KINDS


def test_faults_of_one_host_do_not_meet_another(graph: GraphClient) -> None:
    graph.azure.faults.plan(Fault(kind="no-value", host="graph.microsoft.us"))
    assert VALUE in graph.get(USERS).json()


# Limits: https://learn.microsoft.com/en-us/graph/throttling-limits#identity-and-access-service-limits


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("users", "units"), [(0, 3500), (49, 3500), (50, 5000), (500, 5000), (501, 8000)])
def test_the_units_of_ten_seconds_depend_on_the_size_of_the_directory(users: int, units: int) -> None:
    assert units_per_period(users) == units


@pytest.mark.parametrize(
    ("select", "expand", "top", "units"),
    [(False, False, None, 2), (True, False, 999, 1), (False, True, None, 3), (True, False, 5, 1), (True, True, 5, 1)],
)
def test_a_list_of_users_costs_two_units_less_for_select_and_small_pages_more_for_expand(
    select: bool, expand: bool, top: int | None, units: int
) -> None:
    assert cost(2, select=select, expand=expand, top=top) == units


@pytest.mark.parametrize(
    ("path", "units"), [("/users", "2"), ("/users?$select=id&$top=999", "1"), ("/users?$top=5", "1"), ("/users/x", "1")]
)
def test_each_answer_tells_its_cost(graph: GraphClient, path: str, units: str) -> None:
    assert graph.get(path).headers["x-ms-resource-unit"] == units


def test_requests_beyond_the_limit_are_refused_with_the_seconds_to_wait(graph: GraphClient) -> None:
    clock = Clock()
    graph.azure.state.throttle = throttle = Throttle(clock=clock)
    throttle.enabled, throttle.units = True, 10
    answers = [graph.get("/users?$select=id") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    shares = [answer.headers.get("x-ms-throttle-limit-percentage") for answer in answers]
    assert shares == [None] * 8 + ["0.9", "1.0", "1.1", "1.2"]
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "TooManyRequests"
    assert refused.headers["x-ms-throttle-information"] == "ResourceUnitLimitExceeded"
    assert refused.headers["x-ms-throttle-scope"].startswith("Tenant_Application/ReadWrite/")
    assert refused.headers["retry-after"] == "3"
    clock.now += 2.9
    assert graph.get("/users?$select=id").status_code == 429
    clock.now += 2
    assert graph.get("/users?$select=id").status_code == 200
    assert (throttle.refused, throttle.used) == (3, 14)


def test_sign_in_activity_can_be_read_ten_times_a_minute(graph: GraphClient) -> None:
    graph.azure.entra.application.graph_roles.add("AuditLog.Read.All")
    graph.sign_in()
    graph.azure.state.throttle = Throttle(clock=Clock())
    graph.azure.state.throttle.enabled = True
    statuses = [graph.get("/users?$select=signInActivity").status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert graph.get("/users").status_code == 200


def test_without_limits_nothing_is_refused_but_units_are_counted(graph: GraphClient) -> None:
    graph.azure.state.throttle.units = 1
    assert [graph.get("/users").status_code for _ in range(3)] == [200] * 3
    assert graph.azure.state.throttle.used == 6
