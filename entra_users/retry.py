"""Which failures repeat, and how long to wait: pure arithmetic, within a total time budget and not a count.

https://learn.microsoft.com/en-us/graph/throttling#best-practices-to-handle-throttling
https://learn.microsoft.com/en-us/graph/errors
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

REPEATABLE = frozenset({408, 429, 500, 502, 503, 504, 509})
"""HTTP statuses after which the same request may succeed later."""

_FIRST = 0.5
_LONGEST = 30.0


def backoff(attempt: int, jitter: float) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1): doubling from 0.5 up to 30.

    `jitter` in [0, 1) spreads the wait over its upper half, so that lanes which failed together do not return together.
    """
    longest = min(_LONGEST, _FIRST * 2 ** min(attempt - 1, 16))
    return longest * (0.5 + jitter / 2)


def pause(*, attempt: int, spent: float, budget: float, retry_after: float | None, jitter: float) -> float | None:
    """Seconds to wait before the next attempt, or None when it would begin past the budget.

    Args:
        attempt: how many attempts have failed, from 1.
        spent: seconds since the first attempt began.
        budget: seconds that attempts and waits may take in all.
        retry_after: seconds the service asked for; they are kept exactly, since a request sent earlier counts
            against the limit too. Zero, or a date that has passed, asks for nothing and counts as absent.
        jitter: a random number in [0, 1).
    """
    wait = retry_after or backoff(attempt, jitter)
    return wait if spent + wait < budget else None


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """A `Retry-After` header in seconds: whole (`10`), decimal (`2.128`) or an HTTP date; None when it cannot be told.

    https://learn.microsoft.com/en-us/graph/throttling (both number forms stand in its samples)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # the latter from a date such as the year 9999999999
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    # "nan" and "inf" are floats to Python, and no wait to anyone.
    return max(0.0, seconds) if seconds < float("inf") else None
