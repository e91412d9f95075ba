import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.trading.market_tables import built_in, read_tables
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
    instrument = Instruments().find("BRK.B.US", NOW)
    assert instrument is not None
    assert (instrument.lot_size, instrument.currency) == (1, "USD")


@pytest.mark.parametrize(("symbol", "lot"), [("700.HK", 100), ("9992.HK", 200), ("5.HK", 400)])
def test_a_hong_kong_symbol_is_known_with_its_lot(symbol: str, lot: int) -> None:
    instrument = Instruments().find(symbol, NOW)
    assert instrument is not None
    assert (instrument.lot_size, instrument.currency) == (lot, "HKD")


def test_every_instrument_that_the_pages_name_is_known() -> None:
    root = Path(__file__).parents[3]
    pages = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("*/*/README.md")]
    named = {
        canonical_symbol(symbol)
        for page in pages
        for symbol in re.findall(r"\b[0-9]{1,5}\.HK\b", page.read_text("utf-8"))
    }
    assert "700.HK" in named
    assert [symbol for symbol in sorted(named) if Instruments().find(symbol, NOW) is None] == []


def test_a_lot_is_the_one_of_the_day_at_the_exchange() -> None:
    texts = {
        "lots.csv": "symbol,from,lot,source\n9992.HK,2020-12-11,200,a\n0992.HK,2027-03-01,500,b\n"
        "9992.HK,2027-03-01,100,c\n"
    }
    instruments = Instruments(tables=built_in().extended(read_tables(texts)).lots)
    # 1 March 2027 begins in Hong Kong at 16:00 UTC on 28 February.
    before, after = (datetime(2027, 2, 28, hour, tzinfo=UTC) for hour in (15, 16))
    lots = [
        found.lot_size
        for symbol in ("9992.HK", "992.HK", "700.HK")
        for moment in (before, after)
        if (found := instruments.find(symbol, moment)) is not None
    ]
    assert lots == [200, 100, 2000, 500, 100, 100]


def test_a_hong_kong_symbol_without_a_lot_is_unknown_unless_a_lot_is_given() -> None:
    assert Instruments().find("4321.HK", NOW) is None
    assert Instruments({"4321.HK": 2000}).find("4321.HK", NOW) is not None
    assert Instruments(hk_default_lot=100).find("4321.HK", NOW) is not None


@pytest.mark.parametrize(
    "symbol", ["AAPL", "AAPL.XX", "12A.HK", "-.US", "", ".HK", "00700.HK", "BTCUSDT"]
)
def test_what_no_market_lists_is_unknown(symbol: str) -> None:
    assert Instruments(hk_default_lot=100).find(symbol, NOW) is None
