"""Stops that follow the market, and positions that are left for their age, on a real ledger."""

import json
from collections.abc import Awaitable, Callable
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pytest
from sqlalchemy import select

from streamdesk.contracts.events import BarClosed, ExitOptions, SignalGenerated
from streamdesk.order_executor.adapters.ledger.schema import ORDERS
from streamdesk.order_executor.adapters.ledger.stops import Stops
from streamdesk.order_executor.adapters.paper_broker.tables import BOOK
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.identity import order_id_of_signal, stop_leg_of
from streamdesk.trading.orders import Origin
from streamdesk.trading.portfolio import Holding

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
ENTRY = order_id_of_signal("signal-1")


@pytest.fixture
async def executor(executor_of: ExecutorOf) -> OrderExecutor:
    executor = await executor_of(of=OrderExecutor, paper_slippage_bps=0)
    await executor.reconciliation.reconcile()
    return executor


async def holding_of(executor: OrderExecutor) -> Holding:
    return (await executor.ledger.portfolio()).holdings["AAPL.US"]


async def stop_at_the_broker(executor: OrderExecutor) -> Decimal | None:
    """The price of the leg that the paper broker holds."""
    of_leg = select(BOOK.c.item).where(BOOK.c.client_order_id == stop_leg_of(ENTRY))
    text = await executor.broker._database.read(lambda found: found.execute(of_leg).scalar_one())
    return Decimal(json.loads(text)["order"]["stop_price"])


async def bought(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf, stop: float | None = 95.0,
    **options: Any,
) -> None:  # fmt: skip
    """A position of a signal with these options, filled at 100 by the bar of minute 1."""
    signal = signal_of(stop_loss=stop, exits=ExitOptions(**options))
    await executor.on_bar(bar_of(minute=0))
    await executor.on_signal("signal-1", signal)
    await executor.on_bar(bar_of(minute=1))


async def test_a_trailing_stop_rises_in_the_ledger_and_at_the_broker(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await bought(executor, signal_of, bar_of, trail_percent=4)
    await executor.on_bar(bar_of(minute=2, price=100.0, high=110.0, close=109.0))
    assert (await holding_of(executor)).stop_loss == Decimal("105.6")
    await executor.on_bar(bar_of(minute=3, price=108.0, low=107.0))
    assert await stop_at_the_broker(executor) == Decimal("105.6")
    assert (await holding_of(executor)).stop_loss == Decimal("105.6")
    assert await executor.verify() == []


async def test_a_position_is_sold_at_the_stop_that_has_moved(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await bought(executor, signal_of, bar_of, trail_percent=4)
    await executor.on_bar(bar_of(minute=2, price=100.0, high=110.0, close=109.0))
    await executor.on_bar(bar_of(minute=3, price=108.0, low=104.0, close=107.0))
    report = await executor.broker.query(stop_leg_of(ENTRY))
    assert report is not None
    assert [trade.price for trade in report.trades] == [Decimal("105.6")]
    assert (await executor.ledger.portfolio()).holdings == {}
    assert await executor.verify() == []


async def test_a_trail_without_a_stop_has_one_from_the_entry_on(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await bought(executor, signal_of, bar_of, stop=None, trail_percent=4)
    assert (await holding_of(executor)).stop_loss == Decimal(96)
    assert await stop_at_the_broker(executor) == Decimal(96)


async def test_at_a_gain_the_stop_goes_to_the_average_cost(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await bought(executor, signal_of, bar_of, break_even_percent=2)
    await executor.on_bar(bar_of(minute=2, price=103.0))
    held = await holding_of(executor)
    assert held.stop_loss == held.average_price.quantize(Decimal("0.01"), ROUND_FLOOR)
    await executor.on_bar(bar_of(minute=3, price=103.0))
    assert await stop_at_the_broker(executor) == held.stop_loss


async def test_a_position_is_sold_when_its_time_is_over(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await bought(executor, signal_of, bar_of, hold_seconds=180)
    await executor.on_bar(bar_of(minute=2))
    assert (await holding_of(executor)).quantity > 0
    await executor.on_bar(bar_of(minute=3))
    await executor.on_bar(bar_of(minute=4))
    assert (await executor.ledger.portfolio()).holdings == {}
    origins = select(ORDERS.c.origin).order_by(ORDERS.c.as_of)
    found = await executor.ledger.database.read(lambda c: c.execute(origins).scalars().all())
    assert found == [Origin.SIGNAL, Origin.TIME_EXIT]
    assert await executor.broker.open_orders() == ()
    assert await executor.verify() == []


async def test_an_executor_that_starts_after_a_kill_moves_the_stop_at_the_broker(
    executor: OrderExecutor, executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await bought(executor, signal_of, bar_of, trail_percent=4)
    # The first one dies between its ledger and its broker.
    await Stops(executor.ledger.database).raise_to(await holding_of(executor), Decimal(99))
    successor = await executor_of(of=OrderExecutor, paper_slippage_bps=0)
    await successor.reconciliation.reconcile()
    await successor.on_bar(bar_of(minute=2))
    assert await stop_at_the_broker(successor) == Decimal(99)


async def test_two_executors_that_see_bars_in_turn_never_lower_a_stop(
    executor: OrderExecutor, executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    other = await executor_of(of=OrderExecutor, paper_slippage_bps=0)
    await other.reconciliation.reconcile()
    await bought(executor, signal_of, bar_of, trail_percent=4)
    first = bar_of(minute=2, price=100.0, high=105.0, close=104.0)
    second = bar_of(minute=3, price=104.0, high=110.0, close=109.0)
    await executor.on_bar(first)
    await executor.on_bar(second)
    await other.on_bar(first)
    assert (await holding_of(executor)).stop_loss == Decimal("105.6")
    await other.on_bar(second)
    third = bar_of(minute=4, price=109.0)
    await other.on_bar(third)
    await executor.on_bar(third)
    assert await stop_at_the_broker(executor) == Decimal("105.6")
