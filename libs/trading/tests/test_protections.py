from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.trading.locks import EVERY_SYMBOL, EntryLock, LockCode, longest
from streamdesk.trading.protections import (
    AnyProtection,
    CooldownPeriod,
    LowProfitPairs,
    MaxDrawdown,
    RoundTrip,
    StoplossGuard,
    TripHistory,
    locks_after_close,
    longest_lookback,
)
from streamdesk.trading.risk import Code

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def trip(
    minutes_ago: float, percent: float, symbol: str = "AAPL.US", *, by_stop: bool = True
) -> RoundTrip:
    """A position of 1,000 with so much profit, percent."""
    profit = Decimal(str(percent)) * 10
    return RoundTrip(symbol, NOW - minutes_ago * MINUTE, profit, Decimal(1000), by_stop)


def history(*trips: RoundTrip, before: int = 0) -> TripHistory:
    """Closed positions, after others that had earned `before`."""
    total = before + sum((item.profit for item in trips), Decimal(0))
    return TripHistory(NOW, trips, Decimal(10_000), total)


def made(
    rule: AnyProtection, *trips: RoundTrip, symbol: str = "AAPL.US", before: int = 0
) -> list[tuple[str, timedelta]]:
    """Symbols that are locked, and until when, from now."""
    locks = locks_after_close(symbol, history(*trips, before=before), [rule], [])
    assert all(lock.code is rule.code and lock.reason for lock in locks)
    return [(lock.symbol, lock.until - NOW) for lock in locks if lock.until]


GUARD = StoplossGuard(lookback_minutes=60, stop_minutes=40, trade_limit=3)


def test_the_guard_locks_everything_from_the_latest_of_so_many_losing_stops() -> None:
    stops = [trip(30, -1, "A.US"), trip(20, -1, "B.US"), trip(5, -1)]
    assert made(GUARD, *stops) == [(EVERY_SYMBOL, 35 * MINUTE)]
    assert made(GUARD, *stops[:2]) == []


def test_the_guard_locks_a_symbol_with_so_many_stops_of_its_own_as_well() -> None:
    stops = [trip(30, -1), trip(20, -1), trip(0, -1)]
    assert made(GUARD, *stops) == [("AAPL.US", 40 * MINUTE), (EVERY_SYMBOL, 40 * MINUTE)]
    only = replace(GUARD, only_per_pair=True)
    assert made(only, *stops) == [("AAPL.US", 40 * MINUTE)]
    assert made(only, trip(30, -1, "B.US"), *stops[1:]) == []


@pytest.mark.parametrize(
    "third",
    [
        trip(60, -1),  # at the beginning of the window, not after it
        trip(5, 1),
        trip(5, 0),
        trip(5, -1, by_stop=False),
    ],
    ids=["too long ago", "a gain", "nothing lost", "no stop"],
)
def test_the_guard_counts_losing_stops_inside_its_window_alone(third: RoundTrip) -> None:
    assert made(GUARD, trip(30, -1), trip(20, -1), third) == []


def test_the_guard_can_leave_small_losses_out_of_the_count() -> None:
    rule = replace(GUARD, required_profit=Decimal("-0.02"), only_per_pair=True)
    assert made(rule, trip(3, -2), trip(2, -5), trip(1, -5)) == []
    assert made(rule, trip(3, -2.1), trip(2, -5), trip(1, -5)) != []


@pytest.mark.parametrize(
    ("percents", "allowed", "locks"),
    [
        ([-5, -5], "0.09", True),
        ([-5, -5], "0.10", False),  # as much as allowed is allowed
        ([5, -5, -4], "0.085", True),
        ([-3, 10, -3], "0.05", False),  # the highest point lies between the losses
        ([1, 2], "0.0", False),
    ],
)
def test_the_drawdown_by_ratios_adds_them_up_whatever_the_positions_sizes(
    percents: list[float], allowed: str, locks: bool
) -> None:
    rule = MaxDrawdown(max_allowed_drawdown=Decimal(allowed), stop_minutes=12)
    trips = [trip(len(percents) - n, percent) for n, percent in enumerate(percents)]
    assert made(rule, *trips) == ([(EVERY_SYMBOL, 11 * MINUTE)] if locks else [])


def test_the_drawdown_by_equity_is_a_part_of_the_balance_with_earlier_profits() -> None:
    # 10,000 and 10,000 earned before; +1,000, then -2,100 from 21,000: 10 %.
    trips = [trip(2, 100), trip(1, -210)]
    rule = MaxDrawdown(max_allowed_drawdown=Decimal("0.1"), calculation_mode="equity")
    assert made(rule, *trips, before=10_000) == []
    assert made(rule, *trips, before=9_999) == [(EVERY_SYMBOL, 59 * MINUTE)]


def test_the_drawdown_needs_so_many_closed_positions() -> None:
    rule = MaxDrawdown(trade_limit=3, max_allowed_drawdown=Decimal("0.01"))
    assert made(rule, trip(2, -50), trip(1, -50)) == []
    assert made(rule, trip(2, -50), trip(1, -50), trip(0, 1)) != []


