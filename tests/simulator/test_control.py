"""Other processes change and watch the simulator over plain http."""

from typing import Any

import pytest
import requests

from simulator import Simulator

USERS = "https://graph.microsoft.com/v1.0/users"


def url(azure: Simulator, path: str) -> str:
    return f"http://127.0.0.1:{azure.port}/control/{path}"


def post(azure: Simulator, path: str, body: object) -> Any:
    response = requests.post(url(azure, path), json=body, timeout=10)
    assert response.status_code == 200, response.text
    return response.json()


def test_environment_and_settings_are_told(azure: Simulator) -> None:
    assert requests.get(url(azure, "environment"), timeout=10).json() == azure.environment
    settings = requests.get(url(azure, "settings?credential=federated&cloud=china"), timeout=10).json()
    assert settings == azure.app_settings("federated", cloud="china")


def test_the_directory_is_filled_anew(azure: Simulator) -> None:
    assert post(azure, "reset", {"users": 5}) == {"users": 5}
    assert len(azure.directory) == 5


def test_given_users_are_added_updated_and_removed(azure: Simulator) -> None:
    azure.reset(users=2)
    first, second = (each["id"] for each in azure.directory.users(["id"]))
    body = {"add": [{"displayName": "Ada"}], "update": [{"id": first, "jobTitle": "Poet"}], "remove": [second]}
    changed = post(azure, "users", body)
    new = changed["added"][0]
    assert changed == {"added": [new], "updated": [first], "removed": [second]}
    assert {each["id"]: each["displayName"] for each in azure.directory.users()}[new] == "Ada"
    assert {each["id"]: each.get("jobTitle") for each in azure.directory.users()}[first] == "Poet"
    assert {each["id"] for each in azure.directory.users()} == {first, new}


def test_so_many_users_are_added_updated_and_removed(azure: Simulator) -> None:
    azure.reset(users=10)
    before = {each["id"]: each for each in azure.directory.users()}
    changed = post(azure, "users", {"add": 3, "update": 2, "remove": 1})
    after = {each["id"]: each for each in azure.directory.users()}
    assert after.keys() == before.keys() - set(changed["removed"]) | set(changed["added"])
    assert {id_ for id_ in before if id_ in after and before[id_] != after[id_]} == set(changed["updated"])
    assert [len(each) for each in changed.values()] == [3, 2, 1]


def test_faults_are_planned_by_name_and_forgotten(azure: Simulator) -> None:
    assert post(azure, "faults", [{"name": "server_error", "status": 502, "times": None}]) == {"planned": 1}
    assert requests.get(USERS, timeout=10).status_code == 502
    assert post(azure, "faults", []) == {"planned": 0}
    assert requests.get(USERS, timeout=10).status_code == 401


def test_graph_is_slowed_and_limited(azure: Simulator) -> None:
    post(azure, "graph", {"latency": 0.25, "throttle": True, "units": 7})
    throttle = azure.state.throttle
    assert (azure.state.latency, throttle.enabled, throttle.units) == (0.25, True, 7)


def test_requests_are_counted_by_host_and_status(azure: Simulator) -> None:
    for _ in range(2):
        requests.get(USERS, timeout=10)
    requests.get(azure.environment["IDENTITY_ENDPOINT"], timeout=10)
    assert requests.get(url(azure, "requests"), timeout=10).json() == {
        "graph.microsoft.com": {"401": 2},
        "managed-identity": {"401": 1},
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("reset", {"users": "many"}),
        ("reset", {"user": 1}),
        ("faults", [{"name": "earthquake"}]),
        ("faults", [{"name": "throttled", "where": "here"}]),
        ("users", {"remove": ["nobody"]}),
        ("users", {"update": [{"jobTitle": "Poet"}]}),
        ("settings?cloud=mars", None),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(azure: Simulator, path: str, body: object) -> None:
    response = requests.request("POST" if body else "GET", url(azure, path), json=body, timeout=10)
    assert response.status_code == 400
    assert response.json()["error"]
