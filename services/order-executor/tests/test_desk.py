from collections.abc import Awaitable, Callable
from decimal import Decimal

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.desk import Desk
from streamdesk.trading.orders import OrderState

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
DeskOf = Callable[..., Awaitable[Desk]]


async def test_a_buy_signal_becomes_a_filled_order_and_a_position(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()

    await desk.on_signal("signal-1", signal_of())

    portfolio = await desk.ledger.portfolio()
    [order] = await desk.broker.book()
    assert order.state is OrderState.FILLED
    assert portfolio.holdings["AAPL.US"].quantity == sum(t.quantity for t in order.trades)
    assert portfolio.live_orders == {}
    assert await desk.verify() == []


async def test_a_sell_signal_closes_the_whole_position(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    await desk.on_signal("signal-1", signal_of("700.HK", price=612.5))

    await desk.on_signal("signal-2", signal_of("700.HK", "SELL", minute=5, price=630.0))

    portfolio = await desk.ledger.portfolio()
    assert portfolio.holdings == {}
    assert portfolio.realized_pnl > 0
    assert portfolio.cash == Decimal(1_000_000) + portfolio.realized_pnl
    assert await desk.verify() == []
