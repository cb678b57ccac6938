"""Alerts and workbook ask for events and attributes that the app sends, and every query is in use."""

import re
from typing import get_args

import pytest

from entra_users import telemetry
from tests.infra.templates import INFRA, TEMPLATES

QUERIES = {path.name: path.read_text(encoding="utf-8") for path in sorted((INFRA / "queries").glob("*.kql"))}
EVENTS = set(get_args(telemetry.Event.__value__))
ATTRIBUTES = {*telemetry.Attributes.__annotations__, "error"}


def test_every_query_is_in_an_alert_or_in_the_workbook() -> None:
    loaded = re.findall(r"loadTextContent\('\.\./queries/([\w-]+\.kql)'\)", "".join(TEMPLATES.values()))
    assert set(loaded) == set(QUERIES)


def test_every_event_is_asked_for_and_none_that_is_not_sent() -> None:
    asked = {name for text in QUERIES.values() for name in re.findall(r'"([a-z]+\.[a-z]+)"', text)}
    assert asked == EVENTS


def test_every_attribute_is_asked_for_and_none_that_is_not_sent() -> None:
    asked = {name for text in QUERIES.values() for name in re.findall(r"Properties\.(\w+)", text)}
    assert asked == ATTRIBUTES


@pytest.mark.parametrize("name", sorted(set(QUERIES) - {"events.kql"}))
def test_a_query_starts_from_the_apps_own_events(name: str) -> None:
    lines = [line for line in QUERIES[name].splitlines() if not line.startswith("//")]
    assert lines[0] == "events"
    assert "AppEvents" not in QUERIES[name]


def test_a_workspace_without_any_event_yet_is_no_fault_in_the_query() -> None:
    assert "union isfuzzy=true" in QUERIES["events.kql"]
    assert "datatable(TimeGenerated: datetime, Name: string, Properties: dynamic)[]" in QUERIES["events.kql"]


def test_silence_is_told_after_one_and_a_half_periods_that_a_rule_can_look_back_on() -> None:
    assert "ago(period * 1.5)" in QUERIES["sync-silent.kql"]
    alerts = TEMPLATES["modules/alerts.bicep"]
    assert "query: 'let period = ${syncPeriodHours}h;\\n${loadTextContent('../queries/sync-silent.kql')}'" in alerts
    # A rule looks back two days at most, so a period of more than 32 hours could not be watched.
    assert "window: 'P2D'" in alerts
    assert "@maxValue(32)\nparam syncPeriodHours int = 24" in TEMPLATES["main.bicep"]


def test_each_alert_of_the_list_is_there() -> None:
    assert re.findall(r"^    name: '([\w-]+)'$", TEMPLATES["modules/alerts.bicep"], re.MULTILINE) == [
        "sync-failed",
        "sync-silent",
        "consent-missing",
        "credential-expiring",
        "directory-shrank",
        "throttled",
    ]
