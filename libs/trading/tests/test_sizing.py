from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.markets import MarketCode, Ticks, TradableInstrument
from streamdesk.trading.policy import Policy
from streamdesk.trading.sizing import (
    limit_price,
    most_cost,
    quantity_for,
    target_cash,
    target_percent,
)

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
INSTRUMENTS = st.sampled_from(
    [
        TradableInstrument("AAPL.US", MarketCode.US, 1),
        TradableInstrument("700.HK", MarketCode.HK, 100),
        TradableInstrument("3988.HK", MarketCode.HK, 1000),
    ]
)
PRICES = st.decimals("0.05", "5000", places=3)
FEES = {market: fees.at(NOW) for market, fees in Policy().fees.items()}


def test_the_size_grows_linearly_with_the_strength_from_5_to_30_percent() -> None:
    policy = Policy()
    percents = [target_percent(strength, policy) for strength in (0, 0.5, 1)]
    assert percents == [Decimal(5), Decimal("17.5"), Decimal(30)]


@given(st.decimals("0", "100000000", places=2), st.floats(0, 1))
def test_a_position_is_never_meant_to_be_more_than_the_most_percent(
    equity: Decimal, strength: float
) -> None:
    target = target_cash(equity, strength, Policy())
    assert target <= equity * 30 / 100 + Decimal("0.01")
    assert target == target.quantize(Decimal("0.01"))


@given(INSTRUMENTS, PRICES, st.decimals("0", "1000000", places=2))
def test_the_quantity_is_the_most_whole_lots_that_the_budget_pays(
    instrument: TradableInstrument, price: Decimal, budget: Decimal
) -> None:
    fees, rate = FEES[instrument.market], Decimal("0.128")
    quantity = quantity_for(budget, price, instrument, fees, rate)
    assert quantity % instrument.lot_size == 0
    assert quantity == 0 or most_cost(quantity, price, fees, rate) <= budget
    assert most_cost(quantity + instrument.lot_size, price, fees, rate) > budget


@given(INSTRUMENTS, PRICES, st.sampled_from(list(Side)))
def test_a_limit_price_is_on_the_tick_and_within_the_slippage_limit_or_one_tick(
    instrument: TradableInstrument, price: Decimal, side: Side
) -> None:
    ticks, policy = Ticks(), Policy()
    limit = limit_price(policy, instrument, side, price, NOW)
    distance = max(
        price * policy.slippage_limit_bps / 10_000, ticks.tick(instrument.market, price, NOW)
    )
    if side is Side.BUY:
        assert price <= limit <= price + distance
    else:
        assert price - distance <= limit <= price
    assert limit == 0 or ticks.is_on_tick(instrument.market, limit, NOW)
