from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.trading.locks import EVERY_SYMBOL, LockCode
from streamdesk.trading.losses import EquityTrack, account_day, loss_locks
from streamdesk.trading.risk_limits import RiskLimits

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
DAY = date(2026, 11, 20)
TRACK = EquityTrack(DAY, Decimal(1000), Decimal(1000))
LIMITS = RiskLimits(daily_loss_limit_percent=Decimal(3), drawdown_limit_percent=Decimal(10))
amounts = st.integers(1, 2_000).map(Decimal)


def codes(track: EquityTrack, equity: str, limits: RiskLimits = LIMITS) -> list[str]:
    return [lock.code for lock in loss_locks(track, Decimal(equity), limits, [], NOW)]


@pytest.mark.parametrize(
    ("session", "day"),
    [
        ("2026-11-20T09:30:00+08:00", DAY),  # Hong Kong opens
        ("2026-11-20T16:00:00+08:00", DAY),
        ("2026-11-20T09:30:00-05:00", DAY),  # New York opens
        ("2026-11-20T16:00:00-05:00", DAY),
    ],
)
def test_the_day_of_an_event_is_the_date_at_its_exchange(session: str, day: date) -> None:
    assert account_day(datetime.fromisoformat(session)) == day


def test_a_loss_of_the_day_that_reaches_its_limit_locks_everything_until_the_next_day() -> None:
    assert codes(TRACK, "970.01") == []
    (lock,) = loss_locks(TRACK, Decimal(970), LIMITS, [], NOW)
    assert (lock.symbol, lock.code) == (EVERY_SYMBOL, LockCode.DAILY_LOSS)
    assert lock.until == datetime(2026, 11, 21, tzinfo=UTC)
    assert lock.value == lock.limit == Decimal(3)


def test_a_loss_since_the_peak_that_reaches_its_limit_locks_until_a_person_lifts_it() -> None:
    track = EquityTrack(DAY, Decimal(910), Decimal(1000))
    assert codes(track, "900.01") == []
    (lock,) = loss_locks(track, Decimal(900), LIMITS, [], NOW)
    assert (lock.code, lock.until, lock.value) == (LockCode.DRAWDOWN, None, Decimal(10))


def test_a_lock_is_made_once_while_it_is_in_force_and_again_after_it() -> None:
    first = loss_locks(TRACK, Decimal(800), LIMITS, [], NOW)
    assert [lock.code for lock in first] == [LockCode.DAILY_LOSS, LockCode.DRAWDOWN]
    assert loss_locks(TRACK, Decimal(700), LIMITS, first, NOW) == []
    tomorrow = TRACK.advanced(date(2026, 11, 21), Decimal(800))
    later = NOW + timedelta(days=1)
    again = loss_locks(tomorrow, Decimal(700), LIMITS, first, later)
    assert [lock.code for lock in again] == [LockCode.DAILY_LOSS]


def test_a_limit_of_zero_is_off() -> None:
    off = RiskLimits(daily_loss_limit_percent=Decimal(0), drawdown_limit_percent=Decimal(0))
    assert codes(TRACK, "1", off) == []


def test_an_account_without_a_base_has_no_loss_in_percent() -> None:
    assert codes(EquityTrack(DAY, Decimal(0), Decimal(0)), "-5") == []


def test_a_late_event_does_not_bring_an_old_day_back() -> None:
    moved = TRACK.advanced(date(2026, 11, 23), Decimal(990))
    assert moved == EquityTrack(date(2026, 11, 23), Decimal(990), Decimal(1000))
    assert moved.advanced(DAY, Decimal(500)) == moved


@given(amounts, st.lists(st.tuples(st.integers(0, 3), amounts), max_size=12))
def test_the_peak_is_the_highest_equity_and_the_day_begins_with_the_last_of_the_day_before(
    first: Decimal, steps: list[tuple[int, Decimal]]
) -> None:
    track, day, seen = EquityTrack(DAY, first, first), DAY, [first]
    for days, equity in steps:
        begins = equity if days else track.day_equity
        day += timedelta(days=days)
        track = track.advanced(day, equity)
        seen.append(equity)
        assert track == EquityTrack(day, begins, max(seen))
        assert 0 <= track.drawdown_percent(equity) < 100


@given(amounts, amounts, amounts)
def test_entries_are_locked_exactly_when_a_limit_is_reached(
    begin: Decimal, peak: Decimal, now: Decimal
) -> None:
    track = EquityTrack(DAY, begin, peak)
    wanted = [LockCode.DAILY_LOSS] if now <= begin * Decimal("0.97") else []
    wanted += [LockCode.DRAWDOWN] if now <= peak * Decimal("0.9") else []
    assert codes(track, str(now)) == wanted
