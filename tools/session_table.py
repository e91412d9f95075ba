"""Write libs/market's table of sessions out of exchange_calendars, which the services do without.

The library brings pandas: a hundred megabytes of memory and two seconds of CPU a process, and more
than an image may have. Its table of all sessions is 60 KB.

    make sessions                writes the table
    make sessions ARGS=--check   fails when it is not what the library says
"""

import argparse
import sys
import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

TABLE = Path("libs/market/src/streamdesk/market/sessions.csv")
CALENDARS = {"US": "XNYS", "HK": "XHKG"}
FIRST, LAST = "1970-01-01", "2035-12-31"
HEAD = "market,first,last,utc_offset_minutes,hours\n"
SATURDAY = 5
Session = tuple[date, int, str]


def sessions(name: str) -> Iterator[Session]:
    """Date, offset from UTC in minutes, and local hours of each session."""
    import exchange_calendars  # noqa: PLC0415 - the environment of the tests has it not

    with warnings.catch_warnings():
        # It calls what pandas 3 deprecates; its newest version does.
        warnings.simplefilter("ignore", DeprecationWarning)
        calendar = exchange_calendars.get_calendar(name, start=FIRST, end=LAST)
        for row in calendar.schedule.itertuples():
            times = [row.open, row.break_start, row.break_end, row.close]
            local = [at.tz_convert(calendar.tz) for at in times if str(at) != "NaT"]
            yield row.Index.date(), offset_minutes(local[0]), hours(local)


def offset_minutes(local: Any) -> int:  # noqa: ANN401 - the library is untyped
    """How far a local time is ahead of UTC."""
    return int(local.utcoffset().total_seconds() // 60)


def hours(local: list[Any]) -> str:
    """As in 09:30-12:00 13:00-16:00."""
    parts = zip(local[::2], local[1::2], strict=True)
    return " ".join(f"{start:%H:%M}-{end:%H:%M}" for start, end in parts)


def next_weekday(day: date) -> date:
    """The day after, or Monday."""
    day += timedelta(days=1)
    return day if day.weekday() < SATURDAY else day + timedelta(days=7 - day.weekday())


def table() -> str:
    """A line for each run of weekdays that all have a session of the same hours."""
    lines = []
    for market, name in CALENDARS.items():
        every = list(sessions(name))
        ends = [
            at
            for at, (one, other) in enumerate(pairwise(every))
            if other[1:] != one[1:] or other[0] != next_weekday(one[0])
        ]
        starts = [0, *(at + 1 for at in ends)]
        for start, end in zip(starts, [*ends, len(every) - 1], strict=True):
            first, offset, text = every[start]
            lines.append(f"{market},{first},{every[end][0]},{offset},{text}\n")
    return HEAD + "".join(lines)


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail on drift")
    text = table()
    if not parser.parse_args().check:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        sys.exit(f"{TABLE} is not what exchange_calendars says; run `make sessions`")


if __name__ == "__main__":
    main()
