"""A fee that the broker names after its trade is booked when it comes, once."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from sqlalchemy import Connection, select

from streamdesk.contracts.events import OrderFilled, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.schema import LATE_FEES, OUTBOX
from streamdesk.order_executor.adapters.ledger.statements import (
    LedgerQuestion,
    Row,
    Wanted,
    rows_of,
)
from streamdesk.order_executor.factory import OrderExecutor
from tests.broker_conformance import Records
from tests.resting_broker import FEE, RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]


@pytest.fixture
async def executor(executor_of: ExecutorOf) -> OrderExecutor:
    return await executor_of()


@pytest.fixture
def broker(executor: OrderExecutor) -> RestingBroker:
    broker = plug(executor, RestingBroker())
    broker.portion, broker.names_fees_later = Decimal(1), True
    return broker


async def assert_books_agree(executor: OrderExecutor, broker: RestingBroker) -> None:
    assert (await executor.ledger.balances())["USD"] == (await broker.balances())["USD"]
    assert await verify(executor.ledger, Records(broker.reports())) == []
    assert await executor.balances.differences() == []


async def late_fees(executor: OrderExecutor) -> int:
    query = select(LATE_FEES.c.trade_id)
    return len(await executor.ledger.database.read(lambda it: it.execute(query).all()))


async def test_it_lessens_cash_and_realised_gain_when_it_comes_and_only_once(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    await executor.reconciliation.reconcile()
    before = await executor.ledger.portfolio()
    assert await late_fees(executor) == 0
    await assert_books_agree(executor, broker)
    broker.name_fees()
    assert await verify(executor.ledger, Records(broker.reports())) == []  # it is on its way
    for _ in range(3):
        await executor.reconciliation.reconcile()
    after = await executor.ledger.portfolio()
    assert await late_fees(executor) == 1
    assert after.cash == before.cash - FEE
    assert after.realized_pnl == before.realized_pnl - FEE
    assert after.holdings == before.holdings  # a position's cost stays as it was booked
    assert after.fx_gain == 0
    await assert_books_agree(executor, broker)


async def test_it_may_come_after_the_position_was_sold(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    await executor.on_signal("signal-2", signal_of(side="SELL", minute=1))
    broker.name_fees()
    await executor.reconciliation.reconcile()
    portfolio = await executor.ledger.portfolio()
    assert await late_fees(executor) == 2
    assert portfolio.holdings == {}
    assert portfolio.realized_pnl == -2 * FEE
    await assert_books_agree(executor, broker)

    def rows(connection: Connection) -> list[Row]:
        rates = executor.ledger.rates.at(None)
        return list(rows_of(connection, LedgerQuestion.CASH, Wanted(), rates))

    found = await executor.ledger.database.read(rows)
    assert [row["movement"] for row in found] == ["OPENING", "BUY", "SELL", "FEE", "FEE"]
    assert found[-1]["balance"] == portfolio.cash


async def test_the_event_of_the_fill_says_that_the_fee_is_due(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    assert len(broker.book.trades) == 1
    query = select(OUTBOX.c.body).where(OUTBOX.c.type == "OrderFilled")
    body = await executor.ledger.database.read(lambda it: it.execute(query).scalar_one())
    event = OrderFilled.model_validate_json(body)
    assert event.fee == 0
    assert event.fee_is_due


async def test_two_executors_book_it_once(
    executor: OrderExecutor, broker: RestingBroker, executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    other = await executor_of(instance="executor-2")
    plug(other, broker)
    broker.name_fees()
    await executor.reconciliation.reconcile()
    await other.reconciliation.reconcile()
    for report in broker.reports():
        await other.ledger.apply(report)
    assert await late_fees(executor) == 1
    await assert_books_agree(executor, broker)
