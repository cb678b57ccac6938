"""Lists of users and single users: https://learn.microsoft.com/en-us/graph/api/user-list, .../user-get."""

import gzip
import json
import re
from itertools import pairwise
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.directory import Directory
from simulator.properties import PROPERTIES
from tests.simulator.graph_client import EVENTUAL, GraphClient

DEFAULT = "businessPhones displayName givenName id jobTitle mail mobilePhone officeLocation preferredLanguage surname"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def by_id(users: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    return {user["id"]: user for user in users}


# Pages: https://learn.microsoft.com/en-us/graph/api/user-list and https://learn.microsoft.com/en-us/graph/paging


def test_a_page_has_100_users_with_the_default_properties_unless_asked_otherwise(graph: GraphClient) -> None:
    page = graph.get("/users").json()
    assert page["@odata.context"] == "https://graph.microsoft.com/v1.0/$metadata#users"
    assert len(page["value"]) == 100
    assert {frozenset(user) for user in page["value"]} == {frozenset([*DEFAULT.split(), "userPrincipalName"])}


@settings(max_examples=25, deadline=None)
@given(users=st.integers(0, 400), top=st.integers(1, 999), seed=st.integers(0, 3), bulk=st.integers(0, 50))
def test_every_page_size_gives_the_same_users_exactly_once(
    graph_client: GraphClient, users: int, top: int, seed: int, bulk: int
) -> None:
    graph_client.start(users, seed=seed, bulk=min(users, bulk))
    pages = list(graph_client.pages(f"/users?$top={top}&$select=id,createdDateTime,displayName"))
    assert [len(page["value"]) for page in pages[:-1]] == [top] * (len(pages) - 1)
    read = [user for page in pages for user in page["value"]]
    assert sorted(read, key=lambda user: user["id"]) == sorted(
        graph_client.directory.users(["id", "createdDateTime", "displayName"]), key=lambda user: user["id"]
    )


def test_users_do_not_come_in_the_order_of_their_creation(graph: GraphClient) -> None:
    read = [user["id"] for user in graph.users("/users?$select=id")]
    created = [user["id"] for user in graph.directory.users(["id"])]
    assert read != created
    assert sorted(read) == sorted(created)


@pytest.mark.parametrize("top", ["0", "1000", "5000"])
def test_a_page_size_outside_1_to_999_is_refused_by_a_message_with_that_range(graph: GraphClient, top: str) -> None:
    assert graph.error(f"/users?$top={top}") == (
        400,
        "Request_UnsupportedQuery",
        f"Invalid page size specified: '{top}'. Must be between 1 and 999 inclusive.",
    )


@pytest.mark.parametrize("top", ["-1", "ten", "²"])
def test_a_page_size_that_is_no_number_is_refused(graph: GraphClient, top: str) -> None:
    status, code, _ = graph.error(f"/users?$top={top}")
    assert (status, code) == (400, "Request_BadRequest")


def test_skip_is_not_supported(graph: GraphClient) -> None:
    assert graph.error("/users?$skip=10")[:2] == (400, "Request_BadRequest")


def test_a_next_link_repeats_the_query_and_adds_an_opaque_token(graph: GraphClient) -> None:
    link = graph.get("/users?$top=2&$select=id").json()["@odata.nextLink"]
    assert re.fullmatch(r"https://graph\.microsoft\.com/v1\.0/users\?\$top=2&\$select=id&\$skiptoken=[\w-]{20,}", link)


def test_a_next_link_works_again_and_gives_the_same_page(graph: GraphClient) -> None:
    link = graph.get("/users?$top=10").json()["@odata.nextLink"]
    assert graph.get(link).json() == graph.get(link).json()


@pytest.mark.parametrize("change", [("$top=2", "$top=3"), ("select=id", "select=id,mail"), ("token=", "token=A")])
def test_a_page_token_is_refused_when_it_or_its_query_was_changed(graph: GraphClient, change: tuple[str, str]) -> None:
    link = graph.get("/users?$top=2&$select=id").json()["@odata.nextLink"]
    assert graph.error(link.replace(*change)) == (
        400,
        "Request_BadRequest",
        "The specified page token value is invalid.",
    )


def test_a_page_token_of_another_directory_is_refused(graph: GraphClient) -> None:
    link = graph.get("/users?$top=2").json()["@odata.nextLink"]
    graph.start(250)
    assert graph.error(link)[:2] == (400, "Request_BadRequest")


def test_a_page_token_holds_however_the_query_is_encoded(graph: GraphClient) -> None:
    link = graph.get("/users?$top=2&$select=id,mail").json()["@odata.nextLink"]
    encoded = link.replace("$", "%24").replace(",", "%2C")
    assert graph.get(encoded).json()["value"] == graph.get(link).json()["value"]


def test_users_added_changed_and_removed_between_pages_make_no_other_user_appear_twice_or_not_at_all(
    graph: GraphClient,
) -> None:
    before = graph.directory.users(["id"])
    pages = graph.pages("/users?$top=40&$select=id")
    read = [user["id"] for user in next(pages)["value"]]
    unread = [user["id"] for user in before if user["id"] not in read]
    graph.directory.update(unread[0], displayName="Changed")
    graph.directory.update(read[0], displayName="Changed")
    graph.directory.remove(unread[1])
    graph.directory.remove(read[1])
    added = graph.directory.add()["id"]
    read += [user["id"] for page in pages for user in page["value"]]
    assert sorted(read) == sorted({*(user["id"] for user in before), added} - {unread[1]})


# Properties: https://learn.microsoft.com/en-us/graph/api/resources/user


def test_every_property_that_a_list_can_return_is_returned_as_the_directory_has_it(graph: GraphClient) -> None:
    graph.azure.entra.application.graph_roles |= {
        "AuditLog.Read.All",
        "User-LifeCycleInfo.Read.All",
        "CustomSecAttributeAssignment.Read.All",
    }
    graph.sign_in()
    names = [name for name, facts in PROPERTIES.items() if not facts.single]
    read = by_id(graph.users(f"/users?$top=999&$select={','.join(names)}"))
    assert read == by_id(graph.directory.users(names))


def test_unset_properties_are_null_and_unset_collections_are_empty(graph: GraphClient) -> None:
    user = graph.directory.add(displayName=None)
    read = by_id(graph.users("/users?$select=id,displayName,mail,businessPhones"))
    assert read[user["id"]] == {"id": user["id"], "displayName": None, "mail": None, "businessPhones": []}


def test_the_id_is_always_returned(graph: GraphClient) -> None:
    assert set(graph.get("/users?$select=mail").json()["value"][0]) == {"id", "mail"}


def test_an_unknown_property_is_refused(graph: GraphClient) -> None:
    status, code, message = graph.error("/users?$select=id,shoeSize")
    assert (status, code) == (400, "BadRequest")
    assert message.endswith("Could not find a property named 'shoeSize' on type 'microsoft.graph.user'.")


@pytest.mark.parametrize("name", ["aboutMe", "birthday", "hireDate", "mailboxSettings", "mySite", "skills"])
def test_properties_of_single_users_are_not_implemented_in_lists(graph: GraphClient, name: str) -> None:
    assert graph.error(f"/users?$select={name}")[:2] == (501, "NotImplemented")
    id_ = graph.directory.users(["id"])[0]["id"]
    assert name in graph.get(f"/users/{id_}?$select={name}").json()


@pytest.mark.parametrize(
    "query", ["$select=signInActivity", "$filter=signInActivity/lastSignInDateTime le 2026-01-01T00:00:00Z"]
)
def test_sign_in_activity_needs_a_permission_of_its_own(graph: GraphClient, query: str) -> None:
    assert graph.error(f"/users?{query}") == (
        403,
        "Authentication_MSGraphPermissionMissing",
        "Calling principal does not have required MSGraph permissions AuditLog.Read.All",
    )


def test_pages_with_sign_in_activity_have_500_users_at_most(graph: GraphClient) -> None:
    graph.start(600)
    graph.azure.entra.application.graph_roles.add("AuditLog.Read.All")
    graph.sign_in()
    assert len(graph.get("/users?$top=999&$select=signInActivity").json()["value"]) == 500


# One user: https://learn.microsoft.com/en-us/graph/api/user-get


def test_a_user_is_found_by_id_and_by_user_principal_name_in_any_letter_case(graph: GraphClient) -> None:
    for user in graph.directory.users(["id", "userPrincipalName"])[:60]:
        for key in (user["id"], user["userPrincipalName"], user["userPrincipalName"].upper()):
            read = graph.get(f"/users/{quote(key, safe='')}?$select=id,userPrincipalName").json()
            assert read.pop("@odata.context").endswith("#users(id,userPrincipalName)/$entity")
            assert read == user


def test_a_user_without_select_has_the_default_properties(graph: GraphClient) -> None:
    user = graph.get(f"/users/{graph.directory.users(['id'])[3]['id']}").json()
    assert set(user) == {"@odata.context", *DEFAULT.split(), "userPrincipalName"}


@pytest.mark.parametrize("key", ["nobody@contoso.com", "00000000-0000-0000-0000-000000000000", "adele.vance1@x"])
def test_a_user_that_does_not_exist_is_not_found(graph: GraphClient, key: str) -> None:
    assert graph.error(f"/users/{key}") == (
        404,
        "Request_ResourceNotFound",
        f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.",
    )


def test_a_user_is_found_by_the_name_it_has_now(graph: GraphClient) -> None:
    user = graph.directory.users()[5]
    graph.directory.update(user["id"], userPrincipalName="new@contoso.com")
    assert graph.get("/users/new@contoso.com").json()["id"] == user["id"]
    assert graph.get(f"/users/{quote(user['userPrincipalName'])}").status_code == 404
    graph.directory.remove(user["id"])
    assert graph.get(f"/users/{user['id']}").status_code == 404


# Deleted users: https://learn.microsoft.com/en-us/graph/api/directory-deleteditems-list


def test_deleted_users_are_listed_by_themselves_until_restored_or_purged(graph: GraphClient) -> None:
    ids = [user["id"] for user in graph.directory.users(["id"])[:5]]
    for id_ in ids:
        graph.directory.remove(id_)
    graph.directory.restore(ids[0])
    graph.directory.purge(ids[1])
    url = "/directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime&$top=2"
    deleted = graph.users(url)
    assert [user["id"] for user in deleted] == ids[2:]
    assert all(user["deletedDateTime"] for user in deleted)
    assert {user["id"] for user in graph.users("/users?$select=id")}.isdisjoint(ids[1:])
    assert len(graph.directory) == 246


# What every answer has: https://learn.microsoft.com/en-us/graph/errors


def test_answers_and_errors_carry_ids_diagnostics_and_the_date(graph: GraphClient) -> None:
    for path, status in (("/users", 200), ("/users/nobody", 404)):
        response = graph.get(path, **{"client-request-id": "my-id"})
        assert response.status_code == status
        assert UUID.fullmatch(response.headers["request-id"])
        assert response.headers["client-request-id"] == "my-id"
        assert set(json.loads(response.headers["x-ms-ags-diagnostic"])) == {"ServerInfo"}
        assert response.headers["x-ms-resource-unit"]
        assert response.headers["date"].endswith("GMT")


def test_an_error_is_an_object_with_code_message_and_the_request_id(graph: GraphClient) -> None:
    response = graph.get("/users/nobody", **{"client-request-id": "my-id"})
    inner = response.json()["error"]["innerError"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", inner.pop("date"))
    assert inner == {"request-id": response.headers["request-id"], "client-request-id": "my-id"}


def test_answers_are_compressed_for_clients_that_ask_for_it(graph: GraphClient) -> None:
    plain = graph.get("/users?$top=50", **{"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = requests.get(
        "https://graph.microsoft.com/v1.0/users?$top=50",
        headers=graph.headers | {"Accept-Encoding": "gzip"},
        proxies={"https": graph.azure.environment["HTTPS_PROXY"]},
        verify=graph.azure.environment["REQUESTS_CA_BUNDLE"],
        stream=True,
        timeout=10,
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.raw.read()) == plain.content


@pytest.mark.parametrize(
    "path", ["/users", "/users/$count", "/users/nobody", "/users/delta", "/directory/deletedItems/microsoft.graph.user"]
)
def test_without_a_role_to_read_users_access_is_denied(graph: GraphClient, path: str) -> None:
    graph.azure.entra.application.graph_roles.clear()
    graph.sign_in()
    assert graph.error(path, **EVENTUAL) == (
        403,
        "Authorization_RequestDenied",
        "Insufficient privileges to complete the operation.",
    )


@pytest.mark.parametrize(
    "role", ["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"]
)
def test_each_of_the_documented_permissions_suffices(graph: GraphClient, role: str) -> None:
    graph.azure.entra.application.graph_roles.clear()
    graph.azure.entra.application.graph_roles.add(role)
    graph.sign_in()
    assert graph.get("/users").status_code == 200


@pytest.mark.parametrize("path", ["/groups", "/me/messages", "/users/x/manager"])
def test_what_is_not_about_users_is_not_found(graph: GraphClient, path: str) -> None:
    segment = path.rpartition("/")[2]
    assert graph.error(path) == (400, "BadRequest", f"Resource not found for the segment '{segment}'.")


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_users_can_only_be_read(graph: GraphClient, method: str) -> None:
    response = graph.send(method, "/users")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "Request_BadRequest")


def test_an_unknown_option_and_one_given_twice_are_refused(graph: GraphClient) -> None:
    assert graph.error("/users?$colour=red")[:2] == (400, "Request_BadRequest")
    assert graph.error("/users?$top=1&$top=2")[:2] == (400, "Request_BadRequest")
    assert graph.get("/users?colour=red").status_code == 200


def test_options_are_also_taken_without_the_dollar_sign(graph: GraphClient) -> None:
    assert graph.get("/users?top=7&select=id").json()["value"] == graph.get("/users?$top=7&$select=id").json()["value"]


# Replication: https://learn.microsoft.com/en-us/graph/api/user-list


def test_lists_may_lag_behind_the_newest_changes(graph: GraphClient) -> None:
    first, second = graph.directory.users()[:2]
    graph.directory.update(first["id"], displayName="Changed")
    graph.directory.remove(second["id"])
    added = graph.directory.add()
    graph.directory.lag = 2
    read = by_id(graph.users("/users?$top=999&$select=id,displayName"))
    assert read[first["id"]]["displayName"] == "Changed"
    assert second["id"] in read
    assert added["id"] not in read
    assert graph.get("/users/$count", **EVENTUAL).text == "250"
    assert graph.get(f"/users/{added['id']}").status_code == 404
    graph.directory.lag = 0
    assert added["id"] in by_id(graph.users("/users?$select=id"))


def test_two_directories_of_one_seed_have_the_same_users_and_of_two_seeds_have_not() -> None:
    assert Directory(60, seed=4).users() == Directory(60, seed=4).users()
    ids = [{user["id"] for user in Directory(60, seed=seed).users()} for seed in range(4)]
    assert all(first.isdisjoint(second) for first, second in pairwise(ids))
