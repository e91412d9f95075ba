"""What the paper broker's market does to orders, and what the desk makes of it."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.paper_broker import FaultDice
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.identity import order_id_of_signal, stop_leg_of, target_leg_of
from streamdesk.trading.orders import BrokerReport, Order, OrderState, Origin

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
ENTRY = order_id_of_signal("signal-1")
STOP, TARGET = stop_leg_of(ENTRY), target_leg_of(ENTRY)
PLENTY = 1_000_000


@pytest.fixture
async def executor(executor_of: ExecutorOf) -> OrderExecutor:
    """On a market of bars alone, without slippage: prices are those of the rules."""
    executor = await executor_of(of=OrderExecutor, paper_slippage_bps=0)
    await executor.reconciliation.reconcile()
    return executor


@pytest.fixture
async def thin(executor_of: ExecutorOf) -> OrderExecutor:
    """The same on a market of which orders may take a tenth."""
    executor = await executor_of(
        "thin", of=OrderExecutor, paper_slippage_bps=0, paper_volume_share_percent=10
    )
    await executor.reconciliation.reconcile()
    return executor


@pytest.fixture
def entry(signal_of: SignalOf) -> SignalGenerated:
    return signal_of(stop_loss=95.0, take_profit=110.0)


async def order_of(executor: OrderExecutor, client_order_id: str) -> Order:
    order = await executor.ledger.order(client_order_id)
    assert order is not None
    return order


async def report_of(executor: OrderExecutor, client_order_id: str) -> BrokerReport:
    report = await executor.broker.query(client_order_id)
    assert report is not None
    return report


async def price_of(executor: OrderExecutor, client_order_id: str) -> Decimal:
    [trade] = (await report_of(executor, client_order_id)).trades
    return trade.price


async def assert_books_agree(executor: OrderExecutor) -> None:
    await executor.reconciliation.reconcile()
    portfolio = await executor.ledger.portfolio()
    held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
    assert held == await executor.broker.positions()
    assert portfolio.cash == (await executor.broker.balances())["USD"]
    assert await executor.verify() == []


async def test_an_entry_is_filled_at_the_next_open_and_not_by_its_own_bar(
    executor: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=0, price=100.0))
    assert (await order_of(executor, ENTRY)).state is OrderState.ACCEPTED
    await executor.on_bar(bar_of(minute=1, price=99.0, high=101.0, close=101.0))
    assert (await order_of(executor, ENTRY)).state is OrderState.FILLED
    assert await price_of(executor, ENTRY) == 99
    await assert_books_agree(executor)


async def test_an_entry_rests_while_the_market_is_above_its_limit(
    executor: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1, price=102.0, low=101.0))
    assert (await order_of(executor, ENTRY)).state is OrderState.ACCEPTED
    await executor.on_bar(bar_of(minute=2, price=101.0, low=99.0))
    assert await price_of(executor, ENTRY) == (await order_of(executor, ENTRY)).intent.limit_price


@pytest.mark.parametrize(
    ("bar", "leg", "price"),
    [
        pytest.param({"low": 94.0, "close": 104.0, "high": 104.0}, STOP, 95, id="stop in the bar"),
        pytest.param({"price": 80.0, "high": 82.0, "close": 70.0, "low": 69.0}, STOP, 80, id="gap"),
        pytest.param(
            {"high": 111.0, "low": 96.0, "close": 96.0}, TARGET, 110, id="target in the bar"
        ),
        pytest.param(
            {"price": 120.0, "low": 98.0, "close": 99.0}, TARGET, 120, id="opens above the target"
        ),
        pytest.param({"high": 111.0, "low": 94.0}, STOP, 95, id="both in one bar"),
    ],
)
async def test_an_exit_trades_at_its_price_or_at_the_open_beyond_it(
    executor: OrderExecutor,
    entry: SignalGenerated,
    bar_of: BarOf,
    bar: dict[str, float],
    leg: str,
    price: int,
) -> None:
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1))
    await executor.on_bar(bar_of(minute=2, **bar))
    assert await price_of(executor, leg) == price
    order = await order_of(executor, leg)
    assert order.state is OrderState.FILLED
    assert order.intent.origin is (Origin.STOP_LOSS if leg == STOP else Origin.TAKE_PROFIT)
    assert order.intent.entry_order_id == ENTRY
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor)


async def test_a_bar_without_volume_fills_nothing(
    executor: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1, volume=0))
    assert (await order_of(executor, ENTRY)).state is OrderState.ACCEPTED
    await executor.on_bar(bar_of(minute=2))
    await executor.on_bar(bar_of(minute=3, price=90.0, volume=0))
    assert (await executor.ledger.portfolio()).holdings.keys() == {"AAPL.US"}
    await assert_books_agree(executor)


async def test_what_is_filled_of_an_entry_has_its_stop_and_the_rest_is_canceled_by_it(
    thin: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await thin.on_signal("signal-1", entry)
    await thin.on_bar(bar_of(minute=1, volume=1_000))
    assert (await order_of(thin, ENTRY)).filled_quantity == 100
    assert (await order_of(thin, ENTRY)).state is OrderState.PARTIALLY_FILLED
    await thin.on_bar(bar_of(minute=2, price=94.0, volume=PLENTY))
    ended = await order_of(thin, ENTRY)
    assert ended.state in {OrderState.CANCELED, OrderState.FILLED}
    stop = await order_of(thin, STOP)
    assert stop.state is OrderState.FILLED
    assert stop.filled_quantity == ended.filled_quantity
    assert (await thin.ledger.portfolio()).holdings == {}
    assert await thin.broker.open_orders() == ()
    await assert_books_agree(thin)


async def test_an_entry_that_stays_partly_filled_expires_and_its_stop_keeps_to_what_was_bought(
    thin: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await thin.on_signal("signal-1", entry)
    for minute in range(1, 6):
        await thin.on_bar(bar_of(minute=minute, volume=1_000))
    expired = await order_of(thin, ENTRY)
    assert expired.state is OrderState.CANCELED
    assert expired.code == "ENTRY_EXPIRED"
    assert expired.filled_quantity == 500
    for minute in range(6, 11):
        await thin.on_bar(bar_of(minute=minute, price=94.0, volume=1_000))
        await assert_books_agree(thin)
    assert (await order_of(thin, STOP)).state is OrderState.FILLED
    assert (await thin.ledger.portfolio()).holdings == {}


async def test_a_sell_signal_that_rests_leaves_the_stop_in_force_and_both_sell_once(
    thin: OrderExecutor, entry: SignalGenerated, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await thin.on_signal("signal-1", entry)
    await thin.on_bar(bar_of(minute=1, volume=PLENTY))
    bought = (await order_of(thin, ENTRY)).filled_quantity
    await thin.on_signal("signal-2", signal_of(side="SELL", minute=1))
    await thin.on_bar(bar_of(minute=2, price=100.0, volume=1_000))
    sell = order_id_of_signal("signal-2")
    assert (await order_of(thin, sell)).filled_quantity == 100
    await thin.on_bar(bar_of(minute=3, price=96.0, low=94.0, volume=PLENTY))
    assert (await thin.ledger.portfolio()).holdings == {}
    stop = await order_of(thin, STOP)
    assert stop.filled_quantity == bought - 100
    assert (await order_of(thin, sell)).state is OrderState.CANCELED
    await assert_books_agree(thin)


async def test_a_position_whose_stop_at_the_broker_is_lost_is_left_by_the_desk(
    executor: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1))
    for leg in (STOP, TARGET):
        await executor.broker.cancel(leg)
    await executor.on_bar(bar_of(minute=2, price=94.0))
    await executor.on_bar(bar_of(minute=3, price=94.0))
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor)


async def test_the_stop_at_the_broker_is_moved_to_where_the_position_has_it(
    executor: OrderExecutor, entry: SignalGenerated, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1))
    replaced = await executor.broker.replace(STOP, Decimal(90))
    assert replaced is not None
    assert replaced.price == 90
    await executor.on_bar(bar_of(minute=2, price=99.0, low=94.0))
    assert await price_of(executor, STOP) == 95
    await assert_books_agree(executor)


async def test_a_bar_that_several_executors_bring_fills_once(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executors = [await executor_of(of=OrderExecutor, instance=f"executor-{n}") for n in range(2)]
    await executors[0].on_signal("signal-1", entry)
    for each in executors:
        await each.reconciliation.reconcile()
    for minute in (1, 2):
        for each in executors:
            await each.on_bar(bar_of(minute=minute, price=100.0 if minute == 1 else 94.0))
    assert len((await report_of(executors[0], ENTRY)).trades) == 1
    assert len((await report_of(executors[0], STOP)).trades) == 1
    await assert_books_agree(executors[1])


async def test_faults_by_settings_refuse_time_out_and_delay_the_same_orders_each_time(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    faults = {
        "paper_reject_percent": 20,
        "paper_timeout_percent": 30,
        "paper_late_percent": 40,
    }
    digests = []
    for account in ("one", "two"):
        executor = await executor_of(account, of=OrderExecutor, max_positions_us=50, **faults)
        await executor.reconciliation.reconcile()
        for minute in range(12):
            symbol = f"S{minute}.US"
            await executor.on_signal(
                f"signal-{minute}", signal_of(symbol, minute=minute, strength=0.0, stop_loss=95.0)
            )
            for older in range(minute + 1):
                price = 94.0 if minute - older > 4 else 100.0
                await executor.on_bar(bar_of(f"S{older}.US", minute + 1, price))
        for older in range(12):
            await executor.on_bar(bar_of(f"S{older}.US", 14, 100.0))
        await assert_books_agree(executor)
        digests.append(await executor.digest())
        reports = await executor.broker.all_reports()
        assert any(report.code == "INJECTED" for report in reports)
        assert any(report.trades for report in reports)
    assert digests[0] == digests[1]


def test_dice_fall_as_often_as_they_are_asked_to() -> None:
    dice = FaultDice("seed", Decimal(10), Decimal(0), Decimal(100))
    falls = sum(dice.falls(Decimal(10), f"order-{n}", "reject") for n in range(2_000))
    assert 150 < falls < 250
    assert not dice.falls(Decimal(0), "order", "reject")
    assert dice.falls(Decimal(100), "order", "reject")
