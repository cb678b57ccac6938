"""Changes of users: https://learn.microsoft.com/en-us/graph/api/user-delta, .../delta-query-overview."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.directory import Directory
from simulator.faults import page_fault
from simulator.properties import DEFAULT_SELECT
from tests.simulator.graph_client import GraphClient

type User = dict[str, Any]

NEXT, DELTA = "@odata.nextLink", "@odata.deltaLink"
LATEST = "/users/delta?$deltatoken=latest"
MINIMAL = {"Prefer": "return=minimal"}
DAY = 86_400


def changes(graph: GraphClient, url: str, **headers: str) -> tuple[list[User], str]:
    """The items of a round and the delta link at its end."""
    pages = list(graph.pages(url, **headers))
    assert [(NEXT in page, DELTA in page) for page in pages] == [(True, False)] * (len(pages) - 1) + [(False, True)]
    assert all(len(page["value"]) <= 202 for page in pages)
    return [item for page in pages for item in page["value"]], pages[-1][DELTA]


def latest(graph: GraphClient, query: str = "") -> str:
    """A delta link from now on."""
    items, link = changes(graph, LATEST + query)
    assert items == []
    return link


def merged(users: dict[str, User], items: list[User]) -> dict[str, User]:
    """The users after these items, as the documentation says to merge them: the last of each counts."""
    users = dict(users)
    for item in items:
        if "@removed" in item:
            users.pop(item["id"], None)
        else:
            users[item["id"]] = users.get(item["id"], {}) | item
    return users


def same(users: dict[str, User], directory: Directory, names: list[str]) -> bool:
    """Whether these are the users of the directory; what is absent counts as unset."""
    filled = {id_: {name: user.get(name) or None for name in names} for id_, user in users.items()}
    return filled == {user["id"]: {name: user[name] or None for name in names} for user in directory.users(names)}


def test_the_first_round_enumerates_every_user_at_most_200_a_page(graph: GraphClient) -> None:
    graph.start(450)
    pages = list(graph.pages("/users/delta?$select=displayName,createdDateTime"))
    assert [len(page["value"]) for page in pages] == [200, 200, 50]
    users = {user["id"]: user for page in pages for user in page["value"]}
    assert same(users, graph.directory, ["id", "displayName", "createdDateTime"])


@pytest.mark.parametrize("path", ["/users/delta()", "/users/microsoft.graph.delta()"])
def test_the_function_answers_under_its_other_names_too(graph: GraphClient, path: str) -> None:
    assert graph.get(path).json()["value"] == graph.get("/users/delta").json()["value"]


def test_properties_that_were_never_set_are_absent_and_those_set_to_null_are_null(graph: GraphClient) -> None:
    user = graph.directory.add(displayName="A", jobTitle=None)
    items, link = changes(graph, "/users/delta?$select=displayName,jobTitle,mail")
    assert {"id": user["id"], "displayName": "A", "jobTitle": None} in items
    graph.directory.update(user["id"], displayName=None)
    assert changes(graph, link)[0] == [{"id": user["id"], "displayName": None, "jobTitle": None}]


def test_users_without_a_date_of_creation_lack_it(graph: GraphClient) -> None:
    items, _ = changes(graph, "/users/delta?$select=createdDateTime")
    undated = [user["id"] for user in graph.directory.users() if user["createdDateTime"] is None]
    assert sorted(item["id"] for item in items if "createdDateTime" not in item) == sorted(undated)
    assert undated


def test_a_delta_link_gives_what_changed_since_and_then_nothing(graph: GraphClient) -> None:
    link = latest(graph, "&$select=displayName,jobTitle")
    user = graph.directory.users()[7]
    graph.directory.update(user["id"], jobTitle="Changed")
    items, link = changes(graph, link)
    assert items == [{"id": user["id"], "displayName": user["displayName"], "jobTitle": "Changed"}]
    assert changes(graph, link)[0] == []


def test_a_minimal_answer_has_only_what_changed(graph: GraphClient) -> None:
    link = latest(graph, "&$select=displayName,jobTitle")
    user = graph.directory.users()[7]
    graph.directory.update(user["id"], jobTitle="Changed", mail="x@contoso.com")
    added = graph.directory.add(displayName="A")
    response = graph.get(link, **MINIMAL)
    assert response.headers["preference-applied"] == "return=minimal"
    assert response.json()["value"] == [
        {"id": user["id"], "jobTitle": "Changed"},
        {"id": added["id"], "displayName": "A"},
    ]


def test_without_select_the_default_properties_are_tracked(graph: GraphClient) -> None:
    link = latest(graph)
    user = graph.directory.users()[3]
    graph.directory.update(user["id"], department="Other")
    assert changes(graph, link)[0] == []
    graph.directory.update(user["id"], surname="Other")
    [item], _ = changes(graph, link)
    assert set(item) <= set(DEFAULT_SELECT)
    assert item["surname"] == "Other"


def test_a_change_of_what_was_not_selected_does_not_bring_the_user_up(graph: GraphClient) -> None:
    link = latest(graph, "&$select=displayName")
    graph.directory.update(graph.directory.users()[3]["id"], jobTitle="Other")
    assert changes(graph, link)[0] == []


def test_removed_users_can_be_restored_when_changed_and_are_gone_when_deleted(graph: GraphClient) -> None:
    first, second, third, fourth = (user["id"] for user in graph.directory.users()[:4])
    graph.directory.remove(fourth)
    link = latest(graph)
    graph.directory.remove(first)
    graph.directory.remove(second)
    graph.directory.purge(second)
    graph.directory.purge(third)
    graph.directory.purge(fourth)
    items, link = changes(graph, link)
    assert items == [
        {"id": first, "@removed": {"reason": "changed"}},
        {"id": second, "@removed": {"reason": "deleted"}},
        {"id": third, "@removed": {"reason": "deleted"}},
        {"id": fourth, "@removed": {"reason": "deleted"}},
    ]
    graph.directory.purge(first)
    assert changes(graph, link)[0] == [{"id": first, "@removed": {"reason": "deleted"}}]


def test_a_restored_user_appears_as_newly_created(graph: GraphClient) -> None:
    user = graph.directory.users()[0]
    link = latest(graph, "&$select=displayName,userType")
    graph.directory.remove(user["id"])
    _, link = changes(graph, link)
    graph.directory.restore(user["id"])
    assert changes(graph, link, **MINIMAL)[0] == [
        {"id": user["id"], "displayName": user["displayName"], "userType": user["userType"]}
    ]


def test_rounds_can_be_limited_to_50_users_by_id(graph: GraphClient) -> None:
    users = [user["id"] for user in graph.directory.users()]

    def filter_of(ids: list[str]) -> str:
        return quote(" or ".join(f"id eq '{id_}'" for id_ in ids))

    items, link = changes(graph, f"/users/delta?$select=id&$filter={filter_of(users[:50])}")
    assert [item["id"] for item in items] == users[:50]
    graph.directory.remove(users[1])
    graph.directory.remove(users[51])
    assert changes(graph, link)[0] == [{"id": users[1], "@removed": {"reason": "changed"}}]
    for text in (filter_of(users[:51]), "accountEnabled eq true"):
        assert graph.error(f"/users/delta?$filter={text}")[:2] == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize("option", ["$expand=manager", "$orderby=displayName", "$search=x", "$count=true", "$skip=1"])
def test_unsupported_options_are_refused(graph: GraphClient, option: str) -> None:
    assert graph.error(f"/users/delta?{option}")[:2] == (400, "Request_UnsupportedQuery")


def test_top_is_silently_ignored(graph: GraphClient) -> None:
    assert len(graph.get("/users/delta?$top=5").json()["value"]) == 200


def test_links_carry_the_options_of_the_first_request(graph: GraphClient) -> None:
    link = graph.get("/users/delta?$select=mail").json()[NEXT]
    assert link.startswith("https://graph.microsoft.com/v1.0/users/delta?$skiptoken=")
    assert all(set(user) <= {"id", "mail"} for user in graph.get(link).json()["value"])
    assert graph.error(link + "&$select=id")[:2] == (400, "Request_BadRequest")


def test_what_is_tracked_can_be_changed_at_a_delta_link(graph: GraphClient) -> None:
    link = latest(graph, "&$select=mail")
    user = graph.directory.users()[3]
    graph.directory.update(user["id"], jobTitle="Other")
    assert changes(graph, link + "&$select=jobTitle")[0] == [{"id": user["id"], "jobTitle": "Other"}]


# Ends of tokens: https://learn.microsoft.com/en-us/graph/delta-query-overview


def test_a_token_ends_after_seven_days(graph: GraphClient) -> None:
    link, state = latest(graph), graph.azure.state
    start = state.clock()
    state.clock = lambda: start + 7 * DAY - 60
    graph.sign_in()
    assert graph.get(link).status_code == 200
    state.clock = lambda: start + 7 * DAY + 60
    graph.sign_in()
    assert graph.error(link)[:2] == (400, "syncStateNotFound")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("delta-gone", 410, "resyncRequired"),
        ("resync-required", 400, "resyncRequired"),
        ("sync-state-not-found", 400, "syncStateNotFound"),
    ],
)
def test_a_token_can_be_refused_once_as_planned(graph: GraphClient, kind: str, status: int, code: str) -> None:
    graph.azure.faults.plan(page_fault(kind))
    link = latest(graph)
    assert graph.error(link)[:2] == (status, code)
    assert graph.get(link).status_code == 200


def test_a_token_that_is_gone_comes_with_a_location_to_start_anew(graph: GraphClient) -> None:
    link = latest(graph, "&$select=mail")
    graph.azure.faults.plan(page_fault("delta-gone"))
    location = graph.get(link).headers["location"]
    assert location == "https://graph.microsoft.com/v1.0/users/delta?$select=id,mail&$deltatoken="
    assert len(changes(graph, location)[0]) == 250


@pytest.mark.parametrize("token", ["abc", "", "é"])
def test_a_token_that_was_changed_is_refused(graph: GraphClient, token: str) -> None:
    link = latest(graph)
    assert graph.error(f"{link[:-3]}{token}")[:2] == (400, "Request_BadRequest")
    assert graph.error(link.replace("deltatoken", "skiptoken"))[:2] == (400, "Request_BadRequest")


def test_a_page_of_changes_can_be_empty_though_more_follow(graph: GraphClient) -> None:
    graph.azure.faults.plan(page_fault("empty-page"))
    pages = list(graph.pages("/users/delta"))
    assert [len(page["value"]) for page in pages] == [0, 200, 50]


# The law: whatever happens and however it is told, merging gives the directory.

NAMES = ["id", "displayName", "jobTitle", "createdDateTime"]


def change(directory: Directory, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """One change of some user."""
    live = directory.users(["id"])
    deleted = directory.deleted()
    kinds = [
        "add",
        *["update", "update", "other", "remove", "purge"] * bool(live),
        *["restore", "bury"] * bool(deleted),
    ]
    kind = draw(st.sampled_from(kinds))
    if kind == "add":
        directory.add(displayName=draw(st.none() | st.text(max_size=3)))
    elif kind in {"restore", "bury"}:
        id_ = draw(st.sampled_from(deleted))["id"]
        if kind == "restore":
            directory.restore(id_)
        else:
            directory.purge(id_)
    else:
        # Few users, so that the same ones change again and again.
        id_ = draw(st.sampled_from(live[:4] + live[-2:]))["id"]
        if kind == "remove":
            directory.remove(id_)
        elif kind == "purge":
            directory.purge(id_)
        elif kind == "other":
            directory.update(id_, department=draw(st.sampled_from(["HR", "Legal", None])))
        else:
            name = draw(st.sampled_from(["displayName", "jobTitle"]))
            directory.update(id_, **{name: draw(st.none() | st.text(max_size=3))})


@settings(max_examples=60, deadline=None)
@given(users=st.integers(0, 300), shuffle=st.none() | st.integers(0, 9), minimal=st.booleans(), data=st.data())
def test_replaying_rounds_from_any_point_gives_the_directory(
    graph_client: GraphClient, users: int, shuffle: int | None, minimal: bool, data: st.DataObject
) -> None:
    graph_client.start(users)
    directory = graph_client.directory
    directory.shuffle = shuffle
    headers = MINIMAL if minimal else {}
    for _ in range(data.draw(st.integers(0, 4))):
        change(directory, data.draw)
    if data.draw(st.booleans()):
        items, link = changes(graph_client, f"/users/delta?$select={','.join(NAMES)}")
        known = merged({}, items)
    else:
        link = latest(graph_client, f"&$select={','.join(NAMES)}")
        known = {user["id"]: user for user in directory.users(NAMES)}
    for _ in range(data.draw(st.integers(1, 3))):
        for _ in range(data.draw(st.integers(0, 12))):
            change(directory, data.draw)
        directory.lag = data.draw(st.integers(0, 3))
        before = link
        items, link = changes(graph_client, link, **headers)
        known = merged(known, items)
        if data.draw(st.booleans()):  # the same link again: a replay changes nothing
            directory.lag = 0
            items, link = changes(graph_client, before, **headers)
            known = merged(known, items)
    directory.lag = 0
    items, _ = changes(graph_client, link, **headers)
    assert same(merged(known, items), directory, NAMES)


def test_shuffled_rounds_repeat_users_and_hold_empty_pages(graph: GraphClient) -> None:
    graph.start(3000)
    graph.directory.shuffle = 1
    pages = list(graph.pages("/users/delta?$select=id"))
    read = [user["id"] for page in pages for user in page["value"]]
    assert any(not page["value"] for page in pages)
    assert len(read) > len(set(read)) == 3000
    link = pages[-1][DELTA]
    user = graph.directory.users(["id"])[5]
    for title in "abc":
        graph.directory.update(user["id"], displayName=title)
    link = latest(graph, "&$select=displayName")
    for title in "def":
        graph.directory.update(user["id"], displayName=title)
    assert [item["displayName"] for item in changes(graph, link)[0]] == ["d", "e", "f"]
