from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from streamdesk.contracts import fields
from streamdesk.market import BUILT_IN, UNIVERSE, Instrument, market_of
from streamdesk.market.instruments import CURRENCIES, on_tick, on_ticks

MARKETS = sorted(CURRENCIES)


def test_the_universe_is_the_feeds_twelve_more_shares_and_thirty_pairs() -> None:
    assert UNIVERSE[:12] == BUILT_IN
    assert len({instrument.symbol for instrument in UNIVERSE}) == len(UNIVERSE) == 78
    assert Counter(i.market for i in UNIVERSE) == {"US": 31, "HK": 17, "CRYPTO": 30}


@pytest.mark.parametrize("instrument", UNIVERSE, ids=lambda i: i.symbol)
def test_an_instrument_keeps_the_contract_and_begins_on_a_tick(
    instrument: Instrument,
) -> None:
    TypeAdapter(fields.InstrumentSymbol).validate_python(instrument.symbol)
    assert instrument.currency == CURRENCIES[instrument.market]
    assert on_tick(instrument.market, instrument.start_price) == instrument.start_price
    assert instrument.lot_size > 0


@pytest.mark.parametrize(
    ("symbol", "market"),
    [("AAPL.US", "US"), ("700.HK", "HK"), ("BRK.B.US", "US"), ("BTCUSDT", "CRYPTO")],
)
def test_a_market_is_what_follows_the_last_point_and_pairs_have_none(
    symbol: str, market: str
) -> None:
    assert market_of(symbol) == market


@pytest.mark.parametrize(
    ("market", "price", "expected"),
    [
        ("CRYPTO", 91_234.5678, 91_234.57),
        ("CRYPTO", 0.00000451, 0.00000451),
        ("CRYPTO", 0.1, 0.1),
        ("CRYPTO", 1e-12, 1e-8),
        ("US", 271.238, 271.24),
        ("HK", 42.013, 42.02),
    ],
)
def test_a_price_is_rounded_to_the_tick_of_its_market(
    market: str, price: float, expected: float
) -> None:
    assert on_tick(market, price) == expected


@settings(deadline=None)
@given(market=st.sampled_from(MARKETS), prices=st.lists(st.floats(1e-9, 1e6), max_size=30))
def test_many_prices_are_rounded_as_one_is(market: str, prices: list[float]) -> None:
    together = on_ticks(market, np.array(prices, np.float64)).tolist()
    assert together == [on_tick(market, price) for price in prices]
