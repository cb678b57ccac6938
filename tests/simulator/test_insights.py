"""Application Insights takes telemetry from identities that may publish it, and from nobody else.

https://learn.microsoft.com/en-us/azure/azure-monitor/app/azure-ad-authentication
"""

import json
from typing import Any

import pytest
import requests
from azure.identity import ManagedIdentityCredential

from simulator import Simulator
from simulator.insights import INGESTION_HOST

MONITOR = "https://monitor.azure.com//.default"


def track(azure: Simulator, items: Any, scope: str = MONITOR) -> requests.Response:
    with ManagedIdentityCredential(client_id=azure.entra.identity.client_id) as credential:
        token = credential.get_token(scope).token
    return post(items, {"Authorization": f"Bearer {token}"})


def post(items: Any, headers: dict[str, str]) -> requests.Response:
    return requests.post(f"https://{INGESTION_HOST}/v2.1/track", json=items, headers=headers, timeout=10)


def item(azure: Simulator) -> dict[str, str]:
    return {"name": "Event", "iKey": azure.insights.instrumentation_key}


def test_items_are_taken_in_as_they_came(azure: Simulator) -> None:
    items = [item(azure), item(azure)]
    response = track(azure, items)
    assert (response.status_code, response.json()) == (200, {"itemsReceived": 2, "itemsAccepted": 2, "errors": []})
    assert azure.insights.envelopes == items
    assert [json.loads(body) for body in azure.insights.bodies] == [items]


def test_the_connection_string_leads_to_it(azure: Simulator) -> None:
    pairs = dict(pair.split("=") for pair in azure.insights.connection_string.split(";"))
    assert pairs["IngestionEndpoint"] == f"https://{INGESTION_HOST}/"
    assert pairs["InstrumentationKey"] == azure.insights.instrumentation_key


def test_a_key_alone_is_not_enough(azure: Simulator) -> None:
    assert post([item(azure)], {}).status_code == 401
    assert azure.insights.bodies == []


def test_a_token_for_another_service_is_refused(azure: Simulator) -> None:
    response = track(azure, [item(azure)], "https://vault.azure.net/.default")
    assert (response.status_code, response.json()["itemsAccepted"]) == (401, 0)


def test_an_identity_without_the_role_is_refused(azure: Simulator) -> None:
    azure.insights.publishers.clear()
    response = track(azure, [item(azure)])
    error = {"index": 0, "statusCode": 403, "message": "Forbidden: the role Monitoring Metrics Publisher is missing."}
    assert (response.status_code, response.json()["errors"]) == (403, [error])


def test_items_for_another_resource_are_refused(azure: Simulator) -> None:
    assert track(azure, [item(azure) | {"iKey": "00000000-0000-0000-0000-000000000000"}]).status_code == 400
    assert azure.insights.bodies == []


@pytest.mark.parametrize("host", ["westeurope.livediagnostics.monitor.azure.com", "settings.sdk.monitor.azure.com"])
def test_what_an_sdk_asks_of_others_is_recorded_and_has_no_answer(azure: Simulator, host: str) -> None:
    assert requests.get(f"https://{host}/any", timeout=10).status_code == 404
    assert [request.host for request in azure.requests] == [host]
