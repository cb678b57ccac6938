"""What Application Insights was told, taken apart by kind."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator import Simulator

NOISE = {"logger_name"}
"""What the exporter adds to the properties of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row of AppEvents; `span` is the id of the span that it happened in."""

    name: str
    attributes: dict[str, str]
    trace: str
    span: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A row of AppDependencies; `worker` tells the process that sent it from the others."""

    name: str
    attributes: dict[str, str]
    trace: str
    id: str
    worker: str
    success: bool
    duration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A row of AppMetrics: `value` is the sum of `count` measurements."""

    name: str
    labels: dict[str, str]
    value: float
    count: int


class Told:
    """All that was told, each kind in the order in which it happened."""

    def __init__(self, azure: Simulator) -> None:
        self.bodies = list(azure.insights.bodies)
        self.envelopes = sorted(azure.insights.envelopes, key=lambda each: each["time"])
        self.events = [_event(each) for each in self._of("EventData")]
        self.spans = [_span(each) for each in self._of("RemoteDependencyData")]
        metrics = [_metric(each) for each in self._of("MetricData")]
        # The exporter's own, which describes the machine.
        self.metrics = [metric for metric in metrics if metric.name != "_OTELRESOURCE_"]

    def _of(self, kind: str) -> Iterable[dict[str, Any]]:
        return (each for each in self.envelopes if each["data"]["baseType"] == kind)

    def events_of(self, run: str) -> list[Event]:
        """The events of a run."""
        return [event for event in self.events if event.attributes.get("run") == run]

    def spans_of(self, run: str) -> list[Span]:
        """The spans of a run."""
        return [span for span in self.spans if span.attributes["run"] == run]

    def sums(self) -> dict[str, float]:
        """The sum of every metric, by name and labels: `graph.retries cause=429`."""
        sums: dict[str, float] = {}
        for metric in self.metrics:
            name = " ".join([metric.name, *(f"{key}={value}" for key, value in metric.labels.items())])
            sums[name] = sums.get(name, 0) + metric.value
        return sums


def _event(envelope: dict[str, Any]) -> Event:
    data, tags = envelope["data"]["baseData"], envelope["tags"]
    return Event(
        name=data["name"],
        attributes={key: value for key, value in data["properties"].items() if key not in NOISE},
        trace=tags["ai.operation.id"],
        span=tags["ai.operation.parentId"],
    )


def _span(envelope: dict[str, Any]) -> Span:
    data, tags = envelope["data"]["baseData"], envelope["tags"]
    return Span(
        name=data["name"],
        attributes=data["properties"],
        trace=tags["ai.operation.id"],
        id=data["id"],
        worker=tags["ai.cloud.roleInstance"],
        success=data["success"],
        duration=data["duration"],
    )


def _metric(envelope: dict[str, Any]) -> Metric:
    data = envelope["data"]["baseData"]
    (metric,) = data["metrics"]
    return Metric(
        name=metric["name"], labels=data.get("properties", {}), value=metric["value"], count=metric.get("count", 1)
    )
