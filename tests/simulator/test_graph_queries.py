"""Filters, search, sorting and counts: https://learn.microsoft.com/en-us/graph/aad-advanced-queries."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.graph_client import EVENTUAL, GraphClient

type User = dict[str, Any]

E5 = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
MISSING = (
    "Operator '{}' is not supported because the required parameters might be missing. Try adding $count=true query "
    "parameter and ConsistencyLevel:eventual header. Refer to https://aka.ms/graph-docs/advanced-queries for more "
    "information"
)


def ids(users: list[User]) -> list[str]:
    return sorted(user["id"] for user in users)


def filtered(graph: GraphClient, text: str, *, advanced: bool) -> list[User]:
    """The users of every page of a filter."""
    if advanced:
        return graph.users(f"/users?$top=70&$select=id&$count=true&$filter={quote(text)}", **EVENTUAL)
    return graph.users(f"/users?$top=70&$select=id&$filter={quote(text)}")


def lower(user: User, name: str) -> str:
    return (user[name] or "").lower()


BY_DEFAULT: list[tuple[str, Callable[[User], bool]]] = [
    ("accountEnabled eq false", lambda u: not u["accountEnabled"]),
    ("userType eq 'guest'", lambda u: u["userType"] == "Guest"),
    ("department in ('HR','Legal')", lambda u: u["department"] in {"HR", "Legal"}),
    ("department in ('HR')", lambda u: u["department"] == "HR"),
    ("jobTitle eq 'VP, Marketing' or jobTitle eq 'CVP'", lambda u: u["jobTitle"] in {"VP, Marketing", "CVP"}),
    ("startsWith(displayName,'=')", lambda u: lower(u, "displayName").startswith("=")),
    ("startswith(userPrincipalName,'J')", lambda u: lower(u, "userPrincipalName").startswith("j")),
    ("surname eq 'O''Brien'", lambda u: u["surname"] == "O'Brien"),
    ("givenName eq 'José' and accountEnabled eq true", lambda u: u["givenName"] == "José" and u["accountEnabled"]),
    (f"assignedLicenses/any(x:x/skuId eq {E5})", lambda u: any(each["skuId"] == E5 for each in u["assignedLicenses"])),
    ("otherMails/any(x:startswith(x,'a'))", lambda u: any(each.startswith("a") for each in u["otherMails"])),
    ("onPremisesSyncEnabled eq true", lambda u: u["onPremisesSyncEnabled"] is True),
    ("createdDateTime ge 2020-01-01T00:00:00Z", lambda u: (u["createdDateTime"] or "") >= "2020-01-01T00:00:00Z"),
    (
        "userType eq 'Member' and createdDateTime le 2020-01-01T01:00:00%2B01:00".replace("%2B", "+"),
        lambda u: u["userType"] == "Member" and (u["createdDateTime"] or "Z") <= "2020-01-01T00:00:00Z",
    ),
]

ADVANCED_ONLY: list[tuple[str, str, Callable[[User], bool]]] = [
    ("ne", "department ne 'HR'", lambda u: u["department"] != "HR"),
    ("not", "not(startswith(displayName,'='))", lambda u: not lower(u, "displayName").startswith("=")),
    ("not", "NOT startsWith(displayName,'=')", lambda u: not lower(u, "displayName").startswith("=")),
    ("endswith", "endsWith(mail,'@contoso.com')", lambda u: lower(u, "mail").endswith("@contoso.com")),
    (
        "endswith",
        "proxyAddresses/any (p:endsWith(p,'FABRIKAM.example'))",
        lambda u: any(each.endswith("fabrikam.example") for each in u["proxyAddresses"]),
    ),
    ("eq", "department eq null", lambda u: u["department"] is None),
    ("eq", "createdDateTime eq null", lambda u: u["createdDateTime"] is None),
    ("eq", "mail eq null", lambda u: u["mail"] is None),
    ("eq", "officeLocation eq '東京'", lambda u: u["officeLocation"] == "東京"),
    (
        "startswith",
        "startswith(mobilePhone,'+1 425 555 1')",
        lambda u: lower(u, "mobilePhone").startswith("+1 425 555 1"),
    ),
    ("eq", "assignedLicenses/$count eq 0", lambda u: not u["assignedLicenses"]),
    ("ne", "companyName ne null and department eq 'HR'", lambda u: bool(u["companyName"]) and u["department"] == "HR"),
    (
        "ge",
        "employeeHireDate ge 2020-01-01T00:00:00Z",
        lambda u: (u["employeeHireDate"] or "") >= "2020-01-01T00:00:00Z",
    ),
]


@pytest.mark.parametrize(("text", "holds"), BY_DEFAULT, ids=[text for text, _ in BY_DEFAULT])
@pytest.mark.parametrize("advanced", [False, True])
def test_filters_that_work_by_default_work_as_advanced_queries_too(
    graph: GraphClient, text: str, holds: Callable[[User], bool], advanced: bool
) -> None:
    wanted = ids([user for user in graph.directory.users() if holds(user)])
    assert wanted
    assert ids(filtered(graph, text, advanced=advanced)) == wanted


@pytest.mark.parametrize(("operator", "text", "holds"), ADVANCED_ONLY, ids=[text for _, text, _ in ADVANCED_ONLY])
def test_filters_for_advanced_queries_need_the_header_and_the_count(
    graph: GraphClient, operator: str, text: str, holds: Callable[[User], bool]
) -> None:
    wanted = ids([user for user in graph.directory.users() if holds(user)])
    assert wanted
    assert ids(filtered(graph, text, advanced=True)) == wanted
    refused = (400, "Request_UnsupportedQuery", MISSING.format(operator))
    assert graph.error(f"/users?$filter={quote(text)}") == refused
    assert graph.error(f"/users?$filter={quote(text)}&$count=true") == refused
    assert graph.error(f"/users?$filter={quote(text)}", **EVENTUAL) == refused


@pytest.mark.parametrize(
    "text",
    [
        "createdDateTime lt 2020-01-01T00:00:00Z",
        "createdDateTime gt 2020-01-01T00:00:00Z",
        "createdDateTime eq 2020-01-01T00:00:00Z",
        "createdDateTime ge 2020-01-01",
        "createdDateTime ge '2020-01-01T00:00:00Z'",
        "displayName ge 'a'",
        "userPrincipalName ge 'a'",
        "startswith(id,'a')",
        "contains(displayName,'a')",
        "accountEnabled eq null",
        "accountEnabled eq 'true'",
        "skills/any(s:s eq 'x')",
        "endswith(displayName,'a')",
    ],
)
def test_filters_that_the_tables_do_not_list_are_refused_in_any_mode(graph: GraphClient, text: str) -> None:
    for url, headers in (
        (f"/users?$filter={quote(text)}", {}),
        (f"/users?$count=true&$filter={quote(text)}", EVENTUAL),
    ):
        assert graph.error(url, **headers)[:2] == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize("text", ["", "displayName eq", "shoeSize eq 4", "displayName = 'x'", "displayName eq 'a"])
def test_text_that_is_no_filter_is_refused(graph: GraphClient, text: str) -> None:
    assert graph.error(f"/users?$filter={quote(text)}")[:2] == (400, "BadRequest")


def test_a_text_in_a_filter_may_look_like_a_filter(graph: GraphClient) -> None:
    user = graph.directory.add(displayName="a in (b) and not(c) or startsWith(d,'e') /$count")
    text = "displayName eq 'a in (b) and not(c) or startsWith(d,''e'') /$count'"
    assert ids(filtered(graph, text, advanced=False)) == [user["id"]]


def test_a_filter_finds_users_as_they_are_now(graph: GraphClient) -> None:
    first, second, third = [user for user in graph.directory.users() if user["department"] == "HR"][:3]
    graph.directory.update(first["id"], department="Legal")
    graph.directory.remove(second["id"])
    graph.directory.add(department="HR")
    guest = next(user for user in graph.directory.users() if user["userType"] == "Guest")
    graph.directory.update(guest["id"], department="HR")
    graph.directory.update(guest["id"], userPrincipalName=f"was-{third['userPrincipalName']}")
    wanted = [user for user in graph.directory.users() if user["department"] == "HR"]
    assert ids(filtered(graph, "department eq 'HR'", advanced=False)) == ids(wanted)
    assert graph.get("/users/$count?$filter=department eq 'HR'", **EVENTUAL).text == str(len(wanted))
    renamed = f"userPrincipalName eq 'was-{third['userPrincipalName'].replace("'", "''")}'"
    assert ids(filtered(graph, renamed, advanced=False)) == [guest["id"]]


# Sign-in activity: https://learn.microsoft.com/en-us/graph/api/resources/signinactivity


def test_sign_in_activity_is_filtered_by_date_and_with_nothing_else(graph: GraphClient) -> None:
    graph.azure.entra.application.graph_roles.add("AuditLog.Read.All")
    graph.sign_in()
    text = "signInActivity/lastSignInDateTime le 2026-03-01T00:00:00Z"
    wanted = [
        user
        for user in graph.directory.users()
        if user["signInActivity"] and user["signInActivity"]["lastSignInDateTime"] <= "2026-03-01T00:00:00Z"
    ]
    assert ids(filtered(graph, text, advanced=False)) == ids(wanted)
    assert graph.error(f"/users?$filter={text} and accountEnabled eq true")[:2] == (400, "Request_UnsupportedQuery")


# Counting


def test_the_count_segment_needs_the_header_and_is_plain_text(graph: GraphClient) -> None:
    assert graph.error("/users/$count") == (400, "Request_BadRequest", "$count is not currently supported.")
    response = graph.get("/users/$count", **EVENTUAL)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == "250"


def test_the_count_comes_on_the_first_page_only(graph: GraphClient) -> None:
    pages = list(graph.pages("/users?$count=true&$top=90&$filter=accountEnabled eq true", **EVENTUAL))
    enabled = sum(user["accountEnabled"] for user in graph.directory.users())
    assert [page.get("@odata.count") for page in pages] == [enabled, *[None] * (len(pages) - 1)]
    assert len(pages) > 1


def test_a_count_asked_for_without_the_header_is_silently_left_out(graph: GraphClient) -> None:
    assert "@odata.count" not in graph.get("/users?$count=true").json()


def test_the_header_must_be_sent_again_with_every_next_link(graph: GraphClient) -> None:
    """https://learn.microsoft.com/en-us/graph/paging"""
    link = graph.get("/users?$count=true&$top=9", **EVENTUAL).json()["@odata.nextLink"]
    assert graph.error(link)[:2] == (400, "Request_BadRequest")
    assert graph.get(link, **EVENTUAL).status_code == 200


