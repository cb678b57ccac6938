"""The HTTP API in our terms, over TLS to the simulated Graph; test_function_app.py has the worker's side."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entra_users import errors
from entra_users.api import Response, error_response, get_user, list_users
from entra_users.errors import BadQuery, EntraUsersError, MalformedPage, NotFound, SettingsError
from entra_users.graph import Graph
from entra_users.query import from_continuation
from simulator import Fault, Simulator
from simulator.faults import answered, page_fault
from tests.product.conftest import GRAPH

ADDRESS = "https://app.example/api/users"
DISCLOSED = ("id", "createdDateTime", "displayName", "mail", "userPrincipalName", "userType", "businessPhones")
ID = "87d349ed-44d7-43e1-9a83-5f2406dee5bd"


def ask(graph: Graph, parameters: Mapping[str, str] | None = None, **options: Any) -> Response:
    return list_users(graph, parameters or {}, disclosed=DISCLOSED, address=ADDRESS, **options)


def document(response: Response) -> Any:
    return json.loads(response.body)


def parameters_of(link: str) -> dict[str, str]:
    address, _, query = link.partition("?")
    assert address == ADDRESS
    return dict(parse_qsl(query))


def by_id(users: list[Any]) -> list[Any]:
    return sorted(users, key=lambda user: user["id"])


def test_a_page_has_graphs_own_shape_and_what_is_disclosed(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=3)
    response = ask(graph, {"code": "function-key-of-the-caller"})
    assert (response.status, response.headers) == (200, {"Content-Type": "application/json"})
    page = document(response)
    assert by_id(page.pop("value")) == by_id(azure.directory.users(DISCLOSED))
    assert page == {"@odata.context": f"{GRAPH}/v1.0/$metadata#users({','.join(sorted_as_graph(page))})"}
    assert "code" not in azure.requests[0].query


def sorted_as_graph(page: dict[str, Any]) -> list[str]:
    """The properties in the order in which Graph names them, which is its own."""
    names = page["@odata.context"].partition("(")[2].rstrip(")").split(",")
    assert sorted(names) == sorted(DISCLOSED)
    return names


def test_next_links_lead_back_here_until_every_user_came_once(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=35)
    azure.faults.plan(page_fault("empty-page", skip=1))
    users: list[Any] = []
    parameters: dict[str, str] | None = {"$select": "id,displayName", "$top": "10"}
    while parameters is not None:
        page = document(ask(graph, parameters))
        users += page["value"]
        parameters = parameters_of(page["@odata.nextLink"]) if "@odata.nextLink" in page else None
    assert by_id(users) == by_id(azure.directory.users(["id", "displayName"]))


def test_a_next_link_holds_nothing_of_graphs(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=35)
    link = document(ask(graph, {"top": "10"}))["@odata.nextLink"]
    assert "graph.microsoft.com" not in link
    assert set(parameters_of(link)) == {"$skiptoken"}


def test_users_are_the_bytes_that_graph_sent(azure: Simulator, graph: Graph) -> None:
    user = '{ "id":"1",\t"displayName" : "\\u00e4", "n": 1.50, "n": 2 }'
    azure.faults.plan(answered(200, f'{{"value": [{user} , {user}], "@odata.count": 2}}', times=2))
    assert ask(graph).body == f'{{"@odata.count":2,"value":[{user},{user}]}}'.encode()
    assert ask(graph, {"format": "ndjson"}).body == f"{user}\n{user}\n".encode()


def test_a_page_without_any_facts_is_still_a_document(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(answered(200, '{"value": []}'))
    assert ask(graph).body == b'{"value":[]}'


def test_every_option_reaches_graph_as_it_was_given(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=100)
    asked = {
        "$select": "id,userType",
        "$filter": "userType eq 'Guest' and startswith(displayName,'A')",
        "$orderby": "displayName desc",
        "$top": "5",
        "$count": "true",
    }
    page = document(ask(graph, asked))
    assert dict(parse_qsl(azure.requests[0].query)) == asked
    assert azure.requests[0].headers["consistencylevel"] == "eventual"
    matching = [
        user
        for user in azure.directory.users(["id", "userType", "displayName"])
        if user["userType"] == "Guest" and user["displayName"].lower().startswith("a")
    ]
    assert page["@odata.count"] == len(matching)
    wanted = sorted(matching, key=lambda user: user["displayName"].casefold(), reverse=True)[:5]
    assert [user["id"] for user in page["value"]] == [user["id"] for user in wanted]


def test_an_advanced_query_stays_one_on_every_page(azure: Simulator, graph: Graph) -> None:
    """No next link carries the header: https://learn.microsoft.com/en-us/graph/paging."""
    azure.reset(users=35)
    first = ask(graph, {"$search": '"displayName:a"', "$top": "1", "$count": "true"})
    ask(graph, parameters_of(document(first)["@odata.nextLink"]))
    ask(graph, {"$top": "1"}, advanced=True)
    assert [each.headers.get("consistencylevel") for each in azure.requests] == ["eventual"] * 3
    assert [each.status for each in azure.requests] == [200] * 3


