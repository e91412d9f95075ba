"""Orders that rest: what is filled is protected at once, what is not makes way."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from sqlalchemy import Connection, select

from streamdesk.bus import Ack, Retry
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.schema import ORDERS, SIGNALS
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.identity import order_id_of_exit, order_id_of_signal
from streamdesk.trading.orders import OrderState, Origin
from streamdesk.trading.working_orders import MAX_EXITS, CancelCode
from tests.broker_conformance import Records
from tests.resting_broker import CUT, LOST, RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
ENTRY = order_id_of_signal("signal-1")
FIRST_EXIT = order_id_of_exit(ENTRY, 1)
HALF, WHOLE, NOTHING = Decimal("0.5"), Decimal(1), Decimal(0)
CASH = Decimal(1_000_000)


async def enter(
    executor: OrderExecutor, signal: SignalGenerated, portion: Decimal
) -> RestingBroker:
    """An executor whose entry is filled so far; what it sends from now on is filled wholly."""
    broker = plug(executor, RestingBroker())
    broker.portion = portion
    await executor.on_signal("signal-1", signal)
    broker.portion = WHOLE
    return broker


async def states(executor: OrderExecutor) -> list[tuple[str, str]]:
    """Origin and state of each order, in the order in which they were made."""

    def work(connection: Connection) -> list[tuple[str, str]]:
        query = select(ORDERS.c.origin, ORDERS.c.state).order_by(ORDERS.c.created_at)
        return [(row[0], row[1]) for row in connection.execute(query)]

    return await executor.ledger.database.read(work)


async def code_of(executor: OrderExecutor, order_id: str = ENTRY) -> str | None:
    order = await executor.ledger.order(order_id)
    assert order is not None
    return order.code


async def assert_books_agree(executor: OrderExecutor, broker: RestingBroker) -> None:
    portfolio = await executor.ledger.portfolio()
    held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
    assert held == await broker.positions()
    assert portfolio.cash == (await broker.balances())["USD"]
    assert set(broker.book.made.values()) <= {1}
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_a_half_filled_buy_is_sold_at_its_stop_and_the_other_half_is_canceled_first(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), HALF)
    await executor.on_bar(bar_of(minute=1, price=96.0))
    assert await states(executor) == [("SIGNAL", "PARTIALLY_FILLED")]
    await executor.on_bar(bar_of(minute=2, price=75.0))
    assert await states(executor) == [("SIGNAL", "CANCELED"), ("STOP_LOSS", "FILLED")]
    assert broker.book.canceled == [ENTRY]
    assert [intent.client_order_id for intent in broker.book.submitted] == [ENTRY, FIRST_EXIT]
    portfolio = await executor.ledger.portfolio()
    assert portfolio.holdings == {}
    assert portfolio.reserved_cash == 0
    await assert_books_agree(executor, broker)


async def test_what_is_filled_while_the_cancellation_is_under_way_is_sold_as_well(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), HALF)
    broker.cancels_late = True
    await executor.on_bar(bar_of(minute=1, price=94.0))
    assert await states(executor) == [("SIGNAL", "PENDING_CANCEL")]
    broker.fill(ENTRY, 100)
    for _ in range(2):
        await executor.protection.leave_crossed()
    assert len(broker.book.canceled) == 1  # waiting asks for nothing
    broker.end_cancels()
    await executor.reconciliation.reconcile()
    await executor.on_bar(bar_of(minute=2, price=90.0))
    [entry, sold] = broker.book.submitted
    assert sold.quantity == entry.quantity // 2 + 100
    assert sold.reference_price == 90  # the market's present price, not the crossing's
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


async def test_what_is_filled_after_the_exit_is_protected_by_an_exit_of_its_own(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), HALF)
    await executor.on_bar(bar_of(minute=1, price=94.0))
    broker.fill(ENTRY, 10)
    await executor.reconciliation.reconcile()
    assert (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity == 10
    await executor.on_bar(bar_of(minute=2, price=93.0))
    assert broker.book.submitted[-1].client_order_id == order_id_of_exit(ENTRY, 2)
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


@pytest.mark.parametrize("portion", [NOTHING, HALF], ids=["unfilled", "half filled"])
async def test_an_entry_that_is_not_filled_in_time_is_canceled_by_a_bar_of_any_symbol(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf, portion: Decimal
) -> None:
    executor = await executor_of(entry_timeout_seconds=300)
    broker = await enter(executor, signal_of(), portion)
    reserved = (await executor.ledger.portfolio()).reserved_cash
    assert reserved > 0
    await executor.on_bar(bar_of("MSFT.US", minute=4))
    assert broker.book.canceled == []
    await executor.on_bar(bar_of("MSFT.US", minute=5))
    await executor.on_bar(bar_of("MSFT.US", minute=6))
    assert broker.book.canceled == [ENTRY]
    assert await code_of(executor) == CancelCode.ENTRY_EXPIRED
    assert (await executor.ledger.portfolio()).reserved_cash == 0
    await assert_books_agree(executor, broker)


async def test_an_entry_works_for_two_bars_at_least(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of(entry_timeout_seconds=300)
    broker = await enter(executor, signal_of(), NOTHING)
    await executor.on_bar(bar_of(minute=24 * 60, interval_seconds=86_400))
    assert broker.book.canceled == []
    await executor.on_bar(bar_of(minute=2 * 24 * 60, interval_seconds=86_400))
    assert broker.book.canceled == [ENTRY]


async def test_an_unfilled_entry_is_canceled_when_its_stop_is_crossed(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), NOTHING)
    await executor.on_bar(bar_of("MSFT.US", minute=1, price=90.0))
    assert broker.book.canceled == []
    await executor.on_bar(bar_of(minute=1, price=96.0, low=95.0))
    assert await code_of(executor) == CancelCode.STOP_CROSSED
    assert await states(executor) == [("SIGNAL", "CANCELED")]
    await assert_books_agree(executor, broker)


async def test_a_sell_signal_cancels_the_rest_of_the_entry_and_sells_what_was_filled(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(), HALF)
    assert isinstance(await executor.on_signal("signal-2", signal_of(side="SELL", minute=1)), Ack)
    assert await states(executor) == [("SIGNAL", "CANCELED"), ("SIGNAL", "FILLED")]
    assert await code_of(executor) == CancelCode.SELL_SIGNAL
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


async def test_a_sell_signal_comes_again_while_the_entry_is_being_canceled(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(), HALF)
    broker.cancels_late = True
    sell = signal_of(side="SELL", minute=1)
    assert isinstance(await executor.on_signal("signal-2", sell), Retry)
    broker.end_cancels()
    await executor.reconciliation.reconcile()
    assert isinstance(await executor.on_signal("signal-2", sell), Ack)
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


async def test_a_sell_signal_ends_an_entry_of_which_nothing_was_filled(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(), NOTHING)
    await executor.on_signal("signal-2", signal_of(side="SELL", minute=1))
    assert await states(executor) == [("SIGNAL", "CANCELED")]
    query = select(SIGNALS.c.refusal_code).where(SIGNALS.c.signal_id == "signal-2")
    code = await executor.ledger.database.read(lambda it: it.execute(query).scalar_one())
    assert code == "NO_POSITION_TO_SELL"
    await assert_books_agree(executor, broker)


@pytest.mark.parametrize("error", [LOST, CUT], ids=["lost", "cut"])
async def test_a_cancellation_is_asked_for_until_the_broker_answers(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf, error: Exception
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), HALF)
    if error is LOST:
        broker.after_cancel = error
    else:
        broker.before_cancel = error
    await executor.on_bar(bar_of(minute=1, price=94.0))
    await executor.reconciliation.reconcile()
    await executor.protection.leave_crossed()
    await executor.on_bar(bar_of(minute=2, price=94.0))
    assert await states(executor) == [("SIGNAL", "CANCELED"), ("STOP_LOSS", "FILLED")]
    await assert_books_agree(executor, broker)


async def test_an_exit_that_the_market_leaves_is_made_anew_at_each_bar_up_to_a_bound(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), WHOLE)
    broker.portion = NOTHING
    for minute in range(1, MAX_EXITS + 5):
        await executor.on_bar(bar_of(minute=minute, price=95.0 - minute))
        await executor.reconciliation.reconcile()
    exits = broker.book.submitted[1:]
    assert len(exits) == MAX_EXITS
    assert [intent.limit_price for intent in exits] == sorted(
        {intent.limit_price for intent in exits}, reverse=True
    )
    assert len(await broker.open_orders()) == 1
    broker.fill(exits[-1].client_order_id)
    await executor.reconciliation.reconcile()
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


async def test_an_exit_that_the_market_comes_back_to_is_left_alone(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), WHOLE)
    broker.portion = NOTHING
    await executor.on_bar(bar_of(minute=1, price=94.0))
    await executor.on_bar(bar_of(minute=1, price=90.0))  # the bar that it was made from
    await executor.on_bar(bar_of(minute=2, price=94.5))
    assert len(broker.book.submitted) == 2


async def test_a_half_filled_exit_is_made_anew_for_what_is_left(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(), WHOLE)
    broker.portion = HALF
    await executor.on_signal("signal-2", signal_of(side="SELL", minute=1))
    broker.portion = WHOLE
    await executor.on_bar(bar_of(minute=2, price=90.0))
    [whole, half, rest] = broker.book.submitted
    assert rest.quantity == whole.quantity - half.quantity // 2
    assert rest.origin is Origin.EXIT
    order = await executor.ledger.order(rest.client_order_id)
    assert order is not None
    assert order.state is OrderState.FILLED
    assert await code_of(executor, half.client_order_id) == CancelCode.EXIT_PRICED_ANEW
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


async def test_several_executors_cancel_an_entry_once_and_sell_once(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executors = [await executor_of(instance=f"executor-{n}") for n in range(3)]
    broker = await enter(executors[0], signal_of(stop_loss=95.0), HALF)
    for executor in executors[1:]:
        plug(executor, broker)
        await executor.reconciliation.reconcile()
    for minute in (1, 2):
        for executor in executors:
            await executor.on_bar(bar_of(minute=minute, price=94.0))
    assert broker.book.canceled == [ENTRY]
    assert len(broker.book.submitted) == 2
    await assert_books_agree(executors[0], broker)
