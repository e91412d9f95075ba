from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.markets import MarketCode, Ticks, TradableInstrument
from streamdesk.trading.paper import PaperOrder, fills
from streamdesk.trading.policy import Policy
from streamdesk.trading.sizing import limit_price

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
SLIPPAGE = Decimal(10)


@st.composite
def orders(draw: st.DrawFn) -> PaperOrder:
    instrument = draw(
        st.sampled_from(
            [
                TradableInstrument("AAPL.US", MarketCode.US, 1),
                TradableInstrument("700.HK", MarketCode.HK, 100),
            ]
        )
    )
    side, price = draw(st.sampled_from(list(Side))), draw(st.decimals("0.5", "900", places=3))
    return PaperOrder(
        instrument=instrument,
        side=side,
        quantity=draw(st.integers(1, 200)) * instrument.lot_size,
        limit_price=limit_price(Policy(), instrument, side, price, NOW),
        reference_price=price,
        as_of=NOW,
    )


@given(orders())
def test_an_order_is_filled_whole_in_one_to_three_trades_of_whole_lots(order: PaperOrder) -> None:
    trades = fills(order, Ticks(), SLIPPAGE)
    assert 1 <= len(trades) <= 3
    assert sum(quantity for quantity, _ in trades) == order.quantity
    assert all(q > 0 and q % order.instrument.lot_size == 0 for q, _ in trades)


@given(orders())
def test_no_trade_is_beyond_the_limit_or_better_than_the_market(order: PaperOrder) -> None:
    for _, price in fills(order, Ticks(), SLIPPAGE):
        if order.side is Side.BUY:
            assert order.reference_price <= price <= order.limit_price
        else:
            assert order.limit_price <= price <= order.reference_price
        assert Ticks().is_on_tick(order.instrument.market, price, NOW)


@given(orders())
def test_the_same_order_is_always_filled_the_same_way(order: PaperOrder) -> None:
    assert fills(order, Ticks(), SLIPPAGE) == fills(order, Ticks(), SLIPPAGE)


def test_orders_are_filled_in_different_ways() -> None:
    instrument = TradableInstrument("AAPL.US", MarketCode.US, 1)
    plans = {
        fills(
            PaperOrder(instrument, Side.BUY, quantity, Decimal(101), Decimal(100), NOW),
            Ticks(),
            SLIPPAGE,
        )
        for quantity in range(100, 130)
    }
    assert {len(plan) for plan in plans} == {1, 2, 3}
    assert len({price for plan in plans for _, price in plan}) > 3
