from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from streamdesk.market.errors import SessionFileError
from streamdesk.market.sessions import ExchangeSessions, SpecialHours, read_special_hours
from tools.session_table import LAST

HK, NY = ZoneInfo("Asia/Hong_Kong"), ZoneInfo("America/New_York")
ZONES = {"HK": HK, "US": NY}
MINUTE, DAY = 60, 86_400


@pytest.fixture(scope="module")
def sessions() -> ExchangeSessions:
    return ExchangeSessions()


def at(market: str, text: str) -> datetime:
    """A time at an exchange."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONES[market])


@pytest.mark.parametrize(
    ("market", "bar_end", "is_open"),
    [
        ("US", "2026-11-20 09:30", False),  # the bar before the session
        ("US", "2026-11-20 09:31", True),
        ("US", "2026-11-20 16:00", True),  # the bar that ends with it
        ("US", "2026-11-20 16:01", False),
        ("US", "2026-11-21 12:00", False),  # Saturday
        ("US", "2026-11-26 12:00", False),  # Thanksgiving
        ("US", "2026-11-27 13:00", True),  # the half day after it
        ("US", "2026-11-27 13:01", False),
        ("US", "2026-07-01 09:31", True),  # summer time
        ("HK", "2026-11-20 12:00", True),
        ("HK", "2026-11-20 12:01", False),  # lunch
        ("HK", "2026-11-20 13:00", False),
        ("HK", "2026-11-20 13:01", True),
        ("HK", "2026-11-20 16:00", True),
        ("HK", "2026-11-20 16:01", False),
        ("HK", "2026-12-24 12:00", True),  # a half day: no afternoon
        ("HK", "2026-12-24 13:30", False),
        ("HK", "2026-11-22 10:00", False),  # Sunday
        ("HK", "2023-09-01 10:00", False),  # a typhoon that the calendar lacks
    ],
)
def test_a_market_is_open_in_its_hours_alone(
    sessions: ExchangeSessions, market: str, bar_end: str, *, is_open: bool
) -> None:
    why = sessions.why_closed(market, at(market, bar_end), MINUTE)
    assert (why is None) is is_open, why
    assert why is None or market in why


def test_a_bar_of_a_second_counts_from_the_first_second_of_a_session(
    sessions: ExchangeSessions,
) -> None:
    opening = at("US", "2026-11-20 09:30")
    assert sessions.why_closed("US", opening, 1) is not None
    assert sessions.why_closed("US", opening + timedelta(seconds=1), 1) is None


def test_early_on_a_monday_the_reason_is_the_hour_and_not_the_day(
    sessions: ExchangeSessions,
) -> None:
    why = sessions.why_closed("HK", at("HK", "2026-11-23 07:00"), MINUTE)
    assert why is not None
    assert "outside its hours" in why


@pytest.mark.parametrize("hour", [0, 16, 21])
@pytest.mark.parametrize("market", ["US", "HK"])
def test_a_bar_of_a_day_counts_by_its_date_whatever_hour_it_is_stamped_with(
    sessions: ExchangeSessions, market: str, hour: int
) -> None:
    for day, is_open in ((20, True), (21, False), (22, False), (23, True)):
        stamp = datetime(2026, 11, day, hour, tzinfo=UTC)
        assert (sessions.why_closed(market, stamp, DAY) is None) is is_open


def test_a_market_without_sessions_never_closes(sessions: ExchangeSessions) -> None:
    assert sessions.why_closed("", at("US", "2026-11-21 03:00"), MINUTE) is None


def test_a_market_without_a_calendar_is_closed(sessions: ExchangeSessions) -> None:
    assert "MARS" in (sessions.why_closed("MARS", at("US", "2026-11-20 12:00"), MINUTE) or "")


@pytest.mark.parametrize("year", [1, 1950, 2036, 9999])
@pytest.mark.parametrize("length", [MINUTE, DAY])
def test_a_time_that_no_calendar_reaches_counts_as_closed(
    sessions: ExchangeSessions, year: int, length: int
) -> None:
    why = sessions.why_closed("US", datetime(year, 1, 3, 15, tzinfo=UTC), length)
    assert why is not None
    assert str(year) in why


def test_the_table_reaches_years_ahead() -> None:
    written = files("streamdesk.market").joinpath("sessions.csv").read_text()
    assert f",{LAST}," in written
    assert date.fromisoformat(LAST) > datetime.now(UTC).date() + timedelta(days=3 * 365)


def test_special_hours_stand_above_the_calendar() -> None:
    closed = SpecialHours(date(2026, 11, 20), "US", None, "NYSE notice 7")
    sessions = ExchangeSessions([closed])
    for length in (MINUTE, DAY):
        why = sessions.why_closed("US", at("US", "2026-11-20 12:00"), length)
        assert "NYSE notice 7" in (why or "")
    assert sessions.why_closed("HK", at("HK", "2026-11-20 11:00"), MINUTE) is None


def test_special_hours_are_read_from_a_file_with_several_parts_of_a_day(tmp_path: Path) -> None:
    file = tmp_path / "hours.csv"
    file.write_text(
        "date,market,open,close,source\n"
        "2026-11-20,HK,10:30,12:00,black rain\n"
        "2026-11-20,HK,13:00,16:00,black rain\n"
        "2023-09-01,HK,09:30,12:00,as tested\n"
    )
    sessions = ExchangeSessions(read_special_hours(file))
    open_at = {"10:00": False, "11:00": True, "12:30": False, "14:00": True}
    for hour, is_open in open_at.items():
        why = sessions.why_closed("HK", at("HK", f"2026-11-20 {hour}"), MINUTE)
        assert (why is None) is is_open
    assert sessions.why_closed("HK", at("HK", "2023-09-01 10:00"), MINUTE) is None


@pytest.mark.parametrize(
    "text",
    [
        "day,market\n",
        "date,market,open,close,source\n2026-13-01,HK,,,x\n",
        "date,market,open,close,source\n2026-12-01,XX,,,x\n",
        "date,market,open,close,source\n2026-12-01,HK,09:30,,x\n",
        "date,market,open,close,source\n2026-12-01,HK,late,12:00,x\n",
        "date,market,open,close,source\n2026-12-01,HK,12:00,09:30,x\n",
        "date,market,open,close,source\n2026-12-01\n",
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    file = tmp_path / "hours.csv"
    file.write_text(text)
    with pytest.raises(SessionFileError, match=r"hours\.csv"):
        read_special_hours(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionFileError, match="cannot be read"):
        read_special_hours(tmp_path / "none.csv")
