"""The whole directory, read in lanes: every user once, or a named error at the end at the latest."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entra_users.directory import read_directory
from entra_users.errors import EntraUsersError, IncompleteDirectory, MalformedPage
from entra_users.graph import Graph
from simulator import Simulator
from simulator.faults import answered, page_fault
from tests.partitions.conftest import SELECT, begin, by_id, everyone, paths
from tests.partitions.test_partitions import ANY_CREATED

OVER_THE_WIRE = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pages(graph: Graph, size: int = 20, *, lanes: int = 4, tolerance: float = 0.0) -> Iterator[list[msgspec.Raw]]:
    return read_directory(graph, SELECT, partition_users=size, lanes=lanes, tolerance=tolerance)


def read(graph: Graph, size: int = 20, **options: Any) -> list[Any]:
    return by_id([user for page in pages(graph, size, **options) for user in page])


@OVER_THE_WIRE
@given(
    generated=st.integers(0, 50),
    users=st.lists(ANY_CREATED, max_size=20),
    size=st.integers(1, 60),
    lanes=st.integers(1, 5),
)
def test_every_user_is_read_once_by_any_number_of_lanes(
    azure: Simulator, graph: Graph, generated: int, users: list[str | None], size: int, lanes: int
) -> None:
    begin(azure, users, users=generated)
    assert read(graph, size, lanes=lanes) == everyone(azure)
    assert paths(azure)[0] == paths(azure)[-1] == "/$count"


def test_each_request_is_one_of_the_plan_a_partition_or_the_count_after(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=100)
    assert read(graph) == everyone(azure)
    assert graph.total.requests == len(azure.requests)
    reads = [each.query for each in azure.requests if each.path == "/v1.0/users"]
    assert len(set(reads)) == len(reads) > 1


def test_a_tenant_that_cannot_be_counted_is_read_whole(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=40)
    azure.directory.b2c = True
    assert read(graph, 10) == everyone(azure)
    assert paths(azure) == ["/$count", ""]


def test_a_tenant_that_cannot_be_counted_and_gives_no_user_is_an_error(azure: Simulator, graph: Graph) -> None:
    azure.directory.b2c = True
    with pytest.raises(IncompleteDirectory, match="Graph gave no user at all and cannot count them"):
        read(graph)


def test_a_directory_without_users_is_read_where_graph_says_that_there_are_none(azure: Simulator, graph: Graph) -> None:
    assert read(graph) == []


@pytest.mark.parametrize(("before", "after"), [("60", "60"), ("45", "45"), ("0", "0")])
def test_more_or_fewer_users_than_graph_counts_are_an_error_at_the_end(
    azure: Simulator, graph: Graph, before: str, after: str
) -> None:
    begin(azure, users=50)
    azure.faults.plan(answered(200, before, path="count$"), answered(200, after, path="count$"))
    stream = pages(graph, 100)
    assert by_id(next(stream)) == everyone(azure)
    with pytest.raises(IncompleteDirectory, match=f"50 users were read, and Graph counted {before} before"):
        next(stream)


def test_users_who_come_while_the_others_are_read_are_no_error(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=50)
    stream = pages(graph, 100)
    users = next(stream)
    azure.directory.add()
    assert list(stream) == []
    assert len(users) == 50


def test_a_lane_that_fails_fails_the_whole(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=100)
    azure.faults.plan(page_fault("no-value", path="/users$", skip=3))
    with pytest.raises(MalformedPage, match="not a page of users"):
        read(graph, 10)


@OVER_THE_WIRE
@given(
    kind=st.sampled_from(
        ["empty-page", "repeat-next-link", "foreign-next-link", "no-value", "cut-json", "duplicate-user"]
    ),
    skip=st.integers(0, 12),
    times=st.integers(1, 5),
)
def test_whatever_graph_does_to_a_page_there_are_all_users_or_a_named_error(
    azure: Simulator, graph: Graph, kind: str, skip: int, times: int
) -> None:
    begin(azure, users=60)
    azure.faults.clear()
    azure.faults.plan(page_fault(kind, path="/users$", skip=skip, times=times))
    try:
        users = read(graph, 10, lanes=2)
    except EntraUsersError:
        assert kind != "empty-page"
    else:
        assert users == everyone(azure)