@pytest.mark.parametrize(
    ("parameters", "accept", "media_type"),
    [
        ({}, "", "application/json"),
        ({}, "*/*", "application/json"),
        ({}, "text/html, text/csv;q=0.9", "text/csv; charset=utf-8"),
        ({}, "Application/X-NDJSON", "application/x-ndjson"),
        ({}, "application/json, text/csv", "application/json"),
        ({"format": "csv"}, "application/json", "text/csv; charset=utf-8"),
        ({"format": "json"}, "text/csv", "application/json"),
        ({"format": "ndjson"}, "", "application/x-ndjson"),
    ],
)
def test_the_form_is_what_format_names_or_the_first_that_is_accepted(
    azure: Simulator, graph: Graph, parameters: dict[str, str], accept: str, media_type: str
) -> None:
    assert ask(graph, parameters, accept=accept).headers == {"Content-Type": media_type}


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_other_forms_tell_the_next_page_in_the_link_header(azure: Simulator, graph: Graph, form: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc8288"""
    azure.reset(users=25)
    parameters: dict[str, str] | None = {"select": "id, userPrincipalName", "top": "10", "format": form}
    users: list[Any] = []
    while parameters is not None:
        response = ask(graph, parameters)
        if form == "csv":
            users += csv.DictReader(io.StringIO(response.body.decode(), newline=""))
        else:
            users += map(json.loads, response.body.splitlines())
        link = response.headers.get("Link")
        parameters = None
        if link is not None:
            assert link.startswith("<")
            assert link.endswith('>; rel="next"')
            parameters = parameters_of(link[1:-13])
            assert parameters["format"] == form
    assert by_id(users) == by_id(azure.directory.users(["id", "userPrincipalName"]))


def test_an_address_cannot_break_out_of_the_link_header(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    response = list_users(
        graph, {"top": "10", "format": "csv"}, disclosed=DISCLOSED, address='https://x/>;\r\nSet-Cookie: "a'
    )
    assert set(response.headers["Link"][1:-13]) & set('<>"\r\n ;') == set()


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"format": "xml"}, "format must be one of json, ndjson, csv."),
        ({"$expand": "manager"}, "$expand is not an option here"),
        ({"$select": "department"}, "$select names 'department', which this app does not disclose."),
        ({"$skiptoken": "bad"}, "$skiptoken is not one that this app gave; begin again from the first page."),
        ({"$skiptoken": "bad", "$top": "5"}, "$top cannot be given with $skiptoken"),
    ],
)
def test_a_bad_query_names_the_parameter_and_nothing_is_asked_of_graph(
    azure: Simulator, graph: Graph, parameters: dict[str, str], told: str
) -> None:
    with pytest.raises(BadQuery, match="^" + told.replace("$", r"\$").split(";")[0]):
        ask(graph, parameters)
    assert list(azure.requests) == []


def test_a_continuation_of_another_app_is_held_to_this_ones_rules(azure: Simulator, graph: Graph) -> None:
    """An app that discloses more gave it; both read the same tenant."""
    azure.reset(users=25)
    wide = (*DISCLOSED, "department")
    link = document(list_users(graph, {"top": "10"}, disclosed=wide, address=ADDRESS))["@odata.nextLink"]
    continuation = parameters_of(link)["$skiptoken"]
    from_continuation(continuation, GRAPH, wide)
    with pytest.raises(BadQuery):
        ask(graph, {"$skiptoken": continuation})
    assert len(azure.requests) == 1


NAMES = st.sampled_from([*DISCLOSED, "department", "jobTitle", "onPremisesSyncEnabled"])
CLAUSES = st.builds(
    "{0} {1} '{2}'".format, NAMES, st.sampled_from(["eq", "ne", "ge"]), st.sampled_from(["Sales", "a", "x' or y eq 'z"])
) | st.builds("startswith({0},'{1}')".format, NAMES, st.sampled_from(["S", "A"]))
FILTERS = st.lists(CLAUSES, min_size=1, max_size=3).map(" or ".join)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    filter_=FILTERS,
    order=NAMES,
    hidden=st.sampled_from(["department", "jobTitle"]),
    value=st.sampled_from(["Sales", "A"]),
)
def test_no_answer_depends_on_a_property_that_is_not_disclosed(
    azure: Simulator, make_graph: Callable[..., Graph], filter_: str, order: str, hidden: str, value: str
) -> None:
    """Two tenants that differ in a hidden property alone look the same, whatever is asked."""
    answers: list[Any] = []
    for changed in ({}, {hidden: value}):
        azure.reset()
        azure.directory.add(id=ID, displayName="Adele", createdDateTime="2021-01-01T00:00:00Z", **changed)
        asked = {"$filter": filter_, "$orderby": order, "$count": "true"}
        try:
            answers.append(document(ask(make_graph(), asked)))
        except EntraUsersError as error:
            answers.append((type(error), error.code, error.args))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("by", ["id", "userPrincipalName"])
def test_one_user_is_read_by_id_or_name(azure: Simulator, graph: Graph, by: str) -> None:
    azure.reset(users=5)
    wanted = azure.directory.users(DISCLOSED)[2]
    response = get_user(graph, wanted[by], {"code": "x", "select": " id, mail "}, disclosed=DISCLOSED)
    assert (response.status, response.headers) == (200, {"Content-Type": "application/json"})
    user = document(response)
    assert user.pop("@odata.context").endswith("/$entity")
    assert user == {"id": wanted["id"], "mail": wanted["mail"]}
    everything = document(get_user(graph, wanted[by], {}, disclosed=DISCLOSED))
    del everything["@odata.context"]
    assert everything == wanted


@pytest.mark.parametrize(
    "name", ["o'hara@contoso.com", "$o'hara@contoso.com", "adele_x.com#EXT#@contoso.com", "Müller@x.y"]
)
def test_a_user_is_found_whatever_the_name(azure: Simulator, graph: Graph, name: str) -> None:
    azure.directory.add(id=ID, userPrincipalName=name)
    assert document(get_user(graph, name, {"select": "id"}, disclosed=DISCLOSED))["id"] == ID


def test_a_user_who_is_not_there_is_not_found(azure: Simulator, graph: Graph) -> None:
    with pytest.raises(NotFound) as caught:
        get_user(graph, "nobody@contoso.com", {}, disclosed=DISCLOSED)
    assert (caught.value.status, caught.value.code) == (404, "Request_ResourceNotFound")


@pytest.mark.parametrize("key", ["delta", "$count", "..", "", "a/b@c"])
def test_a_key_that_is_no_users_is_not_found_and_not_asked_for(azure: Simulator, graph: Graph, key: str) -> None:
    with pytest.raises(NotFound):
        get_user(graph, key, {}, disclosed=DISCLOSED)
    assert list(azure.requests) == []


def test_who_may_not_see_names_cannot_look_for_them(azure: Simulator, graph: Graph) -> None:
    azure.directory.add(id=ID, userPrincipalName="adele@contoso.com")
    with pytest.raises(BadQuery, match="this app does not disclose userPrincipalName"):
        get_user(graph, "adele@contoso.com", {}, disclosed=("id",))
    assert document(get_user(graph, ID, {}, disclosed=("id",)))["id"] == ID


@pytest.mark.parametrize(
    "parameters", [{"$filter": "id eq '1'"}, {"$top": "1"}, {"format": "csv"}, {"$select": "department"}]
)
def test_one_user_takes_a_selection_alone(azure: Simulator, graph: Graph, parameters: dict[str, str]) -> None:
    with pytest.raises(BadQuery):
        get_user(graph, ID, parameters, disclosed=DISCLOSED)
    assert list(azure.requests) == []


@pytest.mark.parametrize("body", [b"[]", b"", b"<html>", b'"x"'])
def test_an_answer_that_is_no_user_is_an_error(azure: Simulator, graph: Graph, body: bytes) -> None:
    azure.faults.plan(Fault(status=200, body=body))
    with pytest.raises(MalformedPage):
        get_user(graph, ID, {}, disclosed=DISCLOSED)


def every_error() -> list[type[EntraUsersError]]:
    kinds = [EntraUsersError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return [kind for kind in kinds if kind.__module__ == errors.__name__]


STATUSES = {
    "BadQuery": (400, "Request_BadRequest"),
    "AccessDenied": (403, "Authorization_RequestDenied"),
    "NotFound": (404, "Request_ResourceNotFound"),
    "ObjectNotFound": (404, "itemNotFound"),
    "RunInProgress": (409, "runInProgress"),
    "RestartRequired": (410, "resyncRequired"),
    "PageTokenExpired": (410, "resyncRequired"),
    "ResyncRequired": (410, "resyncRequired"),
    "Throttled": (429, "TooManyRequests"),
    "Incomplete": (502, "incompleteAnswer"),
    "MalformedPage": (502, "incompleteAnswer"),
    "BrokenPaging": (502, "incompleteAnswer"),
    "IncompleteDirectory": (502, "incompleteAnswer"),
    "TimedOut": (504, "timeout"),
    "Unavailable": (503, "serviceNotAvailable"),
    "SettingsError": (500, "appNotConfigured"),
    "CredentialError": (500, "appNotConfigured"),
    "IdentityError": (500, "appNotConfigured"),
    "VaultError": (500, "appNotConfigured"),
    "TokenError": (500, "appNotConfigured"),
}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_status_and_graphs_shape(kind: type[EntraUsersError]) -> None:
    error = SettingsError(["What happened."]) if kind is SettingsError else kind("What happened.")
    response = error_response(error)
    status, code = STATUSES.get(kind.__name__, (500, "generalException"))
    assert response.status == status
    assert document(response) == {
        "error": {"code": code, "message": "What happened.", "innerError": {"request-id": None}}
    }
    retry = {"Retry-After": "10"} if status in (429, 503) else {}
    assert response.headers == {"Content-Type": "application/json"} | retry


def test_an_error_tells_the_services_code_and_request_and_what_to_do() -> None:
    error = errors.Throttled("Wait.", status=429, code="TooMany", request_id="the-id", retry_after=2.1)
    response = error_response(error, "Do this.")
    assert response.headers["Retry-After"] == "3"
    assert document(response) == {
        "error": {"code": "TooMany", "message": "Wait. Do this.", "innerError": {"request-id": "the-id"}}
    }


def test_an_error_of_graphs_is_passed_on_with_its_request_id(azure: Simulator, graph: Graph) -> None:
    azure.entra.application.graph_roles.clear()
    with pytest.raises(EntraUsersError) as caught:
        ask(graph)
    response = error_response(caught.value)
    told = document(response)["error"]
    assert (response.status, told["code"]) == (403, "Authorization_RequestDenied")
    assert "Insufficient privileges to complete the operation." in told["message"]
    assert len(told["innerError"]["request-id"]) == 36


def test_the_address_of_a_next_link_is_the_one_that_was_called(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    response = list_users(graph, {"top": "10"}, disclosed=DISCLOSED, address="http://localhost:7071/api/users")
    assert urlsplit(document(response)["@odata.nextLink"])[:3] == ("http", "localhost:7071", "/api/users")
