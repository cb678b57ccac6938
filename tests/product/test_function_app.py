"""The app over HTTP: Microsoft's own worker library in a process of its own, the simulated Azure behind it."""

import csv
import io
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from entra_users.properties import DEFAULT_SELECT
from simulator import Fault, Simulator
from simulator.demo import app_environment, app_folder
from simulator.faults import answered, connection_reset, not_json, page_fault, server_error, throttled
from simulator.functions import FunctionsHost, StartError

type Get = Callable[..., requests.Response]


@pytest.fixture
def get(host: FunctionsHost, azure: Simulator) -> Iterator[Get]:
    """Asks the app for a path, with the key that callers have; Azure is as new."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["x-functions-key"] = host.keys.default

        def ask(path: str, **options: Any) -> requests.Response:
            return session.get(f"{host.url}/api/{path}" if "://" not in path else path, timeout=60, **options)

        yield ask


def by_id(users: list[Any]) -> list[Any]:
    return sorted(users, key=lambda user: user["id"])


def logged(host: FunctionsHost, level: str) -> list[str]:
    return [entry.message for entry in host.logs if entry.category == "entra_users.service" and entry.level == level]


def test_a_page_of_users_is_graphs(azure: Simulator, get: Get) -> None:
    azure.reset(users=3)
    response = get("users")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert by_id(response.json()["value"]) == by_id(azure.directory.users(DEFAULT_SELECT))


def test_next_links_are_followed_to_the_end_with_the_key_alone(azure: Simulator, get: Get, host: FunctionsHost) -> None:
    azure.reset(users=250)
    users: list[Any] = []
    link = f"{host.url}/api/users?$select=id,displayName&$top=100&$count=true"
    counts: list[int | None] = []
    while link:
        assert link.startswith(f"{host.url}/api/users?")
        page = get(link).json()
        users += page["value"]
        counts.append(page.get("@odata.count"))
        link = page.get("@odata.nextLink")
    assert by_id(users) == by_id(azure.directory.users(["id", "displayName"]))
    assert counts == [250, None, None]


def test_options_come_through_http_as_they_were_written(azure: Simulator, get: Get) -> None:
    azure.directory.add(displayName="Zoë O'Hara & Söhne + 1", userPrincipalName="zoe@contoso.com")
    azure.directory.add(displayName="Other", userPrincipalName="other@contoso.com")
    response = get(
        "users", params={"$filter": "displayName eq 'Zoë O''Hara & Söhne + 1'", "$select": "userPrincipalName"}
    )
    assert [user["userPrincipalName"] for user in response.json()["value"]] == ["zoe@contoso.com"]
    response = get("users", params={"$search": '"displayName:zoë"'}, headers={"ConsistencyLevel": "eventual"})
    assert [user["userPrincipalName"] for user in response.json()["value"]] == ["zoe@contoso.com"]


def test_other_forms_are_accepted_or_named(azure: Simulator, get: Get) -> None:
    azure.reset(users=150)
    response = get("users?$select=id,userType", headers={"Accept": "text/csv"})
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    response = get(response.links["next"]["url"])
    rows += csv.DictReader(io.StringIO(response.text, newline=""))
    assert by_id(rows) == by_id(azure.directory.users(["id", "userType"]))
    response = get("users?$select=id&$top=999&format=ndjson")
    assert response.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.content.splitlines()]
    assert by_id(lines) == by_id(azure.directory.users(["id"]))


@pytest.mark.parametrize(
    "name", ["adele@contoso.com", "o'hara@contoso.com", "a_x.com#EXT#@contoso.com", "müller@contoso.com"]
)
def test_one_user_is_read_by_id_or_name(azure: Simulator, get: Get, name: str) -> None:
    user = azure.directory.add(userPrincipalName=name)
    for key in (user["id"], quote(name)):
        response = get(f"users/{key}?$select=id,userPrincipalName")
        assert response.status_code == 200
        assert response.json()["userPrincipalName"] == name


def test_health_answers_without_a_key_and_asks_nobody(azure: Simulator, get: Get) -> None:
    response = get("health", headers={"x-functions-key": ""})
    assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert list(azure.requests) == []


@pytest.mark.parametrize("path", ["users", "users/adele@contoso.com"])
def test_users_are_not_given_without_a_key(azure: Simulator, get: Get, path: str) -> None:
    assert get(path, headers={"x-functions-key": "wrong"}).status_code == 401
    assert list(azure.requests) == []


HOURS = itertools.count(2, step=2)


def outdated(azure: Simulator) -> None:
    """Let the token that the worker holds have ended, so that Graph refuses it."""
    ahead = next(HOURS) * 3600
    azure.state.clock = lambda: time.time() + ahead


def wrong_secret(azure: Simulator) -> None:
    outdated(azure)
    azure.entra.application.secrets.clear()


def no_vault_access(azure: Simulator) -> None:
    # The first refusal makes the app drop its credential, the next request reads the vault anew.
    wrong_secret(azure)
    azure.vaults["contoso"].readers.clear()


def no_consent(azure: Simulator) -> None:
    outdated(azure)
    azure.entra.application.graph_roles.clear()


def plan(*faults: Fault) -> Callable[[Simulator], None]:
    def prepare(azure: Simulator) -> None:
        azure.faults.plan(*faults)

    return prepare


def nothing(azure: Simulator) -> None:
    """Azure is well."""


@pytest.mark.parametrize(
    ("prepare", "path", "status", "code", "told"),
    [
        (nothing, "users?$top=0", 400, "Request_BadRequest", "$top must be a whole number from 1 to 999."),
        (nothing, "users?$expand=manager", 400, "Request_BadRequest", "$expand is not an option here"),
        (nothing, "users?$select=id&$select=employeeId", 400, "Request_BadRequest", "$select names 'employeeId'"),
        (nothing, "users?$filter=employeeId%20eq%20'1'", 400, "Request_BadRequest", "$filter names 'employeeId'"),
        # Names are one to the host however they are written, and values are decoded once.
        (nothing, "users?$select=id&$Select=employeeId", 400, "Request_BadRequest", "$select names 'employeeId'"),
        (nothing, "users?%24filter=%2565mployeeId%20eq%20'1'", 400, "Request_BadRequest", "cannot be understood"),
        (nothing, "users?$skiptoken=forged", 400, "Request_BadRequest", "begin again from the first page"),
        (nothing, "users?$filter=mail%20gt%20'a'", 400, None, "Correct the query."),
        (nothing, "users/nobody@contoso.com", 404, "Request_ResourceNotFound", "Check the id or userPrincipalName"),
        (nothing, "users/delta", 404, "Request_ResourceNotFound", "this is neither."),
        (no_consent, "users", 403, "Authorization_RequestDenied", "/adminconsent?client_id="),
        (wrong_secret, "users", 500, "AADSTS7000215", "Entra gave no token to app"),
        (no_vault_access, "users", 500, "ForbiddenByRbac", "Key Vault Secrets User"),
        (plan(server_error(503, "90")), "users", 503, "ServiceUnavailable", "run again later"),
        (plan(server_error(504, "90")), "users", 504, "GatewayTimeout", "run again later"),
        (plan(not_json()), "users", 502, "incompleteAnswer", "Look for a proxy"),
        (plan(page_fault("no-value")), "users", 502, "incompleteAnswer", "that are not a page of users"),
        (plan(page_fault("foreign-next-link")), "users", 502, "incompleteAnswer", "a token is not sent there"),
        (plan(answered(410, host="graph.microsoft.com")), "users", 410, "resyncRequired", "read all users anew"),
    ],
)
def test_every_kind_of_failure_has_its_status_and_graphs_shape(
    azure: Simulator,
    get: Get,
    host: FunctionsHost,
    prepare: Callable[[Simulator], None],
    path: str,
    status: int,
    code: str | None,
    told: str,
) -> None:
    azure.reset(users=30)
    prepare(azure)
    response = get(path)
    error = response.json()["error"]
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/json")
    assert told in error["message"]
    assert code in (None, error["code"])
    assert set(error) == {"code", "message", "innerError"}
    assert response.headers.get("Retry-After") == ("90" if status == 503 else None)
    assert logged(host, "Error" if status >= 500 else "Warning")[-1].split(":")[1].startswith(" status ")


def test_an_expired_continuation_says_to_begin_again(azure: Simulator, get: Get) -> None:
    azure.reset(users=30)
    link = get("users?$top=10").json()["@odata.nextLink"]
    azure.faults.plan(page_fault("expired-page-token"))
    response = get(link)
    assert (response.status_code, response.json()["error"]["code"]) == (410, "Directory_ExpiredPageToken")


def test_throttling_is_passed_on_with_its_wait(azure: Simulator, get: Get, host: FunctionsHost) -> None:
    azure.faults.plan(throttled("90"))
    responses = [get("users"), get("users")]
    assert [(each.status_code, each.headers["Retry-After"]) for each in responses] == [(429, "90")] * 2
    assert responses[0].json()["error"]["code"] == "TooManyRequests"
    # The second was not sent: the whole worker keeps the wait. A new one knows nothing of it.
    assert [each.status for each in azure.requests if each.host == "graph.microsoft.com"] == [429]
    host.kill_worker()
    host.wait_ready()


def test_what_passes_within_the_budget_is_not_told(azure: Simulator, get: Get) -> None:
    azure.reset(users=3)
    azure.faults.plan(connection_reset(host="graph.microsoft.com"), server_error(503, "0.01"))
    assert len(get("users").json()["value"]) == 3


def test_one_token_serves_all_requests_of_the_worker(azure: Simulator, get: Get) -> None:
    azure.reset(users=3)
    outdated(azure)
    for _ in range(3):
        assert get("users").status_code == 200
    given = [each.path for each in azure.requests if each.host == "login.microsoftonline.com" and each.status == 200]
    assert [path.rpartition("/")[2] for path in given].count("token") == 1


def test_the_log_names_neither_users_nor_queries(azure: Simulator, get: Get, host: FunctionsHost) -> None:
    get("users/somebody.in.particular@contoso.com")
    get("users?$filter=mail%20eq%20'somebody.in.particular@contoso.com'&$top=0")
    assert not [entry for entry in host.logs if "somebody" in str(entry)]


def test_settings_that_are_not_whole_end_the_start_with_every_fault(azure: Simulator, tmp_path: Path) -> None:
    environment = app_environment(azure, tmp_path) | {
        "GRAPH_TENANT_ID": "",
        "GRAPH_CLIENT_ID": "mine",
        "SYNC_LANES": "0",
    }
    with pytest.raises(StartError) as caught, FunctionsHost(app_folder(tmp_path), environment):
        pass
    for fault in (
        "GRAPH_TENANT_ID is not set, and GRAPH_CREDENTIAL=secret needs it",
        "GRAPH_CLIENT_ID must be a client id",
        "SYNC_LANES must be a whole number of at least 1.",
    ):
        assert fault in str(caught.value)
