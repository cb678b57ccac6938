"""Application Insights, through Azure Monitor's distribution of OpenTelemetry: the only module that knows these.

It is loaded only where telemetry is configured. https://learn.microsoft.com/en-us/azure/azure-monitor/app/opentelemetry-enable
"""

import hashlib
import logging
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, cast

from azure.monitor.opentelemetry import (
    configure_azure_monitor,  # pyright: ignore[reportUnknownVariableType] -- its options are untyped
)
from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

_DEFAULTS = {
    # Nothing is sent to, or fetched from, anyone but the resource of the connection string.
    # https://learn.microsoft.com/en-us/azure/azure-monitor/app/statsbeat
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    # The others ask a machine's metadata endpoint, which is not there.
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "azure_functions",
}

# What these would send holds addresses, and with them filters, page tokens and names of users.
_NEVER = ("azure_sdk", "requests", "urllib", "urllib3")

# It tells of every batch that was sent.
logging.getLogger("azure.monitor.opentelemetry").setLevel(logging.WARNING)


class Insights:
    """One Application Insights resource; made once in a process, since OpenTelemetry's providers are.

    Args:
        connection_string: the resource's.
        logger: the name of the logger whose records are events.
        counters: names of metrics that count up.
        measures: names of metrics that are measured now and then.
    """

    def __init__(
        self,
        connection_string: str,
        *,
        logger: str,
        counters: Iterable[str],
        measures: Iterable[str],
    ) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        configure_azure_monitor(
            connection_string=connection_string,
            # The rest of the log reaches Application Insights through the Functions host.
            logger_name=logger,
            resource=Resource({"service.name": os.environ.get("WEBSITE_SITE_NAME", "entra-users")}),
            instrumentation_options={name: {"enabled": False} for name in _NEVER},
            enable_live_metrics=False,
            enable_performance_counters=False,
            sampling_ratio=1.0,
            # What could not be sent is kept on disk and sent later, so that nobody has to wait here.
            retry_total=1,
            timeout=5.0,
        )
        logging.getLogger(logger).setLevel(logging.INFO)
        meter = metrics.get_meter("entra_users")
        self.counters = {name: meter.create_counter(name) for name in counters}
        # No gauges: OpenTelemetry repeats their last value for as long as the process lives, however old it is.
        self.measures = {name: meter.create_histogram(name) for name in measures}
        self._tracer = trace.get_tracer("entra_users")

    @contextmanager
    def span(self, name: str, run: str, began: datetime | None, attributes: Mapping[str, int]) -> Generator[None]:
        """A span of a run's trace, whose id follows from the run's."""
        digest = hashlib.sha256(run.encode()).digest()
        parent = SpanContext(
            trace_id=int.from_bytes(digest[:16]),
            span_id=int.from_bytes(digest[16:24]),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        with self._tracer.start_as_current_span(
            name,
            trace.set_span_in_context(NonRecordingSpan(parent)),
            start_time=None if began is None else int(began.timestamp() * 1e9),
            attributes={"run": run, **attributes},
            # An error's message may quote what a user is found by.
            record_exception=False,
            set_status_on_exception=False,
        ):
            try:
                yield
            except BaseException as error:
                self.fail(error)
                raise

    def fail(self, error: BaseException) -> None:
        """The current span has failed."""
        trace.get_current_span().set_status(StatusCode.ERROR, type(error).__name__)

    def flush(self) -> None:
        """Send what is held back, and wait until that is done."""
        cast("LoggerProvider", get_logger_provider()).force_flush()
        cast("TracerProvider", trace.get_tracer_provider()).force_flush()
        cast("MeterProvider", metrics.get_meter_provider()).force_flush()
