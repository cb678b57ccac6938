"""When the sync is due: NCRONTAB expressions of six fields, as the Functions host reads them.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
It differs from cron: day of month and day of week must both fit, Sunday is 0 and never 7, and names may be cut short.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import product

_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()
# The 29th of February on a given day of the week comes back after 40 years at the latest.
_LONGEST = 366 * 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The numbers that each field admits, in ascending order; Sunday is 0."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def due_after(self, moment: datetime) -> datetime:
        """The first time after an aware moment at which it is due, in UTC.

        Raises:
            ValueError: it is never due.
        """
        first = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for later in range(_LONGEST):
            day = first.date() + timedelta(days=later)
            if day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays:
                for hour, minute, second in product(self.hours, self.minutes, self.seconds):
                    due = datetime.combine(day, time(hour, minute, second), UTC)
                    if due >= first:
                        return due
        raise ValueError("names a day that never comes.")


def read_schedule(text: str) -> Schedule:
    """The schedule that an expression stands for: `{second} {minute} {hour} {day} {month} {day of week}`.

    Raises:
        ValueError: there are not six fields, one of them is not understood, or it is never due.
    """
    fields = text.split()
    if len(fields) != 6:
        raise ValueError("must have six fields, {second} {minute} {hour} {day} {month} {day of week}, in UTC.")
    second, minute, hour, day, month, weekday = fields
    schedule = Schedule(
        seconds=_numbers(second, "second", 0, 59),
        minutes=_numbers(minute, "minute", 0, 59),
        hours=_numbers(hour, "hour", 0, 23),
        days=_numbers(day, "day", 1, 31),
        months=_numbers(month, "month", 1, 12, _MONTHS),
        weekdays=_numbers(weekday, "day of week", 0, 6, _DAYS),
    )
    schedule.due_after(datetime(2000, 1, 1, tzinfo=UTC))
    return schedule


def _numbers(field: str, name: str, least: int, most: int, names: Sequence[str] | None = None) -> tuple[int, ...]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            ends = [least, most]
        else:
            ends = [_number(end, least, names) for end in ([first, last] if dash else [first])]
            if slash and not dash:
                ends.append(most)
        if not all(least <= end <= most for end in ends) or not re.fullmatch("[0-9]{1,3}" if slash else "", step):
            raise ValueError(
                f"has a field {{{name}}} that is not understood: numbers from {least} to {most}, lists (1,3),"
                " ranges (1-5), steps (*/2) and * are."
            )
        # The host takes the ends of a range in either order, and a step of 0 for 1.
        found.update(range(min(ends), max(ends) + 1, max(1, int(step or 1))))
    return tuple(sorted(found))


def _number(text: str, least: int, names: Sequence[str] | None) -> int:
    """The number that a text is or, cut short or not, names; -1 for what is neither."""
    if re.fullmatch("[0-9]{1,3}", text):
        return int(text)
    named = (place for place, name in enumerate(names or [], least) if text and name.lower().startswith(text.lower()))
    return next(named, -1)
