from collections.abc import Awaitable, Callable
from decimal import Decimal

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.orders import OrderState

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]


async def test_a_buy_signal_becomes_a_filled_order_and_a_position(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()

    await executor.on_signal("signal-1", signal_of())

    portfolio = await executor.ledger.portfolio()
    [order] = await executor.broker.all_reports()
    assert order.state is OrderState.FILLED
    assert portfolio.holdings["AAPL.US"].quantity == sum(t.quantity for t in order.trades)
    assert portfolio.live_orders == {}
    assert await executor.verify() == []


async def test_a_sell_signal_closes_the_whole_position(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of("700.HK", price=612.5))

    await executor.on_signal("signal-2", signal_of("700.HK", "SELL", minute=5, price=630.0))

    portfolio = await executor.ledger.portfolio()
    assert portfolio.holdings == {}
    assert portfolio.realized_pnl > 0
    assert portfolio.cash == Decimal(1_000_000) + portfolio.realized_pnl + portfolio.fx_gain
    assert abs(portfolio.fx_gain) <= Decimal("0.02")  # roundings: the rate is the same
    assert await executor.verify() == []
