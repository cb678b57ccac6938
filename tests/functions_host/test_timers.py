"""Timers: NCRONTAB schedules, and when they run.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.functions import FunctionsHost, LogEntry, StartError
from simulator.functions.timers import parse_schedule

# A Sunday.
MOMENT = datetime(2026, 11, 22, 10, 20, 30, 500, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "occurrence"),
    [
        # The page's own examples.
        ("0 5 * * * *", datetime(2026, 11, 22, 11, 5, tzinfo=UTC)),
        ("0 5-10 * * * *", datetime(2026, 11, 22, 11, 5, tzinfo=UTC)),
        ("0 0 5,10 * * *", datetime(2026, 11, 23, 5, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 11, 22, 10, 25, tzinfo=UTC)),
        ("0 0 0,12 * * *", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("0 30 9 * * *", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("0 30 9 * * 1-5", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("0 30 9 * Jan Mon", datetime(2027, 1, 4, 9, 30, tzinfo=UTC)),
        ("0 30 9 * * Monday-Friday", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        # Five fields have no seconds.
        ("*/15 * * * *", datetime(2026, 11, 22, 10, 30, tzinfo=UTC)),
        ("* * * * * *", datetime(2026, 11, 22, 10, 20, 31, tzinfo=UTC)),
        ("5/20 * * * * *", datetime(2026, 11, 22, 10, 20, 45, tzinfo=UTC)),
        ("0 0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        # The day of the month and the day of the week must both fit.
        ("0 0 0 13 * Fri", datetime(2027, 8, 13, tzinfo=UTC)),
    ],
)
def test_the_next_occurrence_is_the_first_after_the_moment(schedule: str, occurrence: datetime) -> None:
    assert parse_schedule(schedule).next_after(MOMENT) == occurrence


def test_an_occurrence_at_the_moment_itself_is_past() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert parse_schedule("0 0 12 * * *").next_after(noon) == datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "0 0 2 * *  * *",
        "60 * * * * *",
        "* * 24 * * *",
        "0 0 0 0 * *",
        "0 9-5 * * * *",
        "a * * * * *",
        "*/0 * * * * *",
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(StartError, match="is not an NCRONTAB schedule"):
        parse_schedule(schedule)


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(StartError, match="never occurs"):
        parse_schedule("0 0 0 30 2 *").next_after(MOMENT)


def test_a_timer_keeps_its_schedule_and_does_not_run_on_start_up(app: Path) -> None:
    """Every second: it runs at a full second, and not before the first of them."""
    ran = list[LogEntry]()
    twice = threading.Event()

    def show(entry: LogEntry) -> None:
        if entry.message.startswith("Executing 'Functions.nightly'"):
            ran.append(entry)
            if len(ran) == 2:
                twice.set()

    with FunctionsHost(app, {"NIGHTLY": "* * * * * *"}, schedules=True, show=show):
        assert twice.wait(30)
    assert ran[0].time.replace(microsecond=0) < ran[1].time.replace(microsecond=0)


def test_timers_run_only_when_asked_unless_schedules_are_kept(app: Path) -> None:
    with FunctionsHost(app, {"NIGHTLY": "* * * * * *"}) as host:
        host.run_timer("nightly")
        host.run_timer("nightly")
    assert sum(entry.message.startswith("Executing") for entry in host.logs) == 2
