"""Points in time, as a person writes them."""

import re
from datetime import UTC, datetime, timedelta

from streamdesk.console.errors import UsageError

BEGINNING = "0"
EXPECTED = "a time with its zone (2026-11-21T09:00Z), how long ago (90s, 10m, 2h, 3d)"
EXPECTED_OR_ID = f"{EXPECTED}, an entry id (1763712000000-0), or 0 for the beginning"
_AGO = re.compile(r"^(\d{1,6})([smhd])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# A short number is more likely a date that was not finished than an id of 1970.
_ENTRY_ID = re.compile(r"^\d{12,15}(-\d{1,20})?$")


def moment(option: str, text: str, now: datetime) -> datetime:
    """A point in time.

    Args:
        option: what the person calls it, as in --since.
        text: what the person wrote.
        now: what "ago" counts from.

    Raises:
        UsageError: it is none; the message says what was expected.
    """
    try:
        ago = _AGO.match(text)
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):  # no time at all, or one before the first year
        raise UsageError(f"{option} is {text!r}; expected {EXPECTED}") from None
    raise UsageError(
        f"{option} is {text!r}, which has no zone; expected {EXPECTED}, as in "
        f"{at.isoformat(timespec='minutes')}Z"
    )


def moment_or_id(option: str, text: str, now: datetime) -> datetime | str:
    """A point in time, or a point in a stream.

    Args:
        option: what the person calls it, as in --since.
        text: what the person wrote.
        now: what "ago" counts from.

    Raises:
        UsageError: it is neither; the message says what was expected.
    """
    if text == BEGINNING or _ENTRY_ID.match(text):
        return text
    try:
        return moment(option, text, now)
    except UsageError as error:
        raise UsageError(str(error).replace(EXPECTED, EXPECTED_OR_ID)) from None


def span_of(
    since: str, until: str | None, now: datetime
) -> tuple[datetime | str, datetime | str | None]:
    """A span of a stream, both ends included.

    Args:
        since: what the person wrote for --since.
        until: what the person wrote for --until; None for no end.
        now: what "ago" counts from.

    Raises:
        UsageError: an end is none, or the span ends before it begins.
    """
    first = moment_or_id("--since", since, now)
    last = None if until is None else moment_or_id("--until", until, now)
    if last is not None and _milliseconds(last) < _milliseconds(first):
        raise UsageError(f"--until {until} lies before --since {since}")
    return first, last


def _milliseconds(point: datetime | str) -> int:
    if isinstance(point, str):
        return int(point.partition("-")[0])
    return int(point.timestamp() * 1000)
