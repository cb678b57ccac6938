"""Partitions hold every user exactly once, wherever their borders are and whenever users were created."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entra_users.errors import AccessDenied, MalformedPage
from entra_users.graph import Graph
from entra_users.partitions import Partition, Planned, _split, count_users, created, plan_partitions, read_partition
from simulator import Simulator
from simulator.faults import answered, page_fault
from tests.partitions.conftest import SELECT, begin, by_id, everyone, paths

OVER_THE_WIRE = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def text(moment: datetime) -> str:
    """A whole second as Graph writes it."""
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}Z"


# Few enough that users share seconds with each other and with borders, and all of time beside them.
NEAR = [datetime(2021, 7, 1, tzinfo=UTC) + timedelta(seconds=second) for second in (0, 1, 2, 60, 86_400)]
MIDDLE = datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=2**30)
FAR = [
    datetime(1601, 1, 1, tzinfo=UTC),
    datetime(2004, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2005, 1, 1, tzinfo=UTC),
    MIDDLE,
    datetime(2073, 1, 20, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
]
SECONDS = st.sampled_from([*NEAR, *NEAR, *FAR]) | st.integers(-(2**33), 2**37).map(
    lambda seconds: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
FRACTIONS = st.sampled_from(["", "", ".0", ".5", ".123", ".0000001", ".9999999"])
ANY_CREATED = st.none() | st.tuples(SECONDS, FRACTIONS).map(lambda both: f"{text(both[0])[:-1]}{both[1]}Z")


def partitions_at(borders: Sequence[str]) -> list[Partition]:
    """Partitions with these borders."""
    ends = pairwise([None, *sorted(borders), None])
    dated = [Partition(number=number, start=start, end=end) for number, (start, end) in enumerate(ends, 1)]
    return [Partition(number=0, undated=True), *dated]


@given(users=st.lists(ANY_CREATED, max_size=30), borders=st.sets(SECONDS.map(text), max_size=6))
@example(users=["2021-07-01T00:00:00Z", "2021-07-01T00:00:00.0000001Z"], borders={"2021-07-01T00:00:00Z"})
@example(users=["2021-06-30T23:59:59.9999999Z"], borders={"2021-07-01T00:00:00Z"})
def test_every_user_belongs_to_exactly_one_partition(users: list[str | None], borders: set[str]) -> None:
    partitions = partitions_at(list(borders))
    assert [sum(partition.holds(user) for partition in partitions) for user in users] == [1] * len(users)


@given(users=st.lists(ANY_CREATED, min_size=1, max_size=6), borders=st.sets(SECONDS.map(text), max_size=2))
def test_a_page_belongs_to_a_partition_if_each_of_its_users_does(users: list[str | None], borders: set[str]) -> None:
    for partition in [*partitions_at(list(borders)), Partition(number=0, everyone=True)]:
        assert partition.holds(*users) == all(partition.holds(user) for user in users)


@pytest.mark.parametrize(
    ("partition", "where"),
    [
        (Partition(number=0, everyone=True), None),
        (Partition(number=0, undated=True), "createdDateTime eq null"),
        (Partition(number=1, end="2021-07-01T00:00:00Z"), "createdDateTime le 2021-07-01T00:00:00Z"),
        (Partition(number=2, start="2021-07-01T00:00:00Z"), "createdDateTime ge 2021-07-01T00:00:00Z"),
        (
            Partition(number=3, start="2021-07-01T00:00:00Z", end="2021-08-01T00:00:00Z"),
            "createdDateTime ge 2021-07-01T00:00:00Z and createdDateTime le 2021-08-01T00:00:00Z",
        ),
        (Partition(number=1), "createdDateTime ge 1601-01-01T00:00:00Z"),
    ],
)
def test_graph_is_asked_for_a_range_with_both_its_ends(partition: Partition, where: str | None) -> None:
    assert partition.where == where


def read_all(graph: Graph, partitions: Sequence[Partition]) -> list[Any]:
    """The users of all partitions, read one after the other."""
    return by_id([user for each in partitions for page in read_partition(graph, each, SELECT) for user in page])


@OVER_THE_WIRE
@given(users=st.lists(ANY_CREATED, max_size=25), borders=st.sets(SECONDS.map(text), max_size=4))
def test_partitions_read_one_by_one_give_every_user_exactly_once(
    azure: Simulator, graph: Graph, users: list[str | None], borders: set[str]
) -> None:
    begin(azure, users)
    assert read_all(graph, partitions_at(list(borders))) == everyone(azure)


def width(partition: Partition) -> timedelta | None:
    """How long a partition is; None if an end is open."""
    if partition.start is None or partition.end is None:
        return None
    return datetime.fromisoformat(partition.end) - datetime.fromisoformat(partition.start)


def sizes(azure: Simulator, planned: Planned) -> list[int]:
    """How many users each partition holds."""
    dates = [user["createdDateTime"] for user in azure.directory.users(["createdDateTime"])]
    held = Counter(partition.number for each in dates for partition in planned.partitions if partition.holds(each))
    assert held.total() == len(dates)
    return [held[partition.number] for partition in planned.partitions]


@OVER_THE_WIRE
@given(
    generated=st.integers(0, 60),
    bulk=st.integers(0, 20),
    users=st.lists(ANY_CREATED, max_size=30),
    size=st.integers(1, 12),
)
@example(generated=0, bulk=0, users=["1999-01-01T00:00:00Z"] * 9, size=2)
@example(generated=0, bulk=0, users=["2100-01-01T00:00:00Z", "2073-01-20T00:00:00.5Z"] * 5, size=2)
@example(generated=0, bulk=0, users=[None] * 9, size=2)
def test_a_plan_covers_everyone_and_keeps_to_the_size(
    azure: Simulator, graph: Graph, generated: int, bulk: int, users: list[str | None], size: int
) -> None:
    begin(azure, users, users=generated, bulk=min(bulk, generated))
    planned = plan_partitions(graph, size)
    assert planned.users == len(azure.directory)
    assert paths(azure) == ["/$count"] * planned.counts
    assert [each.number for each in planned.partitions] == list(range(len(planned.partitions)))
    for partition, held in zip(planned.partitions, sizes(azure, planned), strict=True):
        # What is not split any more lies within a second, has no date, or lies outside of the 68 years that are.
        unsplit = partition.undated or width(partition) == timedelta(seconds=1)
        outside = partition.start == "2073-01-19T03:14:07Z" or partition.end == "2005-01-01T00:00:01Z"
        assert held <= 1.5 * size or unsplit or outside
    assert read_all(graph, planned.partitions) == everyone(azure)


@settings(max_examples=50)
@given(dated=st.integers(0, 50), counts=st.lists(st.integers(0, 60), max_size=40))
def test_whatever_is_counted_ranges_follow_each_other_and_share_out_all_users(dated: int, counts: list[int]) -> None:
    answers = iter(counts)
    ranges = _split(dated, 5.0, lambda _moment: next(answers, 0), map)
    assert (ranges[0].start, ranges[-1].end) == (None, None)
    assert all(one.end == other.start is not None for one, other in pairwise(ranges))
    assert all(each.users >= 0 for each in ranges)
    assert sum(each.users for each in ranges) == dated


def test_partitions_are_no_smaller_than_half_the_size_on_average(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=2000)
    planned = plan_partitions(graph, 50)
    dated = sizes(azure, planned)[1:]
    assert max(dated) <= 75
    assert sum(dated) / len(dated) >= 25


def test_counts_asked_for_by_several_threads_lead_to_the_same_plan(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=300)
    alone = plan_partitions(graph, 20)
    with ThreadPoolExecutor(4) as pool:
        assert plan_partitions(graph, 20, each=pool.map) == alone
    assert len(azure.requests) == 2 * alone.counts


def test_borders_stay_where_they_are_when_the_directory_grows(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=300)
    before = plan_partitions(graph, 20).partitions
    azure.directory.add(createdDateTime="2026-11-23T00:00:00Z")
    assert plan_partitions(graph, 20).partitions == before


@pytest.mark.parametrize(("users", "size"), [(0, 1), (1, 1), (30, 20)])
def test_a_directory_of_up_to_one_and_a_half_times_the_size_is_one_partition_without_a_filter(
    azure: Simulator, graph: Graph, users: int, size: int
) -> None:
    begin(azure, users=users)
    assert plan_partitions(graph, size) == Planned(
        partitions=[Partition(number=0, everyone=True)], users=users, counts=1
    )


def test_a_tenant_without_advanced_queries_is_one_partition_and_the_plan_says_why(
    azure: Simulator, graph: Graph
) -> None:
    begin(azure, users=40)
    azure.directory.b2c = True
    planned = plan_partitions(graph, 5)
    assert planned == Planned(
        partitions=[Partition(number=0, everyone=True)],
        users=None,
        counts=1,
        single_lane="Graph cannot count here (Request_BadRequest).",
    )
    assert read_all(graph, planned.partitions) == everyone(azure)


def test_an_app_without_permission_is_told_so_and_gets_no_plan(azure: Simulator, graph: Graph) -> None:
    azure.entra.application.graph_roles.clear()
    with pytest.raises(AccessDenied):
        plan_partitions(graph, 5)


def test_users_imported_within_one_second_are_one_partition(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=200, bulk=120)
    planned = plan_partitions(graph, 20)
    held = dict(zip(sizes(azure, planned), planned.partitions, strict=True))
    assert max(held) >= 120
    second = held[max(held)]
    assert width(second) == timedelta(seconds=1)
    assert planned.undivided == [
        f"{max(held)} users cannot be divided further and are read in one lane: {second.where}."
    ]
    assert read_all(graph, planned.partitions) == everyone(azure)


def test_users_created_at_a_border_are_read_once_though_graph_finds_them_on_both_sides(
    azure: Simulator, graph: Graph
) -> None:
    border = "2021-07-01T00:00:00Z"
    begin(azure, [border] * 3 + ["2021-06-30T23:59:59Z", "2021-07-01T00:00:00.5Z"])
    (_, before, after) = partitions_at([border])
    assert count_users(graph, before.where) == 4
    assert count_users(graph, after.where) == 4
    assert [sum(map(len, read_partition(graph, each, SELECT))) for each in (before, after)] == [1, 4]
    assert read_all(graph, [before, after]) == everyone(azure)


def test_users_who_come_and_go_while_they_are_counted_leave_a_plan_that_covers_everyone(
    azure: Simulator, graph: Graph
) -> None:
    begin(azure, users=120)
    alone = plan_partitions(graph, 10).counts
    for skip, count in enumerate([0, 999, 3, 0, 77, 120, 0, 1]):
        azure.faults.plan(answered(200, str(count), path="count$", skip=2 * skip + 3))
    planned = plan_partitions(graph, 10)
    assert paths(azure) == ["/$count"] * (alone + planned.counts)
    assert sum(sizes(azure, planned)) == 120
    assert read_all(graph, planned.partitions) == everyone(azure)


def test_more_users_without_a_date_than_users_at_all_leave_a_plan_that_covers_everyone(
    azure: Simulator, graph: Graph
) -> None:
    begin(azure, users=30)
    azure.faults.plan(answered(200, "31", path="count$", skip=1))
    planned = plan_partitions(graph, 10)
    assert planned.partitions == [Partition(number=0, undated=True), Partition(number=1)]
    assert read_all(graph, planned.partitions) == everyone(azure)


def test_a_user_created_while_partitions_are_read_belongs_to_the_one_of_its_date(
    azure: Simulator, graph: Graph
) -> None:
    begin(azure, users=60)
    *before, last = plan_partitions(graph, 10).partitions
    users = [user for each in before for page in read_partition(graph, each, SELECT) for user in page]
    azure.directory.add()
    users += [user for page in read_partition(graph, last, SELECT) for user in page]
    assert by_id(users) == everyone(azure)


@pytest.mark.parametrize("partition", [Partition(number=0, everyone=True), Partition(number=1)])
def test_a_partition_whose_page_token_expires_is_read_again_and_gives_each_user_once(
    azure: Simulator, graph: Graph, partition: Partition
) -> None:
    begin(azure, users=1100, undated=0)
    azure.faults.plan(page_fault("expired-page-token"), page_fault("duplicate-user", path="/users$", skip=1))
    assert read_all(graph, [partition]) == everyone(azure)
    assert [each.status for each in azure.requests] == [200, 400, 200, 200]


def test_a_filter_asks_for_an_advanced_query_and_everyone_does_not(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=3)
    read_all(graph, [Partition(number=0, everyone=True), Partition(number=1)])
    assert [("$count=true" in each.query, each.headers.get("consistencylevel")) for each in azure.requests] == [
        (False, None),
        (True, "eventual"),
    ]


@pytest.mark.parametrize("answer", ["", "many", "-1", "1.5", '{"value": []}', "\ufeff"])
def test_a_count_that_is_no_number_is_an_error(azure: Simulator, graph: Graph, answer: str) -> None:
    azure.faults.plan(answered(200, answer))
    with pytest.raises(MalformedPage, match="Graph answered 200 to a count of users with something that is no number"):
        count_users(graph)


@pytest.mark.parametrize("answer", ["7", "\ufeff7", " 7\r\n"])
def test_a_count_may_come_with_a_byte_order_mark_and_white_space(azure: Simulator, graph: Graph, answer: str) -> None:
    azure.faults.plan(answered(200, answer))
    assert count_users(graph) == 7


def test_the_date_of_a_user_is_found_in_its_json() -> None:
    assert created(b'{"id": "1", "createdDateTime": "2021-07-01T00:00:00Z"}') == "2021-07-01T00:00:00Z"
    assert created(msgspec.Raw(b'{"createdDateTime": null}')) is None
    assert created(b'{"id": "1"}') is None


@pytest.mark.parametrize("user", [b'{"createdDateTime": 7}', b"[]", b""])
def test_a_date_that_is_none_is_an_error(user: bytes) -> None:
    with pytest.raises(MalformedPage, match="createdDateTime is not a date"):
        created(user)