DATES = st.integers(0, 12 * 366 * 86_400 * 10).map(
    lambda tenths: datetime(2014, 6, 30, tzinfo=UTC) + timedelta(seconds=tenths / 10)
)


@settings(max_examples=60, deadline=None)
@given(
    users=st.integers(0, 3000),
    seed=st.integers(0, 5),
    bulk=st.integers(0, 1500),
    undated=st.none() | st.integers(0, 100),
    dates=st.tuples(DATES, DATES),
    data=st.data(),
)
def test_counts_of_ranges_of_creation_dates_are_those_of_counting_one_by_one(
    graph_client: GraphClient,
    users: int,
    seed: int,
    bulk: int,
    undated: int | None,
    dates: tuple[datetime, datetime],
    data: st.DataObject,
) -> None:
    graph_client.start(users, seed=seed, bulk=min(users, bulk), undated=undated)
    directory = graph_client.directory
    everyone = directory.users(["id", "createdDateTime", "userType"])
    if everyone:
        directory.add(createdDateTime=data.draw(st.sampled_from(["2018-01-01T00:00:00Z", "2022-02-02T02:02:02Z"])))
        directory.remove(data.draw(st.sampled_from(everyone))["id"])
        directory.update(data.draw(st.sampled_from(directory.users(["id"])))["id"], jobTitle="Changed")
    everyone = directory.users(["id", "createdDateTime", "userType"])
    known = [datetime.fromisoformat(user["createdDateTime"]) for user in everyone if user["createdDateTime"]]
    start, end = (data.draw(st.sampled_from([date, *known[:: max(1, len(known) // 9)]])) for date in dates)
    inside = [
        user
        for user in everyone
        if user["createdDateTime"] and start <= datetime.fromisoformat(user["createdDateTime"]) <= end
    ]
    between = " and ".join(
        f"createdDateTime {operator} {date.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"
        for operator, date in (("ge", start), ("le", end))
    )

    def count(text: str) -> int:
        return int(graph_client.get(f"/users/$count?$filter={text}", **EVENTUAL).text)

    assert count(between) == len(inside)
    assert count(f"{between} and userType eq 'Guest'") == sum(user["userType"] == "Guest" for user in inside)
    assert count("createdDateTime eq null") == len(everyone) - len(known)
    assert int(graph_client.get("/users/$count", **EVENTUAL).text) == len(everyone) == len(directory)
    top = data.draw(st.integers(1, 999))
    if len(inside) / top < 20:
        read = graph_client.users(f"/users?$top={top}&$select=id&$count=true&$filter={between}", **EVENTUAL)
        assert ids(read) == ids(inside)


def test_a_bulk_import_of_a_thousand_users_lies_in_one_second(graph: GraphClient) -> None:
    graph.start(3000, bulk=1000)
    dates = [user["createdDateTime"] for user in graph.directory.users(["createdDateTime"])]
    most = max({*dates} - {None}, key=dates.count)
    assert dates.count(most) >= 1000
    text = f"createdDateTime ge {most} and createdDateTime le {most}"
    assert len(filtered(graph, text, advanced=True)) == dates.count(most)


def test_a_directory_of_ten_million_users_answers_counts_and_ranges(graph: GraphClient) -> None:
    graph.start(10_000_000)
    assert graph.get("/users/$count", **EVENTUAL).text == "10000000"
    bounds = [f"{year}-01-01T00:00:00Z" for year in range(2014, 2028)]
    counts = [int(graph.get(f"/users/$count?$filter=createdDateTime ge {start}", **EVENTUAL).text) for start in bounds]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 10_000_000 - int(graph.get("/users/$count?$filter=createdDateTime eq null", **EVENTUAL).text)
    page = graph.get(
        "/users?$top=999&$select=id,createdDateTime&$count=true&$filter="
        "createdDateTime ge 2020-03-01T00:00:00Z and createdDateTime le 2020-03-01T12:00:00Z",
        **EVENTUAL,
    ).json()
    assert len(page["value"]) == min(999, page["@odata.count"])
    assert all(user["createdDateTime"].startswith("2020-03-01T") for user in page["value"])


# Sorting


@pytest.mark.parametrize("name", ["displayName", "userPrincipalName"])
@pytest.mark.parametrize(("direction", "down"), [("", False), (" asc", False), (" desc", True)])
def test_names_are_sorted_by_default(graph: GraphClient, name: str, direction: str, down: bool) -> None:
    read = graph.users(f"/users?$orderby={name}{direction}&$top=33&$select=id,{name}")
    keys = [user[name].casefold() for user in read]
    assert keys == sorted(keys, reverse=down)
    assert ids(read) == ids(graph.directory.users(["id"]))


def test_a_sorted_list_keeps_its_order_while_users_change(graph: GraphClient) -> None:
    pages = graph.pages("/users?$orderby=displayName&$top=50&$select=id,displayName")
    read = next(pages)["value"]
    graph.directory.update(read[0]["id"], displayName="zzz")
    graph.directory.remove(read[1]["id"])
    read += [user for page in pages for user in page["value"]]
    assert len({user["id"] for user in read}) == len(read) == 250


@pytest.mark.parametrize("query", ["$orderby=createdDateTime", "$orderby=displayName&$filter=accountEnabled eq true"])
def test_other_sorting_and_sorting_of_a_filter_are_advanced(graph: GraphClient, query: str) -> None:
    assert graph.error(f"/users?{query}") == (
        400,
        "Request_UnsupportedQuery",
        "Sorting not supported for current query.",
    )
    read = graph.users(f"/users?{query}&$count=true&$select=id,displayName,createdDateTime", **EVENTUAL)
    name = "createdDateTime" if "created" in query else "displayName"
    keys = [(user[name] or "").casefold() for user in read]
    assert keys == sorted(keys)


def test_properties_that_cannot_be_sorted_by_are_refused(graph: GraphClient) -> None:
    assert graph.error("/users?$orderby=mail")[:2] == (400, "Request_UnsupportedQuery")
    assert graph.error("/users?$orderby=shoeSize")[:2] == (400, "BadRequest")
    assert graph.error("/users?$orderby=displayName upwards")[:2] == (400, "BadRequest")


# Searching: https://learn.microsoft.com/en-us/graph/search-query-parameter


SEARCH_REFUSED = (
    "Request with $search query parameter only works through MSGraph with a special request header: "
    "'ConsistencyLevel: eventual'"
)
SEARCHES: list[tuple[str, Callable[[User], bool]]] = [
    ('"displayName:brien"', lambda u: "brien" in lower(u, "displayName")),
    ('"givenName:adele"', lambda u: lower(u, "givenName").startswith("adele")),
    (
        '"displayName:kovač" AND "mail:jose"',
        lambda u: "kovač" in lower(u, "displayName") and lower(u, "mail").startswith("jose"),
    ),
    ('"mail:jose" OR "mail:adele"', lambda u: lower(u, "mail").startswith(("jose", "adele"))),
]


@pytest.mark.parametrize(("text", "holds"), SEARCHES, ids=[text for text, _ in SEARCHES])
def test_a_search_needs_the_header_but_no_count(graph: GraphClient, text: str, holds: Callable[[User], bool]) -> None:
    wanted = ids([user for user in graph.directory.users() if holds(user)])
    assert wanted
    assert ids(graph.users(f"/users?$select=id&$search={quote(text)}", **EVENTUAL)) == wanted
    assert graph.error(f"/users?$search={quote(text)}") == (
        400,
        "Request_UnsupportedQuery",
        SEARCH_REFUSED,
    )


@pytest.mark.parametrize(
    ("text", "code"), [("displayName:x", "BadRequest"), ("", "BadRequest"), ('"x:y"', "Request_UnsupportedQuery")]
)
def test_a_search_without_quotes_or_of_an_unsearchable_property_is_refused(
    graph: GraphClient, text: str, code: str
) -> None:
    assert graph.error(f"/users?$search={quote(text)}", **EVENTUAL)[:2] == (400, code)


# Tenants without advanced queries: https://learn.microsoft.com/en-us/graph/api/user-list


def test_b2c_tenants_have_neither_advanced_queries_nor_counts_nor_search_nor_delta(graph: GraphClient) -> None:
    graph.directory.b2c = True
    assert graph.error("/users/$count", **EVENTUAL)[:2] == (400, "Request_BadRequest")
    for query in ("$count=true", "$count=true&$filter=createdDateTime eq null", '$search="displayName:x"'):
        assert graph.error(f"/users?{query}", **EVENTUAL)[:2] == (400, "Request_UnsupportedQuery")
    assert graph.error("/users/delta")[:2] == (400, "Request_UnsupportedQuery")
    assert ids(graph.users("/users?$top=99")) == ids(graph.directory.users(["id"]))


def test_expanding_relationships_is_not_offered(graph: GraphClient) -> None:
    assert graph.error("/users?$expand=manager")[:2] == (501, "NotImplemented")
