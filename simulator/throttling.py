"""Throttling by resource units, as Graph's identity service does it.

https://learn.microsoft.com/en-us/graph/throttling-limits#identity-and-access-service-limits
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

PERIOD = 10.0
SIGN_IN_PERIOD, SIGN_IN_REQUESTS = 60.0, 10
WARN_ABOVE, WORST = 0.8, 1.8


def units_per_period(users: int) -> int:
    """How many resource units an app may use in 10 seconds in a tenant of this size."""
    return 3_500 if users < 50 else 5_000 if users <= 500 else 8_000


def cost(base: int, *, select: bool, expand: bool, top: int | None) -> int:
    """The resource units of a GET request, from the base cost of its path."""
    return max(1, base - select + expand - (top is not None and top < 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a request.

    Attributes:
        share: how much of the limit is used; 1.0 is where throttling begins.
        retry_after: whole seconds after which the request may be repeated; None if it may pass.
    """

    share: float
    retry_after: int | None


class _Bucket:
    """Tokens that refill evenly; requests that are refused use them up too, down to a floor."""

    def __init__(self, size: float, period: float, now: float) -> None:
        self.size, self.period, self.level, self.at = size, period, size, now

    def take(self, amount: float, now: float) -> Verdict:
        self.level = min(self.size, self.level + (now - self.at) * self.size / self.period)
        self.at = now
        allowed = self.level >= amount
        self.level = max(self.level - amount, self.size * (1 - WORST))
        share = 1 - self.level / self.size
        wait = (amount - self.level) * self.period / self.size
        return Verdict(share=share, retry_after=None if allowed else max(1, int(-(-wait // 1))))


class Throttle:
    """The limits of each app in each tenant.

    Args:
        clock: seconds that only go forward.

    Attributes:
        enabled: whether requests are ever refused; off by default.
        units: resource units per 10 seconds; None for Graph's own, by the size of the directory.
        used: resource units used since the start, refused requests included.
        refused: requests refused since the start.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.enabled = False
        self.units: int | None = None
        self.used = 0
        self.refused = 0
        self._clock = clock
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def take(self, client: str, tenant: str, amount: int, *, users: int, sign_in: bool = False) -> Verdict:
        """Count a request of this cost; `sign_in` says that it reads sign-in activity, 10 times a minute at most."""
        self.used += amount
        if not self.enabled:
            return Verdict(share=0.0, retry_after=None)
        size, now = self.units or units_per_period(users), self._clock()
        verdict = self._bucket((client, tenant), size, PERIOD, now).take(amount, now)
        if sign_in:
            bucket = self._bucket((client, tenant, "sign-in"), SIGN_IN_REQUESTS, SIGN_IN_PERIOD, now)
            verdict = max(verdict, bucket.take(1, now), key=lambda each: each.retry_after or 0)
        self.refused += verdict.retry_after is not None
        return verdict

    def _bucket(self, key: tuple[str, ...], size: float, period: float, now: float) -> _Bucket:
        bucket = self._buckets.setdefault(key, _Bucket(size, period, now))
        bucket.size = size
        return bucket
