"""What repeats and how long to wait: https://learn.microsoft.com/en-us/graph/throttling."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.retry import REPEATABLE, backoff, pause, retry_after_seconds

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
FRACTION = st.floats(0, 1, exclude_max=True)


def test_what_repeats_is_throttling_timeouts_and_trouble_of_the_service() -> None:
    assert sorted(REPEATABLE) == [408, 429, 500, 502, 503, 504, 509]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("10", 10.0),
        ("2.128", 2.128),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("Sun, 22 Nov 2026 10:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 +0200", 30.0),
        ("Sun, 22 Nov 2026 10:00:30 -0000", 30.0),
        ("Sun, 22 Nov 2026 09:59:00 GMT", 0.0),
        ("Sun, 22 Nov 9999999999 10:00:00 GMT", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1" * 400, None),
    ],
)
def test_retry_after_is_read_in_every_form_and_ignored_where_it_says_nothing(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.floats(0, 1e9))
def test_any_number_of_seconds_is_read_as_it_is(seconds: float) -> None:
    assert retry_after_seconds(str(seconds), NOW) == seconds


@given(st.integers(0, 10**6))
def test_any_date_ahead_is_read_as_the_seconds_until_then(seconds: int) -> None:
    assert retry_after_seconds(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True), NOW) == seconds


@given(st.text(alphabet=st.characters(codec="latin-1")) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ .{0,9}"))
def test_no_header_is_an_error_or_a_wait_without_end(header: str) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


def test_waits_double_from_half_a_second_to_half_a_minute() -> None:
    assert [backoff(attempt, 1.0) for attempt in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(1, 10**6), FRACTION)
def test_chance_spreads_a_wait_over_its_upper_half(attempt: int, jitter: float) -> None:
    longest = backoff(attempt, 1.0)
    assert longest / 2 <= backoff(attempt, jitter) <= longest


@given(st.integers(1, 50), st.floats(0, 1000), st.floats(0.1, 1000), st.none() | st.floats(0, 1000), FRACTION)
def test_no_wait_goes_past_the_budget(
    attempt: int, spent: float, budget: float, retry_after: float | None, jitter: float
) -> None:
    wait = pause(attempt=attempt, spent=spent, budget=budget, retry_after=retry_after, jitter=jitter)
    asked = retry_after or backoff(attempt, jitter)
    assert wait == (asked if spent + asked < budget else None)


@given(st.floats(0.001, 99.0), FRACTION)
def test_what_the_service_asks_for_is_kept_exactly(retry_after: float, jitter: float) -> None:
    assert pause(attempt=3, spent=0.0, budget=100.0, retry_after=retry_after, jitter=jitter) == retry_after


def test_a_service_that_asks_for_no_wait_is_not_asked_without_end() -> None:
    """Zero seconds, or a date that a slow clock has passed, would otherwise repeat as fast as the network allows."""
    assert pause(attempt=1, spent=0.0, budget=100.0, retry_after=0.0, jitter=1.0) == 0.5
