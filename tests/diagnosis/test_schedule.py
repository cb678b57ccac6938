"""When the sync is due, as the Functions host reads it.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.schedule import read_schedule

SUNDAY = datetime(2026, 11, 22, 12, 30, 15, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        # The examples of the documentation.
        ("0 */5 * * * *", "2026-11-22 12:35:00"),
        ("0 0 * * * *", "2026-11-22 13:00:00"),
        ("0 0 */2 * * *", "2026-11-22 14:00:00"),
        ("0 0 9-17 * * *", "2026-11-22 13:00:00"),
        ("0 30 9 * * *", "2026-11-23 09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-23 09:30:00"),
        ("0 30 9 * Jan Mon", "2027-01-04 09:30:00"),
        ("*/15 * * * * *", "2026-11-22 12:30:30"),
        ("0 0 2 * * *", "2026-11-23 02:00:00"),
        ("16 30 12 * * *", "2026-11-22 12:30:16"),
        ("15 30 12 * * *", "2026-11-23 12:30:15"),
        ("0 0 2 1 * *", "2026-12-01 02:00:00"),
        ("0 0 2 31 * *", "2026-12-31 02:00:00"),
        ("0 0 2 29 2 *", "2028-02-29 02:00:00"),
        ("0 0 2 29 Feb Saturday", "2048-02-29 02:00:00"),
        # Both days must fit, which in cron either may.
        ("0 0 2 1 * Monday", "2027-02-01 02:00:00"),
        ("0 0 2,14 * * sun", "2026-11-22 14:00:00"),
        ("0 0 2 * * 0", "2026-11-29 02:00:00"),
        # Ends in either order, a first number with a step, a step of 0.
        ("0 0 2 * * Fri-Wed", "2026-11-25 02:00:00"),
        ("0 45/5 * * * *", "2026-11-22 12:45:00"),
        ("0 0 2 10-20/5 * *", "2026-12-10 02:00:00"),
        ("0 */0 * * * *", "2026-11-22 12:31:00"),
    ],
)
def test_the_first_time_after_a_moment_at_which_it_is_due(expression: str, due: str) -> None:
    assert read_schedule(expression).due_after(SUNDAY) == datetime.fromisoformat(f"{due}+00:00")


def test_the_schedule_is_in_utc_whatever_the_moments_offset() -> None:
    moment = SUNDAY.astimezone(timezone(timedelta(hours=14)))
    assert read_schedule("0 0 13 * * *").due_after(moment).isoformat() == "2026-11-22T13:00:00+00:00"


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("0 0 2 * *", "must have six fields, {second} {minute} {hour} {day} {month} {day of week}, in UTC."),
        ("0 0 2 30 2 *", "names a day that never comes."),
        ("60 0 2 * * *", "has a field {second} that is not understood: numbers from 0 to 59, "),
        ("0 x 2 * * *", "has a field {minute} that is not understood: numbers from 0 to 59, "),
        ("0 0 1-24 * * *", "has a field {hour} that is not understood: numbers from 0 to 23, "),
        ("0 0 2 0 * *", "has a field {day} that is not understood: numbers from 1 to 31, "),
        ("0 0 2 * Winter *", "has a field {month} that is not understood: numbers from 1 to 12, "),
        ("0 0 2 * * 7", "has a field {day of week} that is not understood: numbers from 0 to 6, "),
        ("0 0 2 * * Mon-", "has a field {day of week} that is not understood: "),
        ("0 0 2 * * Mon,", "has a field {day of week} that is not understood: "),
        ("0 */ 2 * * *", "has a field {minute} that is not understood: "),
        ("0 */1.5 2 * * *", "has a field {minute} that is not understood: "),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_field_at_fault(expression: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}"):
        read_schedule(expression)


PARTS = st.tuples(
    *(
        st.one_of(st.just("*"), st.integers(least, most).map(str), st.integers(2, 9).map("*/{}".format))
        for least, most in [(0, 59), (0, 59), (0, 23), (1, 28), (1, 12), (0, 6)]
    )
)


@given(PARTS, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 -- bounds
def test_due_times_rise_and_none_lies_between_two_that_follow(parts: tuple[str, ...], moment: datetime) -> None:
    schedule = read_schedule(" ".join(parts))
    due = schedule.due_after(moment)
    assert moment < due
    assert schedule.due_after(due - timedelta(seconds=1)) == due
    between = moment + (due - moment) / 2
    assert schedule.due_after(between) == due
