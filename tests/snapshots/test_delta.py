"""Changes since a delta link: what was said last of each user, all of it or a named error."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entra_users.delta import MAX_CHANGES, Changes, latest_link, read_changes
from entra_users.errors import BadQuery, MalformedPage, PageTokenExpired, ResyncRequired
from entra_users.graph import Graph
from simulator import Simulator
from simulator.directory import Directory
from simulator.faults import Fault, answered, page_fault
from tests.product.conftest import GRAPH
from tests.snapshots.stored import SELECT

LINK = f"{GRAPH}/v1.0/users/delta?$deltatoken=begun"
NEXT = f"{GRAPH}/v1.0/users/delta?$skiptoken=second"
LAST = f"{GRAPH}/v1.0/users/delta?$deltatoken=next"
REMOVED = {"@removed": {"reason": "changed"}}
OVER_THE_WIRE = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def page(*users: Any, following: str | None = None, link: str | None = None) -> Fault:
    """A page of changes, as Graph answers it."""
    links = {"@odata.nextLink": following, "@odata.deltaLink": link}
    body = {"value": users, **{name: value for name, value in links.items() if value is not None}}
    return answered(200, json.dumps(body), path="/users/delta$")


def said(changes: Changes) -> list[tuple[str, Any]]:
    """What was said of whom, last changed last."""
    return [(key, None if user is None else msgspec.json.decode(user)) for key, user in changes.users.items()]


def test_changes_are_read_over_all_pages_in_the_order_of_each_users_last_change(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(
        page({"id": "1", "displayName": "A"}, {"id": "2", **REMOVED}, following=NEXT),
        page({"id": "3"}, {"id": "1", "mail": None}, link=LAST),
    )
    changes = read_changes(graph, LINK)
    assert said(changes) == [("2", None), ("3", {"id": "3"}), ("1", {"id": "1", "displayName": "A", "mail": None})]
    assert changes.link == LAST
    assert LAST not in repr(changes)


@pytest.mark.parametrize(
    ("mentions", "last"),
    [
        ([{"displayName": "A"}, {"displayName": "B"}], {"id": "1", "displayName": "B"}),
        ([{"displayName": "A", "mail": "a@b"}, {"displayName": None}], {"id": "1", "displayName": None, "mail": "a@b"}),
        ([{"displayName": "A"}, REMOVED], None),
        ([REMOVED, REMOVED], None),
        # Who was restored is said as a whole.
        ([{"mail": "a@b"}, REMOVED, {"displayName": "C"}], {"id": "1", "displayName": "C"}),
        ([{"@removed": {"reason": "deleted"}}], None),
        ([{"@removed": {}}], None),
        ([{"@removed": None, "mail": "a@b"}], {"id": "1", "@removed": None, "mail": "a@b"}),
    ],
)
def test_what_is_said_of_a_user_is_laid_over_what_was_said_before(
    azure: Simulator, graph: Graph, mentions: list[dict[str, Any]], last: dict[str, Any] | None
) -> None:
    azure.faults.plan(page(*[{"id": "1", **each} for each in mentions], link=LAST))
    assert said(read_changes(graph, LINK)) == [("1", last)]


def test_empty_pages_are_no_end(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(page(following=NEXT), page({"id": "1"}, link=LAST))
    assert said(read_changes(graph, LINK)) == [("1", {"id": "1"})]


def test_changes_without_a_delta_link_are_not_all(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(page({"id": "1"}))
    with pytest.raises(MalformedPage, match="without a delta link, so that some may be missing"):
        read_changes(graph, LINK)


@pytest.mark.parametrize("item", [{}, {"id": None}, {"id": 7}, 7, None, [], {"id": "1", "@removed": 7}])
def test_a_change_of_nobody_is_an_error(azure: Simulator, graph: Graph, item: Any) -> None:
    azure.faults.plan(page({"id": "1"}, item, link=LAST))
    with pytest.raises(MalformedPage, match="a change without the id of whom it concerns"):
        read_changes(graph, LINK)


def test_as_many_changes_as_fit_in_memory_are_read(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(page(*[{"id": str(number)} for number in range(MAX_CHANGES)], {"id": "0"}, link=LAST))
    assert len(read_changes(graph, LINK).users) == MAX_CHANGES == 50_000


def test_more_changes_ask_for_a_full_read_before_they_are_all_read(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(page(*[{"id": str(number)} for number in range(MAX_CHANGES + 1)], following=NEXT))
    with pytest.raises(ResyncRequired, match="More than 50,000 users changed") as caught:
        read_changes(graph, LINK)
    assert caught.value.code == "manyChanges"
    assert len(azure.requests) == 1


def begin(azure: Simulator, users: int = 40, **directory: Any) -> None:
    """Another directory, of which no request was made."""
    azure.state.directory = Directory(users, clock=azure.state.clock, **directory)
    azure.state.requests.clear()


def test_the_latest_link_leads_to_what_changes_from_now_on(azure: Simulator, graph: Graph) -> None:
    begin(azure)
    first, second, *_ = azure.directory.users(SELECT)
    azure.directory.update(first["id"], displayName="before")
    link = latest_link(graph, SELECT)
    assert said(read_changes(graph, link)) == []
    azure.directory.update(first["id"], displayName="Ada")
    azure.directory.remove(second["id"])
    new = azure.directory.add(displayName="Grace")
    changes = read_changes(graph, link)
    (ada, gone, grace) = said(changes)
    assert gone == (second["id"], None)
    assert (ada[0], ada[1]["displayName"]) == (first["id"], "Ada")
    assert grace == (new["id"], {name: new[name] for name in SELECT if name in new})
    assert said(read_changes(graph, changes.link)) == []


def test_the_latest_link_takes_one_request_however_many_users_there_are(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=5000)
    latest_link(graph, SELECT)
    (request,) = azure.requests
    assert request.path == "/v1.0/users/delta"
    assert request.query.startswith(f"$select={','.join(SELECT)}&")


def test_a_tenant_without_delta_queries_says_so(azure: Simulator, graph: Graph) -> None:
    azure.directory.b2c = True
    with pytest.raises(BadQuery):
        latest_link(graph, SELECT)


def test_a_latest_link_that_is_missing_is_an_error(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(page())
    with pytest.raises(MalformedPage, match="without a delta link"):
        latest_link(graph, SELECT)


@pytest.mark.parametrize("expired", [1, 5])
def test_changes_whose_page_token_expires_are_read_again_from_the_delta_link(
    azure: Simulator, graph: Graph, expired: int
) -> None:
    begin(azure, users=450)
    link = latest_link(graph, SELECT)
    ids = [user["id"] for user in azure.directory.users(["id"])]
    for each in ids:
        azure.directory.update(each, displayName="new")
    azure.faults.plan(page_fault("expired-page-token", skip=1, times=expired))
    assert [key for key, _ in said(read_changes(graph, link))] == ids
    assert [each.status for each in azure.requests].count(400) == expired


def test_changes_whose_page_token_expires_six_times_are_an_error(azure: Simulator, graph: Graph) -> None:
    begin(azure, users=250)
    link = latest_link(graph, SELECT)
    for each in azure.directory.users(["id"]):
        azure.directory.update(each["id"], displayName="new")
    azure.faults.plan(page_fault("expired-page-token", times=None))
    with pytest.raises(PageTokenExpired):
        read_changes(graph, link)
    assert [each.status for each in azure.requests] == [200] + [200, 400] * 6


@pytest.mark.parametrize("kind", ["delta-gone", "resync-required", "sync-state-not-found"])
def test_a_delta_link_that_is_no_longer_valid_asks_for_a_full_read(azure: Simulator, graph: Graph, kind: str) -> None:
    begin(azure)
    link = latest_link(graph, SELECT)
    azure.faults.plan(page_fault(kind))
    with pytest.raises(ResyncRequired):
        read_changes(graph, link)


STEPS = st.lists(st.tuples(st.sampled_from(["add", "update", "remove", "restore"]), st.integers(0, 11)), max_size=25)


def take(directory: Directory, step: str, number: int) -> None:
    """One change, if it can be made."""
    ids = sorted(user["id"] for user in directory.users(["id"]))
    gone = sorted(user["id"] for user in directory.deleted())
    if step == "add":
        directory.add(displayName=f"Added {number}")
    elif step == "restore" and gone:
        directory.restore(gone[number % len(gone)])
    elif step == "update" and ids:
        directory.update(ids[number % len(ids)], displayName=f"Name {number}")
    elif step == "remove" and ids:
        directory.remove(ids[number % len(ids)])


def applied(users: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Users after changes."""
    users = dict(users)
    for key, change in said(changes):
        if change is None:
            users.pop(key, None)
        else:
            users[key] = (
                {"displayName": None, "businessPhones": [], "createdDateTime": None} | users.get(key, {}) | change
            )
    return users


@OVER_THE_WIRE
@given(rounds=st.lists(STEPS, min_size=1, max_size=3), shuffle=st.none() | st.integers(0, 99))
def test_changes_applied_round_by_round_give_the_users_there_are(
    azure: Simulator, graph: Graph, rounds: list[list[tuple[str, int]]], shuffle: int | None
) -> None:
    begin(azure, users=10)
    azure.directory.shuffle = shuffle
    users = {user["id"]: user for user in azure.directory.users(SELECT)}
    link = latest_link(graph, SELECT)
    for steps in rounds:
        for step, number in steps:
            take(azure.directory, step, number)
        changes = read_changes(graph, link)
        users, link = applied(users, changes), changes.link
        assert users == {user["id"]: user for user in azure.directory.users(SELECT)}
