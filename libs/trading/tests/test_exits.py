"""How a stop follows the market, and when a position is closed for its age."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamdesk.contracts.events import BarClosed, ExitOptions
from streamdesk.trading.decisions import overdue
from streamdesk.trading.exits import raised_stop
from streamdesk.trading.markets import MarketCode, Ticks
from streamdesk.trading.orders import Origin
from streamdesk.trading.portfolio import Holding

AT = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
TICKS = Ticks()
PRICES = st.floats(1, 10_000).map(lambda value: round(value, 2))


def holding_of(stop: str | None = "95", **exits: Any) -> Holding:
    """A hundred shares bought at 100."""
    return Holding(
        symbol="AAPL.US",
        market=MarketCode.US,
        quantity=100,
        cost=Decimal(10_000),
        local_cost=Decimal(10_000),
        market_price=Decimal(100),
        marked_at=AT,
        opened_at=AT,
        entry_order_id="sd-1",
        signal_id="signal-1",
        stop_loss=None if stop is None else Decimal(stop),
        exits=ExitOptions(**exits) if exits else None,
    )


def bar_of(high: float, close: float, minute: int = 1) -> BarClosed:
    at = AT + timedelta(minutes=minute)
    return BarClosed(
        symbol="AAPL.US", timestamp=at, interval_seconds=60, open=close, high=max(high, close),
        low=close, close=close, volume=1000,
    )  # fmt: skip


def test_a_stop_without_options_stays() -> None:
    assert raised_stop(holding_of(), bar_of(200, 200), Decimal(1), TICKS) is None


def test_a_trailing_stop_in_percent_follows_the_high_of_the_bar() -> None:
    assert raised_stop(holding_of(trail_percent=4), bar_of(110, 108), None, TICKS) == Decimal(
        "105.6"
    )


def test_a_trailing_stop_in_atrs_waits_for_the_atr() -> None:
    held = holding_of(trail_atr=2.5)
    assert raised_stop(held, bar_of(110, 109), None, TICKS) is None
    assert raised_stop(held, bar_of(110, 109), Decimal("1.2"), TICKS) == Decimal(107)


def test_a_stop_never_falls() -> None:
    held = holding_of("105.6", trail_percent=4, trail_atr=3)
    assert raised_stop(held, bar_of(109, 108), Decimal(2), TICKS) is None


def test_a_trailing_stop_needs_no_stop_at_the_entry() -> None:
    held = holding_of(None, trail_percent=4)
    assert raised_stop(held, bar_of(100, 100), None, TICKS) == Decimal(96)


def test_a_stop_lies_on_the_tick_below() -> None:
    held = holding_of(trail_percent=3)
    assert raised_stop(held, bar_of(110.01, 110), None, TICKS) == Decimal("106.7")


def test_the_bar_of_the_entry_moves_nothing() -> None:
    held = holding_of(trail_percent=1)
    assert raised_stop(held, bar_of(200, 200, minute=0), None, TICKS) is None


def test_a_stop_is_at_the_average_cost_once_the_gain_is_there() -> None:
    held = holding_of(break_even_percent=2)
    assert raised_stop(held, bar_of(103, 101.99), None, TICKS) is None
    assert raised_stop(held, bar_of(102, 102), None, TICKS) == Decimal(100)


def test_the_higher_of_two_options_counts() -> None:
    held = holding_of(break_even_percent=2, trail_percent=10)
    assert raised_stop(held, bar_of(105, 105), None, TICKS) == Decimal(100)
    assert raised_stop(held, bar_of(120, 120), None, TICKS) == Decimal(108)


def test_the_highest_price_counts_also_where_the_bar_closes_below_the_new_stop() -> None:
    held = holding_of(trail_percent=4)
    assert raised_stop(held, bar_of(110, 100), None, TICKS) == Decimal("105.6")


@given(
    bars=st.lists(st.tuples(PRICES, PRICES, st.floats(0.01, 50)), max_size=30),
    percent=st.floats(0.1, 99),
    atrs=st.floats(0.1, 100),
)
def test_whatever_the_market_does_a_stop_only_rises_and_lies_on_a_tick(
    bars: list[tuple[float, float, float]], percent: float, atrs: float
) -> None:
    held = holding_of(trail_percent=percent, trail_atr=atrs, break_even_percent=1)
    for minute, (high, close, atr) in enumerate(bars, start=1):
        bar = bar_of(high, close, minute)
        level = raised_stop(held, bar, Decimal(str(round(atr, 6))), TICKS)
        if level is not None:
            assert held.stop_loss is not None
            assert held.stop_loss < level
            assert TICKS.is_on_tick(MarketCode.US, level, bar.timestamp)
            held = holding_of(str(level), trail_percent=percent, trail_atr=atrs)


@pytest.mark.parametrize(("minute", "leaves"), [(4, False), (5, True), (600, True)])
def test_a_position_is_left_at_the_first_bar_after_its_time(minute: int, *, leaves: bool) -> None:
    crossed = overdue(holding_of(hold_seconds=300), bar_of(101, 101, minute))
    assert (crossed is not None) is leaves
    if crossed is not None:
        assert (crossed.origin, crossed.price) == (Origin.TIME_EXIT, Decimal(101))


def test_without_a_time_a_position_is_held() -> None:
    assert overdue(holding_of(trail_percent=5), bar_of(101, 101, 100_000)) is None
    assert overdue(holding_of(), bar_of(101, 101, 100_000)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"trail_percent": 0},
        {"trail_percent": 100},
        {"trail_atr": -1},
        {"trail_atr": float("nan")},
        {"break_even_percent": float("inf")},
        {"hold_seconds": 0},
        {"trailing": 5},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExitOptions(**options)
