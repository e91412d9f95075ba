from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import BarClosed
from streamdesk.trading.market_view import ATR_BARS, MarketState, MarketView

START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
PRICES = st.floats(0.01, 10_000)


def bar(symbol: str = "AAPL.US", minute: int = 0, price: float = 100.0, **more: Any) -> BarClosed:
    fields = {
        "symbol": symbol,
        "timestamp": START + timedelta(minutes=minute),
        "interval_seconds": 60,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": 1000,
    }
    return BarClosed.model_validate(fields | more)


def after(*bars: BarClosed, **more: int) -> MarketView:
    view = MarketView(**more)
    for one in bars:
        view.see(one)
    return view


def test_of_a_market_without_a_bar_nothing_is_known() -> None:
    assert MarketView().of("AAPL.US") is None
    assert after(bar("700.HK")).of("AAPL.US") is None


def test_the_mark_is_the_close_of_the_newest_bar_and_the_time_is_its_end() -> None:
    view = after(bar(minute=1, price=100.1), bar(minute=3, price=101.5))
    assert view.of("AAPL.US") == MarketState(START + timedelta(minutes=3), 60, Decimal("101.50"))
    assert view.has_reached("AAPL.US", START + timedelta(minutes=3))
    assert not view.has_reached("AAPL.US", START + timedelta(minutes=4))


def test_of_a_symbol_without_a_bar_the_time_of_its_market_is_known_and_no_mark() -> None:
    view = after(bar("MSFT.US", 5), bar("AAPL.US", 2), bar("700.HK", 9))
    assert view.of("NEW.US") == MarketState(START + timedelta(minutes=5), 60)
    assert not view.knows("NEW.US")


@given(st.permutations(range(12)))
def test_in_whatever_order_bars_come_the_newest_counts(minutes: list[int]) -> None:
    view = after(*(bar(minute=minute, price=100.0 + minute) for minute in minutes))
    assert view.of("AAPL.US") is not None
    state = view.of("AAPL.US")
    assert state is not None
    assert (state.at, state.mark) == (START + timedelta(minutes=11), Decimal("111.00"))


@given(st.lists(st.tuples(PRICES, PRICES, PRICES), min_size=1, max_size=60))
def test_the_atr_is_that_of_ta_lib_and_unknown_before_its_first_value(
    rows: list[tuple[float, float, float]],
) -> None:
    bars = [
        bar(minute=at, open=close, close=close, high=max(row), low=min(row))
        for at, row in enumerate(rows)
        for close in [row[1]]
    ]
    high, low, close = (np.array([getattr(b, name) for b in bars]) for name in _COLUMNS)
    expected = float(talib.ATR(high, low, close, ATR_BARS)[-1]) if len(bars) > 1 else float("nan")
    state = after(*bars).of("AAPL.US")
    assert state is not None
    if np.isnan(expected):
        assert state.atr is None
    else:
        assert float(state.atr or 0) == pytest.approx(expected, rel=1e-9, abs=1e-6)


_COLUMNS = ("high", "low", "close")


def test_an_atr_does_not_mix_bars_of_two_lengths() -> None:
    minutes = [bar(minute=at, high=103.0) for at in range(20)]
    view = after(*minutes)
    known = view.of("AAPL.US")
    assert known is not None
    assert known.atr == Decimal("3.00")
    view.see(bar(minute=30, interval_seconds=300))
    longer = view.of("AAPL.US")
    assert longer is not None
    assert (longer.atr, longer.interval_seconds) == (None, 300)


def test_a_close_too_small_to_write_down_is_still_a_price() -> None:
    state = after(bar(price=1e-300)).of("AAPL.US")
    assert state is not None
    assert state.mark == Decimal("0.000001")


def test_of_more_symbols_than_fit_the_one_without_a_bar_for_longest_is_forgotten() -> None:
    view = after(bar("A.US", 0), bar("B.US", 1), bar("A.US", 2), bar("C.US", 3), max_symbols=2)
    assert [view.knows(symbol) for symbol in ("A.US", "B.US", "C.US")] == [True, False, True]
