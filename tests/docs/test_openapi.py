"""docs/openapi.yaml tells the truth: every route there is, and every answer that it gives."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from simulator import Simulator
from simulator.demo import app_environment, app_folder
from simulator.faults import not_json, page_fault, server_error, throttled, token_error
from simulator.functions import FunctionsHost
from tests.docs.conftest import ROOT

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8"))
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


class Caller:
    """Calls the app by operation, and holds each answer against the document.

    Attributes:
        seen: the statuses answered, by operation.
    """

    def __init__(self, host: FunctionsHost) -> None:
        self._host = host
        self._session = requests.Session()
        self._session.trust_env = False
        self.seen: dict[str, set[int]] = {}

    def call(
        self, operation: str, given: Mapping[str, str] | None = None, *, with_key: bool = True, url: str | None = None
    ) -> requests.Response:
        """Call an operation with these parameters of path and query, or at `url`, a link that it gave."""
        method, path, _ = OPERATIONS[operation]
        given = given or {}
        query = {name: value for name, value in given.items() if f"{{{name}}}" not in path}
        response = self._session.request(
            method,
            url or f"{self._host.url}/api{path.format_map(given)}",
            params=query,
            headers={"x-functions-key": self._host.keys.default} if with_key else {},
            timeout=60,
        )
        self.seen.setdefault(operation, set()).add(response.status_code)
        check(operation, response)
        return response


def check(operation: str, response: requests.Response) -> None:
    """Hold an answer against the document: status, headers, media type, body."""
    _, _, described = OPERATIONS[operation]
    documented = resolve(described["responses"][str(response.status_code)])
    for name, header in ((name, resolve(node)) for name, node in documented.get("headers", {}).items()):
        assert name in response.headers or not header.get("required")
        if name in response.headers:
            value = response.headers[name]
            check_schema(header["schema"], int(value) if header["schema"].get("type") == "integer" else value)
    if not response.content:
        # The Functions host itself answers whoever has no key, and a redirect needs no body.
        assert response.status_code in {401, 302}
        return
    media_type = response.headers["Content-Type"].partition(";")[0]
    schema = documented["content"][media_type].get("schema")
    if media_type == "application/json":
        check_schema(schema, response.json())
    elif schema and (found := re.search(r"\(`(\w+)`\)", schema["description"])):
        for line in response.content.splitlines():
            check_schema({"$ref": f"#/components/schemas/{found[1]}"}, json.loads(line))


def check_schema(schema: Mapping[str, Any], value: Any) -> None:
    """Validate a value; the schema's references lead into the document."""
    whole = {"components": DOCUMENT["components"], **schema}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    if "$ref" not in node:
        return node
    _, kind, name = node["$ref"].removeprefix("#/").split("/")
    return DOCUMENT["components"][kind][name]


def documented(*operations: str) -> dict[str, set[int]]:
    """The statuses that the document tells of, by operation; without names, of all."""
    return {each: {int(status) for status in OPERATIONS[each][2]["responses"]} for each in operations or OPERATIONS}


@pytest.fixture
def caller(host: FunctionsHost) -> Caller:
    """A caller with a key."""
    return Caller(host)


def test_it_is_an_openapi_document() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0"


def test_it_has_the_routes_that_the_app_registers_and_their_keys(host: FunctionsHost) -> None:
    registered = {
        (
            function.name,
            method,
            function.route.text.replace("{*", "{").replace("{nothing:maxlength(0)?}", ""),
            function.auth_level,
        )
        for function in host.functions
        if function.route
        for method in function.methods
    }
    described = {
        (name, method.upper(), f"api{path}", "anonymous" if operation.get("security") == [] else "function")
        for name, (method, path, operation) in OPERATIONS.items()
    }
    assert described == registered


def test_the_options_of_a_list_are_those_that_the_app_names() -> None:
    from entra_users.query import DEFAULT_TOP, MAX_TOP, OPTIONS  # noqa: PLC0415 -- all other tests are from outside

    options = {resolve(each)["name"]: resolve(each) for each in OPERATIONS["users"][2]["parameters"]}
    assert {name for name in options if name.startswith("$")} == {*OPTIONS, "$skiptoken"}
    assert options["$top"]["schema"] == {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP}


