"""Cron lines as timetables, computed by APScheduler."""

from datetime import UTC, datetime, timedelta
from typing import cast

from apscheduler.triggers.cron import CronTrigger

from streamdesk.analysis.domain.slots import EPOCH

FIELDS = 5
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORTEST_STEP = timedelta(microseconds=1)
OFF = "off"
"""The setting of a schedule that never fires."""


class Cron:
    """The five fields of a cron line, in UTC, with the meaning of POSIX (crontab).

    APScheduler reads the single fields, but differs in two points, which are handled here: it
    counts weekdays from Monday, so that `1-5` would be Tuesday to Saturday; and of a day of the
    month and a weekday it requires both, where cron accepts either.

    Args:
        line: minute, hour, day of the month, month, weekday: `30 22 * * 1-5`.

    Raises:
        ValueError: it is not a cron line; the message says which part, and what was expected.
    """

    def __init__(self, line: str) -> None:
        fields = line.split()
        if len(fields) != FIELDS:
            raise ValueError(
                f"{line!r} has {len(fields)} fields; expected five: minute, hour, day of the "
                "month, month, weekday, as in 30 22 * * 1-5"
            )
        self.line = line
        minute, hour, day, month, weekday = fields
        names = ",".join(_weekdays(part) for part in weekday.lower().split(","))
        # Either of the two fields suffices if both are restricted; otherwise both have to match,
        # which is the same as the restricted one.
        pairs = [(day, names)]
        if not day.startswith("*") and not weekday.startswith("*"):
            pairs = [(day, "*"), ("*", names)]
        self._triggers = [
            CronTrigger(minute=minute, hour=hour, day=on, month=month, day_of_week=at, timezone=UTC)
            for on, at in pairs
        ]
        if self.after(EPOCH) is None:
            raise ValueError(f"{line!r} never comes; expected a date that the calendar has")

    def after(self, moment: datetime) -> datetime | None:
        """The first slot after a moment; None at the end of the calendar.

        Args:
            moment: a time with its zone.
        """
        later = moment.astimezone(UTC) + SHORTEST_STEP
        slots = [
            cast("datetime | None", trigger.get_next_fire_time(None, later))
            for trigger in self._triggers
        ]
        return min((slot for slot in slots if slot is not None), default=None)


def _weekdays(part: str) -> str:
    """One part of the weekday field as names; 0 and 7 are Sunday."""
    span, _, step = part.partition("/")
    if span == "*":
        if not step:
            return "*"
        span = "0-6"
    first, _, last = span.partition("-")
    low = _number(first)
    high = _number(last) if last else (6 if step else low)
    if high < low:
        high += 7  # fri-mon
    days = range(low, high + 1, _step(step) if step else 1)
    return ",".join(dict.fromkeys(WEEKDAYS[day % 7] for day in days))


def _step(word: str) -> int:
    if word.isdecimal() and int(word) > 0:
        return int(word)
    raise ValueError(f"{word!r} is not a step of weekdays; expected 1 or more")


def _number(word: str) -> int:
    if word in WEEKDAYS:
        return WEEKDAYS.index(word)
    if word.isdecimal() and int(word) < len(WEEKDAYS):
        return int(word)
    raise ValueError(
        f"{word!r} is not a weekday; expected 0 to 7, 0 and 7 are Sunday, or sun to sat"
    )
