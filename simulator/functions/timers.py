"""Timer triggers: NCRONTAB schedules and what a timer hands to its function.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulator.functions.errors import StartError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An NCRONTAB expression; times are UTC, as on Flex Consumption, which knows no other zone."""

    text: str
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence after a moment.

        A day must fit both the day of the month and the day of the week.

        Raises:
            StartError: there is none within eight years, such as on 30 February.
        """
        moment = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        midnight = moment.replace(hour=0, minute=0, second=0)
        for ahead in range(366 * 8 + 2):
            day = midnight + timedelta(days=ahead)
            if day.month not in self.months or day.day not in self.days or day.isoweekday() % 7 not in self.weekdays:
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    for second in sorted(self.seconds):
                        occurrence = day.replace(hour=hour, minute=minute, second=second)
                        if occurrence >= moment:
                            return occurrence
        raise StartError(f"The schedule '{self.text}' never occurs.")


def parse_schedule(text: str) -> Schedule:
    """Parse an NCRONTAB expression of six fields, seconds first, or of five without seconds.

    Raises:
        StartError: it is not one.
    """
    fields = text.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise StartError(f"'{text}' is not an NCRONTAB schedule of six fields.")
    try:
        seconds, minutes, hours, days, months, weekdays = (
            _values(*each)
            for each in zip(
                fields,
                ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)),
                ((), (), (), (), _MONTHS, _DAYS),
                strict=True,
            )
        )
    except ValueError as error:
        raise StartError(f"'{text}' is not an NCRONTAB schedule: {error}.") from None
    return Schedule(
        text=text, seconds=seconds, minutes=minutes, hours=hours, days=days, months=months, weekdays=weekdays
    )


def _values(field: str, bounds: tuple[int, int], names: tuple[str, ...]) -> frozenset[int]:
    least, most = bounds
    values = set[int]()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        low = least if span == "*" else _number(first, least, names)
        # `5` is that value alone, `5/10` every tenth from there on.
        end = _number(last, least, names) if dash else low
        high = most if span == "*" or (step and not dash) else end
        if not least <= low <= high <= most or (step and int(step) < 1):
            raise ValueError(f"'{part}' is out of range")
        values.update(range(low, high + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, least: int, names: tuple[str, ...]) -> int:
    name = text[:3].lower()
    return names.index(name) + least if name in names else int(text)


def timer_json(schedule: Schedule, *, past_due: bool, last: datetime | None, now: datetime) -> str:
    """Return the TimerInfo that the function gets, as JSON with the host's names.

    https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-timer#usage
    """
    return json.dumps(
        {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
                "Next": schedule.next_after(now).isoformat(),
                "LastUpdated": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
            },
            "IsPastDue": past_due,
        }
    )