def test_answers_about_users_are_as_documented(tenant: Simulator, caller: Caller) -> None:
    everyone = tenant.directory.users()
    page = caller.call("users", {"$top": "200", "$count": "true"}).json()
    assert (len(page["value"]), page["@odata.count"]) == (200, 250)
    last = caller.call("users", url=page["@odata.nextLink"]).json()
    assert len(last["value"]) == 50
    assert "@odata.nextLink" not in last
    for form in ("ndjson", "csv"):
        assert 'rel="next"' in caller.call("users", {"format": form, "top": "200"}).headers["Link"]
        assert "Link" not in caller.call("users", {"format": form, "top": "999"}).headers
    someone = {"key": everyone[0]["id"]}
    caller.call("user", someone)
    caller.call("user", {"key": everyone[-1]["userPrincipalName"], "$select": "displayName"})

    for operation, named in (("users", {}), ("user", someone)):
        caller.call(operation, named, with_key=False)
        caller.call(operation, {**named, "$expand": "manager"})
        for fault in (server_error(503, "200"), server_error(504, "200")):
            tenant.faults.plan(fault)
            caller.call(operation, named)
    caller.call("user", {"key": "nobody@contoso.example"})
    tenant.faults.plan(not_json(path="/v1.0/users/"))
    caller.call("user", someone)
    tenant.faults.plan(page_fault("no-value"), page_fault("expired-page-token"))
    caller.call("users")
    caller.call("users", url=page["@odata.nextLink"])

    roles = {*tenant.entra.application.graph_roles}
    tenant.entra.application.graph_roles.clear()
    tenant.entra.revoke_tokens()
    caller.call("users")
    caller.call("user", someone)
    tenant.faults.plan(token_error(7000222, times=None))
    tenant.entra.revoke_tokens()
    caller.call("users")
    caller.call("user", someone)

    tenant.faults.clear()
    tenant.entra.application.graph_roles |= roles
    tenant.entra.revoke_tokens()
    tenant.faults.plan(throttled("200"))
    caller.call("users")
    # One request was told to wait, and so wait all.
    caller.call("user", someone)
    assert caller.seen == documented("users", "user")


def test_answers_about_runs_snapshots_and_changes_are_as_documented(
    tenant: Simulator, host: FunctionsHost, caller: Caller, tmp_path: Path
) -> None:
    stored = ("sync_start", "sync_latest", "sync_status", "snapshot", "snapshot_file", "changes")
    unknown = {"run": "20200101T000000000Z-00000000", "file": "latest.json", "since": "20200101T000000000Z-00000000"}
    for operation in stored[1:]:
        caller.call(operation, unknown)
        caller.call(operation, unknown, with_key=False)
    caller.call("sync_start", with_key=False)
    run = caller.call("sync_start").json()["run"]
    caller.call("sync_start")
    host.drain()
    assert caller.call("sync_status", {"run": run}).json()["state"] == "published"

    removed, *_, updated = tenant.directory.users(["id"])
    tenant.directory.remove(removed["id"])
    tenant.directory.update(updated["id"], displayName="Somebody Else")
    added = tenant.directory.add()
    caller.call("sync_start")
    host.drain()
    manifest = caller.call("snapshot").json()
    assert caller.call("sync_latest").json()["run"] == manifest["run"]
    changes = caller.call("changes", {"since": run})
    assert {(each["change"], each["id"]) for each in map(json.loads, changes.content.splitlines())} == {
        ("removed", removed["id"]),
        ("updated", updated["id"]),
        ("added", added["id"]),
    }
    assert changes.headers["X-Snapshot-Run"] == manifest["run"]
    caller.call("changes", unknown)
    for part in manifest["parts"]:
        file = caller.call("snapshot_file", {"file": part["file"]["name"]})
        assert hashlib.sha256(file.content).hexdigest() == part["file"]["sha256"]

    caller.call("sync_start", {"full": "perhaps"})
    caller.call("changes")
    (tmp_path / "users" / "latest.json").write_text("spoiled")
    caller.call("sync_start")
    for operation in stored[1:]:
        caller.call(operation, unknown)
    # A folder has no links; tests/store holds those of a Blob container.
    caller.seen["snapshot_file"].add(302)
    assert caller.seen == documented(*stored)


def test_where_callers_come_with_tokens_a_call_without_one_is_answered_as_documented(
    tenant: Simulator, tmp_path: Path
) -> None:
    environment = {**app_environment(tenant, tmp_path), "CALLER_AUTH": "entra"}
    with FunctionsHost(app_folder(tmp_path), environment) as host:
        caller = Caller(host)
        for operation in documented():
            caller.call(operation, {"key": "x", "run": "x", "file": "x"}, with_key=False)
    assert caller.seen == {operation: {200 if operation == "health" else 401} for operation in documented()}


def test_the_page_is_answered_as_documented(caller: Caller) -> None:
    for with_key in (True, False):
        caller.call("page", with_key=with_key)
    assert caller.seen == documented("page")


def test_health_answers_as_documented_without_a_key(caller: Caller) -> None:
    assert caller.call("health", with_key=False).json() == {"status": "alive"}
    assert caller.seen == documented("health")


def test_the_check_answers_as_documented_and_health_never_tells_of_it(tenant: Simulator, caller: Caller) -> None:
    caller.call("check", with_key=False)
    assert caller.call("check").json()["status"] == "warning"  # nothing is stored yet
    tenant.entra.application.graph_roles.clear()
    failed = caller.call("check")
    assert (failed.status_code, failed.json()["status"]) == (503, "failed")
    assert [link["name"] for link in failed.json()["links"] if link["state"] == "failed"] == ["permissions"]
    assert caller.seen == documented("check")
    assert caller.call("health").json() == {"status": "alive"}
