"""When exchanges trade: their calendars, half days and lunch breaks, and closures at short notice.

The table beside this module is what exchange_calendars says, a line for each run of weekdays with a
session of the same hours; `python -m tools.session_table` writes it. What it says of years to come
follows from the exchanges' rules and lists of holidays.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

from streamdesk.market.errors import SessionFileError

ALWAYS_OPEN = frozenset({""})
"""Markets without sessions: pairs, which have no market in their name."""

DAY_SECONDS = 86_400
SATURDAY = 5
COLUMNS = ("date", "market", "open", "close", "source")
Part = tuple[time, time]
"""Trading without a break, in local time: from, and until, the latter excluded."""


@dataclass(frozen=True, slots=True)
class SpecialHours:
    """A part of a day at one exchange, in place of what its calendar says about that day.

    Attributes:
        day: date at the exchange.
        market: as at the end of a symbol.
        hours: opening and closing time there, the latter excluded; None: closed all day.
        source: who said so.
    """

    day: date
    market: str
    hours: Part | None
    source: str


# Closed at short notice and not in exchange_calendars 4.13 (its issue 600).
BUILT_IN = (
    SpecialHours(date(2023, 9, 1), "HK", None, "HKEX: typhoon Saola"),
    SpecialHours(date(2023, 9, 8), "HK", None, "HKEX: black rainstorm warning"),
)


@dataclass(frozen=True, slots=True)
class _Run:
    """Weekdays from `first` to `last` that all have a session of the same hours."""

    first: date
    last: date
    offset: timedelta
    parts: tuple[Part, ...]

    def has(self, day: date) -> bool:
        """Whether a day has a session of this run."""
        return self.first <= day <= self.last and day.weekday() < SATURDAY


@cache
def _calendars() -> Mapping[str, Sequence[_Run]]:
    """The runs of each market, ascending."""
    calendars: dict[str, list[_Run]] = {}
    text = files("streamdesk.market").joinpath("sessions.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        first, last = date.fromisoformat(row["first"]), date.fromisoformat(row["last"])
        parts = tuple(_part(part) for part in row["hours"].split())
        offset = timedelta(minutes=int(row["utc_offset_minutes"]))
        calendars.setdefault(row["market"], []).append(_Run(first, last, offset, parts))
    return calendars


def _part(text: str) -> Part:
    start, _, end = text.partition("-")
    return time.fromisoformat(start), time.fromisoformat(end)


def read_special_hours(path: Path) -> tuple[SpecialHours, ...]:
    """Special hours from a CSV file with the columns date, market, open, close and source.

    A day may have several rows, as around a lunch break; without open and close it is closed.

    Raises:
        SessionFileError: the file cannot be read, or names the line that makes no sense.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise SessionFileError(f"{path} has other columns than {','.join(COLUMNS)}")
            return tuple(_special_hours(row, f"{path}:{rows.line_num}") for row in rows)
    except (OSError, UnicodeError, csv.Error) as error:
        raise SessionFileError(f"{path} cannot be read: {error}") from error


def _special_hours(row: dict[str, str], place: str) -> SpecialHours:
    try:
        hours = None
        if row["open"] or row["close"]:
            hours = time.fromisoformat(row["open"]), time.fromisoformat(row["close"])
        found = SpecialHours(date.fromisoformat(row["date"]), row["market"], hours, row["source"])
    except (TypeError, ValueError) as error:
        raise SessionFileError(f"{place}: {error}") from error
    if hours is not None and hours[0] >= hours[1]:
        raise SessionFileError(f"{place}: it closes at {hours[1]} before it opens at {hours[0]}")
    if found.market not in _calendars():
        raise SessionFileError(f"{place}: market {found.market!r} is none of {list(_calendars())}")
    return found


class ExchangeSessions:
    """Says whether a market is open.

    Args:
        special: hours in place of those of the calendars, over the built-in ones.
    """

    def __init__(self, special: Iterable[SpecialHours] = ()) -> None:
        self._special = _by_day(BUILT_IN) | _by_day(special)

    def why_closed(
        self, market: str, bar_end: datetime, interval_seconds: int | None
    ) -> str | None:
        """Why a market is closed at the end of a bar; None while it is open.

        Args:
            market: as at the end of a symbol.
            bar_end: end of the bar; the moment that counts is the one just before it, so the bar
                that ends with the session is inside it.
            interval_seconds: length of the bar; a bar of a day or more counts by its UTC date,
                whatever hour it is stamped with. None: unknown, and shorter than a day.

        Returns:
            The reason, for a person. A time for which no calendar is known counts as closed.
        """
        if market in ALWAYS_OPEN:
            return None
        runs = _calendars().get(market)
        if runs is None:
            return f"no calendar of market {market} is known"
        # The date in UTC is that at the exchange during every session of New York and Hong Kong.
        end = bar_end.astimezone(UTC).replace(tzinfo=None)
        if not runs[0].first < end.date() <= runs[-1].last:
            known = f"from {runs[0].first} to {runs[-1].last}"
            return f"sessions of {market} are known {known}, and not on {end.date()}"
        if interval_seconds is not None and interval_seconds >= DAY_SECONDS:
            return self._why_no_session(market, end.date(), _run_at(runs, end.date()))
        moment = end - timedelta(microseconds=1)
        local = moment + _run_at(runs, moment.date()).offset
        return self._why_not_trading(market, local, _run_at(runs, local.date()))

    def _why_no_session(self, market: str, day: date, run: _Run) -> str | None:
        special = self._special.get((market, day))
        if special is not None:
            closed = next((hours for hours in special if hours.hours is None), None)
            return None if closed is None else f"{market} has no session on {day}: {closed.source}"
        return None if run.has(day) else f"{market} has no session on {day:%A}, {day}"

    def _why_not_trading(self, market: str, local: datetime, run: _Run) -> str | None:
        day, special = local.date(), self._special.get((market, local.date()))
        if special is not None:
            parts = [hours.hours for hours in special if hours.hours is not None]
            outside = f"outside its hours: {special[0].source}"
        else:
            parts = list(run.parts) if run.has(day) else []
            outside = "outside its hours"
        if any(start <= local.time() < end for start, end in parts):
            return None
        why = self._why_no_session(market, day, run) or outside
        return f"{market} is closed at {local:%Y-%m-%d %H:%M} there: {why}"


def _run_at(runs: Sequence[_Run], day: date) -> _Run:
    """The run that a day lies in, or the one before it."""
    return runs[max(0, bisect_right(runs, day, key=lambda run: run.first) - 1)]


def _by_day(special: Iterable[SpecialHours]) -> dict[tuple[str, date], list[SpecialHours]]:
    days: dict[tuple[str, date], list[SpecialHours]] = {}
    for hours in special:
        days.setdefault((hours.market, hours.day), []).append(hours)
    return days
