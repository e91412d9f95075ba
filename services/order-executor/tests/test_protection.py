import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.schema import ORDERS, OUTBOX
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.identity import (
    order_id_of_exit,
    order_id_of_signal,
    stop_leg_of,
    target_leg_of,
)
from streamdesk.trading.orders import OrderState, Origin
from tests.broker_conformance import Records
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
ENTRY = order_id_of_signal("signal-1")


async def exits(executor: OrderExecutor) -> list[tuple[str, str]]:
    """Client order id and state of every protective exit, the broker's or the desk's."""

    def work(connection: Connection) -> list[tuple[str, str]]:
        query = select(ORDERS.c.client_order_id, ORDERS.c.state)
        query = query.where(ORDERS.c.origin.in_([Origin.STOP_LOSS, Origin.TAKE_PROFIT]))
        return [(row[0], row[1]) for row in connection.execute(query)]

    return await executor.ledger.database.read(work)


async def count(executor: OrderExecutor, event_type: str) -> int:
    def work(connection: Connection) -> int:
        query = select(OUTBOX.c.id).where(OUTBOX.c.type == event_type)
        return len(connection.execute(query).all())

    return await executor.ledger.database.read(work)


@pytest.fixture
def entry(signal_of: SignalOf) -> SignalGenerated:
    return signal_of(price=100.0, stop_loss=95.0, take_profit=110.0)


async def test_a_bar_that_touches_the_stop_loss_closes_the_position(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1, price=97.0, low=95.01))
    assert await exits(executor) == []
    await executor.on_bar(bar_of(minute=2, price=96.0, low=95.0))
    assert await exits(executor) == [(stop_leg_of(ENTRY), OrderState.FILLED)]
    portfolio = await executor.ledger.portfolio()
    assert portfolio.holdings == {}
    assert portfolio.realized_pnl < 0
    assert await count(executor, "RiskAlerted") == 1
    assert await executor.verify() == []


async def test_a_bar_that_touches_the_take_profit_closes_the_position(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1, price=109.0, high=110.0))
    assert (await executor.ledger.portfolio()).realized_pnl > 0
    order = await executor.ledger.order(target_leg_of(ENTRY))
    assert order is not None
    assert order.intent.origin is Origin.TAKE_PROFIT
    assert order.intent.signal_id == "signal-1"


async def test_a_bar_that_touches_both_counts_as_the_loss(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1, price=100.0, low=94.0, high=111.0))
    order = await executor.ledger.order(stop_leg_of(ENTRY))
    assert order is not None
    assert order.intent.origin is Origin.STOP_LOSS