def test_low_profit_adds_up_one_symbols_positions_and_locks_it_alone() -> None:
    rule = LowProfitPairs(trade_limit=2, required_profit=Decimal("0.02"), stop_minutes=30)
    assert made(rule, trip(9, -50, "B.US"), trip(5, 1), trip(3, 1)) == []
    assert made(rule, trip(9, 50, "B.US"), trip(5, 1), trip(3, 0.9)) == [("AAPL.US", 27 * MINUTE)]
    assert made(rule, trip(3, -50)) == []


def test_the_cooldown_locks_the_symbol_from_its_latest_close_whatever_came_of_it() -> None:
    rule = CooldownPeriod(stop_minutes=10)
    trips = [trip(8, 5), trip(1, 5, by_stop=False), trip(0, -5, "B.US")]
    assert made(rule, *trips) == [("AAPL.US", 9 * MINUTE)]


def lock(symbol: str, minutes: int | None, code: LockCode = LockCode.DRAWDOWN) -> EntryLock:
    until = None if minutes is None else NOW + minutes * MINUTE
    return EntryLock(symbol, code, until, "a reason", NOW, Decimal(1), Decimal(0))


@pytest.mark.parametrize("symbol", ["AAPL.US", EVERY_SYMBOL])
@pytest.mark.parametrize("minutes", [10, 11, None])
def test_a_lock_that_ends_no_later_than_one_in_force_is_not_made(
    symbol: str, minutes: int | None
) -> None:
    rule, now = CooldownPeriod(stop_minutes=10), history(trip(0, 1))
    assert locks_after_close("AAPL.US", now, [rule], [lock(symbol, minutes)]) == []


def test_a_lock_that_outlasts_those_in_force_is_made() -> None:
    rule, now = CooldownPeriod(stop_minutes=10), history(trip(0, 1))
    others = [lock("AAPL.US", 9), lock("B.US", None)]
    assert len(locks_after_close("AAPL.US", now, [rule], others)) == 1


def test_several_protections_lock_the_symbol_first_and_then_everything() -> None:
    rules: list[AnyProtection] = [
        MaxDrawdown(),
        CooldownPeriod(stop_minutes=5),
        LowProfitPairs(stop_minutes=60),
    ]
    locks = locks_after_close("AAPL.US", history(trip(1, 2), trip(0, -1)), rules, [])
    codes = [(item.symbol, item.code) for item in locks]
    assert codes == [("AAPL.US", LockCode.COOLDOWN_PERIOD), (EVERY_SYMBOL, LockCode.MAX_DRAWDOWN)]
    assert longest_lookback([*rules, GUARD]) == timedelta(hours=1)
    assert longest_lookback([]) == timedelta(0)


@pytest.mark.parametrize(("lookback", "stop"), [(0, 60), (60, -1)])
def test_a_protection_needs_a_window_and_a_duration(lookback: int, stop: int) -> None:
    with pytest.raises(ValueError, match="whole minutes"):
        CooldownPeriod(lookback, stop)


def test_a_lock_ends_at_its_end_and_one_without_an_end_never() -> None:
    assert lock("AAPL.US", 5).covers("AAPL.US", NOW + 4 * MINUTE)
    assert not lock("AAPL.US", 5).covers("AAPL.US", NOW + 5 * MINUTE)
    assert not lock("AAPL.US", 5).covers("MSFT.US", NOW)
    assert lock(EVERY_SYMBOL, None).covers("MSFT.US", NOW + timedelta(days=999))
    assert longest([lock("A.US", 5), lock("B.US", 6)]) == lock("B.US", 6)
    assert longest([lock("A.US", None), lock("B.US", 6)]) == lock("A.US", None)
    assert longest([]) is None


def test_every_lock_is_a_refusal_of_the_same_name() -> None:
    assert {code.value for code in LockCode} <= {code.value for code in Code}


trips_of = st.lists(
    st.builds(
        trip,
        st.integers(0, 90),
        st.integers(-20, 20),
        st.sampled_from(["AAPL.US", "B.US"]),
        by_stop=st.booleans(),
    ),
    max_size=12,
)


@given(trips_of, st.integers(1, 4))
def test_the_guard_locks_exactly_when_enough_losing_stops_are_in_the_window(
    trips: list[RoundTrip], limit: int
) -> None:
    rule = replace(GUARD, trade_limit=limit)
    losing = [
        item
        for item in trips
        if item.by_stop and item.profit < 0 and NOW - item.closed_at < 60 * MINUTE
    ]
    locked = dict(made(rule, *trips))
    assert (EVERY_SYMBOL in locked or "AAPL.US" in locked) == (len(losing) >= limit)


@given(trips_of)
def test_no_lock_outlasts_its_duration_from_now(trips: list[RoundTrip]) -> None:
    rules: list[AnyProtection] = [GUARD, LowProfitPairs(), CooldownPeriod()]
    rules += [MaxDrawdown(), MaxDrawdown(calculation_mode="equity")]
    for item in locks_after_close("AAPL.US", history(*trips), rules, []):
        assert item.until is not None
        assert item.until - NOW <= 60 * MINUTE
        assert item.made_at == NOW


@given(trips_of)
def test_gains_never_make_a_drawdown(trips: list[RoundTrip]) -> None:
    gains = [replace(item, profit=abs(item.profit)) for item in trips]
    assert made(MaxDrawdown(), *gains) == []
    assert made(MaxDrawdown(calculation_mode="equity"), *gains) == []
