from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.trading.markets import Instruments, MarketCode, Ticks

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
PRICES = st.decimals("0.01", "9000", places=4)
MARKETS = st.sampled_from(list(MarketCode))


@pytest.mark.parametrize(
    ("price", "tick"),
    [
        ("0.24", "0.001"), ("0.25", "0.005"), ("0.5", "0.01"), ("9.99", "0.01"), ("10", "0.01"),
        ("19.99", "0.01"), ("20", "0.02"), ("49.98", "0.02"), ("50", "0.05"), ("100", "0.1"),
        ("200", "0.2"), ("500", "0.5"), ("1000", "1"), ("2000", "2"), ("5000", "5"),
    ],
)  # fmt: skip
def test_hong_kong_ticks_are_those_of_hkex_since_august_2025(price: str, tick: str) -> None:
    assert Ticks().tick(MarketCode.HK, Decimal(price), NOW) == Decimal(tick)


def test_a_tick_is_the_one_in_force_on_the_day_at_the_exchange() -> None:
    ticks, price = Ticks(), Decimal(15)
    # 4 August 2025 begins in Hong Kong at 16:00 UTC on the 3rd.
    assert ticks.tick(MarketCode.HK, price, datetime(2025, 8, 3, 15, 59, tzinfo=UTC)) == Decimal(
        "0.02"
    )
    assert ticks.tick(MarketCode.HK, price, datetime(2025, 8, 3, 16, 0, tzinfo=UTC)) == Decimal(
        "0.01"
    )


def test_phase_2_ticks_hold_from_the_day_that_is_set() -> None:
    ticks, price = Ticks(hk_phase2_from=date(2026, 11, 20)), Decimal(5)
    assert ticks.tick(MarketCode.HK, price, datetime(2026, 11, 19, 6, tzinfo=UTC)) == Decimal(
        "0.01"
    )
    assert ticks.tick(MarketCode.HK, price, NOW) == Decimal("0.005")


def test_us_ticks_are_a_cent_from_one_dollar_on_and_finer_below() -> None:
    assert Ticks().tick(MarketCode.US, Decimal(1), NOW) == Decimal("0.01")
    assert Ticks().tick(MarketCode.US, Decimal("0.9999"), NOW) == Decimal("0.0001")


@given(MARKETS, PRICES)
def test_rounding_gives_valid_prices_around_the_price(market: MarketCode, price: Decimal) -> None:
    ticks = Ticks()
    down, up = ticks.down(market, price, NOW), ticks.up(market, price, NOW)
    assert down <= price <= up
    assert ticks.is_on_tick(market, up, NOW)
    assert down == 0 or ticks.is_on_tick(market, down, NOW)
    assert up - down <= ticks.tick(market, price, NOW)
    assert (up == down) == ticks.is_on_tick(market, price, NOW)


def test_every_us_code_is_known_and_trades_in_single_shares() -> None:
    instrument = Instruments().find("BRK-B.US")
    assert instrument is not None
    assert (instrument.lot_size, instrument.currency) == (1, "USD")


def test_a_hong_kong_symbol_is_known_with_its_lot() -> None:
    instrument = Instruments().find("700.HK")
    assert instrument is not None
    assert (instrument.lot_size, instrument.currency) == (100, "HKD")


def test_a_hong_kong_symbol_without_a_lot_is_unknown_unless_a_lot_is_given() -> None:
    assert Instruments().find("4321.HK") is None
    assert Instruments({"4321.HK": 2000}).find("4321.HK") is not None
    assert Instruments(hk_default_lot=100).find("4321.HK") is not None


@pytest.mark.parametrize(
    "symbol", ["AAPL", "AAPL.XX", "12A.HK", "-.US", "", ".HK", "00700.HK", "BTCUSDT"]
)
def test_what_no_market_lists_is_unknown(symbol: str) -> None:
    assert Instruments(hk_default_lot=100).find(symbol) is None