async def test_bars_up_to_the_one_that_gave_the_signal_close_nothing(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", entry)
    for minute in (-5, 0):
        await executor.on_bar(bar_of(minute=minute, price=90.0))
    assert await exits(executor) == []


async def test_several_executors_that_see_the_same_bar_leave_once(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executors = [await executor_of(instance=f"executor-{n}") for n in range(3)]
    await executors[0].on_signal("signal-1", entry)
    for executor in executors[1:]:
        await executor.reconciliation.reconcile()
    await asyncio.gather(*(executor.on_bar(bar_of(price=94.0)) for executor in executors))
    await executors[0].reconciliation.reconcile()
    assert len(await exits(executors[0])) == 1
    traded = [report for report in await executors[0].broker.all_reports() if report.trades]
    assert len(traded) == 2
    assert await executors[0].verify() == []


async def test_a_sell_signal_and_a_crossed_stop_sell_once(
    executor_of: ExecutorOf, entry: SignalGenerated, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executors = [await executor_of(), await executor_of(instance="executor-2")]
    await executors[0].on_signal("signal-1", entry)
    await executors[1].reconciliation.reconcile()
    await asyncio.gather(
        executors[0].on_signal("signal-2", signal_of(side="SELL", minute=1, price=94.0)),
        executors[1].on_bar(bar_of(price=94.0)),
    )
    await executors[0].reconciliation.reconcile()
    assert await executors[0].broker.positions() == {}
    assert (await executors[0].ledger.portfolio()).holdings == {}
    assert await executors[0].verify() == []


async def test_an_exit_that_the_broker_refuses_is_tried_again_at_the_next_bar_under_a_new_id(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    broker.portion = Decimal(1)
    await executor.on_signal("signal-1", entry)
    broker.rejections = 1
    await executor.on_bar(bar_of(minute=1, price=94.0))
    assert (await executor.ledger.portfolio()).holdings.keys() == {"AAPL.US"}
    await executor.on_bar(bar_of(minute=2, price=93.0))
    assert sorted(await exits(executor)) == sorted(
        [
            (order_id_of_exit(ENTRY, 1), OrderState.REJECTED),
            (order_id_of_exit(ENTRY, 2), OrderState.FILLED),
        ]
    )
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_a_stop_crossed_while_trading_is_blocked_is_acted_upon_afterwards(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    plug(executor, RestingBroker()).portion = Decimal(1)
    await executor.on_signal("signal-1", entry)
    executor.gate.close("a test")
    await executor.on_bar(bar_of(minute=1, price=94.0))
    await executor.on_bar(bar_of(minute=2, price=100.0))
    assert await exits(executor) == []
    await executor.reconciliation.reconcile()
    await executor.protection.leave_crossed()
    assert len(await exits(executor)) == 1


async def test_a_bar_of_a_crypto_pair_changes_nothing(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of("BTCUSDT", minute=1, price=91_250.5))
    assert "BTCUSDT" not in executor.protection.take_marks()
    assert list((await executor.ledger.portfolio()).holdings) == [entry.symbol]
    assert await exits(executor) == []


async def test_prices_count_for_the_equity_and_old_ones_do_not(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of("700.HK", price=600.0))
    for minute, price in ((3, 650.0), (2, 500.0)):
        await executor.on_bar(bar_of("700.HK", minute=minute, price=price))
    assert await executor.ledger.value(0, executor.protection.take_marks())
    portfolio = await executor.ledger.portfolio()
    [holding] = portfolio.holdings.values()
    assert holding.market_price == Decimal(650)
    assert portfolio.equity == portfolio.cash + holding.quantity * 650 * Decimal("0.128")


async def test_a_valuation_because_of_prices_comes_at_most_every_so_often(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    assert await executor.ledger.value(60)  # the first: what there is
    assert not await executor.ledger.value(0)  # nothing moved
    await executor.on_signal("signal-1", signal_of())
    before = await count(executor, "PortfolioValued")
    await executor.on_bar(bar_of(minute=1, price=101.0))
    assert not await executor.ledger.value(60, executor.protection.take_marks())  # too soon
    assert await executor.ledger.value(0)  # the price is remembered
    assert await count(executor, "PortfolioValued") == before + 1


async def test_a_limit_is_announced_when_it_is_reached_and_again_only_after_it_was_not(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(max_positions_us=1)
    await executor.on_signal("a", signal_of("A.US"))
    for number in range(3):
        await executor.on_signal(f"b{number}", signal_of("B.US", minute=number))
    assert await count(executor, "RiskAlerted") == 1
    await executor.on_signal("c", signal_of("A.US", "SELL", minute=5))
    await executor.on_signal("d", signal_of("B.US", minute=6))
    assert await count(executor, "RiskAlerted") == 2


async def replay(
    executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf, run: str
) -> tuple[Any, Any]:
    await executor.reconciliation.reconcile()
    for minute in range(40):
        symbol = f"S{minute % 7}.US" if minute % 3 else "700.HK"
        price = 100.0 + (minute * 37 % 23) - 11
        await executor.on_bar(bar_of(symbol, minute, price, high=price + 3, low=price - 3))
        side = "SELL" if minute % 5 == 4 else "BUY"
        stops = {"stop_loss": price - 6, "take_profit": price + 6}
        signal = signal_of(symbol, side, minute, price=price, strength=minute % 10 / 10, **stops)
        await executor.on_signal(f"{run}-{minute}", signal)
        if minute % 20 == 0:
            assert await executor.verify() == []
    return await executor.digest(), (await executor.ledger.portfolio()).realized_pnl


async def test_a_change_of_the_rate_is_no_gain_of_a_trade_that_is_open(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    free = {"hk_commission_min": 0, "hk_commission_rate": 0, "paper_slippage_bps": 0}
    before = await executor_of(usd_per_hkd=Decimal("0.1274"), **free)
    await before.on_signal("signal-1", signal_of("700.HK", strength=1))
    bought = await before.ledger.portfolio()
    after = await executor_of(usd_per_hkd=Decimal("0.1290"), **free)
    held = await after.ledger.portfolio()
    worth = bought.holdings["700.HK"].value(bought.rates)
    assert held.equity - bought.equity > worth / 100
    assert abs(held.fx_gain - (held.equity - bought.equity)) < worth / 1000  # of the fees
    [position] = held.holdings.values()
    assert position.average_price == bought.holdings["700.HK"].average_price
    # Fees apart, nothing was gained when it is sold at the price it was bought at.
    await after.on_signal("signal-2", signal_of("700.HK", "SELL", minute=1))
    sold = await after.ledger.portfolio()
    assert -worth / 100 < sold.realized_pnl < 0
    assert abs(sold.fx_gain - held.fx_gain) < worth / 1000
    assert sold.balances["HKD"] > 0  # what the sale brought stays in its currency
    assert sold.equity == sold.initial_cash + sold.realized_pnl + sold.fx_gain
    assert await after.verify() == []


async def test_a_second_run_over_the_same_signals_and_bars_gives_the_same_ledger(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    first = await replay(await executor_of("one"), signal_of, bar_of, "first")
    second = await replay(await executor_of("two"), signal_of, bar_of, "second")
    other = await replay(
        await executor_of("three", usd_per_hkd=Decimal("0.1285")), signal_of, bar_of, "third"
    )
    assert first == second != other
    assert first[1] != 0
