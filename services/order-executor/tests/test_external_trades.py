"""Trades that no desk ordered stop nothing; fills beyond a limit are booked and stop buys."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from streamdesk.contracts.events import BarClosed, Side, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import BookAudit, verify
from streamdesk.order_executor.adapters.ledger.external_trades import Settlement
from streamdesk.order_executor.adapters.ledger.schema import OUTBOX, SIGNALS
from streamdesk.order_executor.adapters.paper_broker import ORDERS, TRADES
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.errors import AdoptionError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import metrics
from streamdesk.trading.identity import order_id_of_signal
from streamdesk.trading.orders import OrderState
from tests.broker_conformance import Records
from tests.executor_command import command, report_of
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]
ENTRY = order_id_of_signal("signal-1")


@pytest.fixture
async def executor(executor_of: ExecutorOf) -> OrderExecutor:
    return await executor_of()


@pytest.fixture
def broker(executor: OrderExecutor) -> RestingBroker:
    broker = plug(executor, RestingBroker())
    broker.portion = Decimal(1)
    return broker


async def alerts(executor: OrderExecutor) -> list[dict[str, Any]]:
    def work(connection: Connection) -> list[dict[str, Any]]:
        query = select(OUTBOX.c.body).where(OUTBOX.c.type == "RiskAlerted").order_by(OUTBOX.c.id)
        return [json.loads(body) for body in connection.execute(query).scalars()]

    return await executor.ledger.database.read(work)


async def codes(executor: OrderExecutor) -> list[str]:
    return [item["code"] for item in await alerts(executor)]


async def assert_books_agree(executor: OrderExecutor, broker: RestingBroker) -> None:
    portfolio = await executor.ledger.portfolio()
    held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
    assert held == await broker.positions()
    assert portfolio.cash == (await broker.balances())["USD"]
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_a_trade_that_no_desk_ordered_is_recorded_once_and_stops_nothing(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    trade_id = broker.trade_in_the_app("MSFT.US", Side.BUY, 10, "50")
    for _ in range(3):
        await executor.reconciliation.reconcile()
    assert executor.gate.is_open
    assert (await codes(executor)).count("EXTERNAL_TRADE") == 1
    assert metrics.EXTERNAL_TRADES_OPEN._value.get() == 1
    assert list((await executor.ledger.portfolio()).holdings) == ["AAPL.US"]
    await executor.on_signal("signal-2", signal_of("NVDA.US", minute=1))
    assert "NVDA.US" in (await executor.ledger.portfolio()).holdings
    assert await verify(executor.ledger, Records(broker.reports())) == []

    ignored = await executor.external.ignore(trade_id, "the owner's own")
    assert ignored is not None
    assert ignored.state is Settlement.IGNORED
    await executor.reconciliation.reconcile()
    assert metrics.EXTERNAL_TRADES_OPEN._value.get() == 0
    assert await executor.external.adopt(trade_id) is None


async def test_an_adopted_buy_is_a_position_that_can_be_sold(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    trade_id = broker.trade_in_the_app("MSFT.US", Side.BUY, 10, "50")
    await executor.reconciliation.reconcile()
    for _ in range(2):  # twice is once
        await executor.external.adopt(trade_id)
    await executor.reconciliation.reconcile()
    assert (await executor.ledger.portfolio()).holdings["MSFT.US"].quantity == 10
    await assert_books_agree(executor, broker)
    # The trade has the time at which it was seen.
    later = datetime.now(UTC)
    sell = signal_of("MSFT.US", "SELL", price=55.0, timestamp=later, queued_at=later)
    await executor.on_signal("signal-2", sell)
    assert (await executor.ledger.portfolio()).holdings == {}
    await assert_books_agree(executor, broker)


async def test_a_trade_adopted_in_a_replay_has_the_time_of_that_market(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of(minute=5))
    trade_id = broker.trade_in_the_app("MSFT.US", Side.BUY, 10, "50")
    await executor.reconciliation.reconcile()
    await executor.external.adopt(trade_id)
    await executor.on_signal("signal-2", signal_of("MSFT.US", "SELL", minute=6, price=50.0))
    assert list((await executor.ledger.portfolio()).holdings) == ["AAPL.US"]
    await assert_books_agree(executor, broker)


async def test_the_close_of_a_position_by_an_adopted_trade_locks_as_any_other(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    cooldown = [{"method": "CooldownPeriod", "stop_minutes": 60}]
    executor = await executor_of(protections=cooldown)
    broker = plug(executor, RestingBroker())
    broker.portion = Decimal(1)
    await executor.on_signal("signal-1", signal_of())
    held = (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity
    trade_id = broker.trade_in_the_app("AAPL.US", Side.SELL, held, "98")
    await executor.reconciliation.reconcile()
    await executor.external.adopt(trade_id)
    [lock] = (await executor.ledger.portfolio()).risk.locks
    assert lock.symbol == "AAPL.US"


async def test_an_adopted_sell_closes_the_desks_position_and_its_alert_is_critical(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", signal_of(stop_loss=95.0))
    held = (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity
    trade_id = broker.trade_in_the_app("AAPL.US", Side.SELL, held, "98")
    await executor.reconciliation.reconcile()
    [alert] = [item for item in await alerts(executor) if item["code"] == "EXTERNAL_TRADE"]
    assert alert["severity"] == "critical"
    assert f"still counts {held} held" in alert["message"]
    await executor.external.adopt(trade_id)
    assert (await executor.ledger.portfolio()).holdings == {}
    await executor.on_bar(bar_of(minute=1, price=90.0))
    assert len(broker.book.submitted) == 1  # nothing is left to protect
    await assert_books_agree(executor, broker)


async def test_what_contradicts_the_books_is_not_adopted(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    sold = broker.trade_in_the_app("MSFT.US", Side.SELL, 10, "50")
    unnamed = broker.trade_in_the_app("MSFT.US", Side.BUY, 10, "50", says_what=False)
    unknown = broker.trade_in_the_app("9999999.HK", Side.BUY, 10, "50")
    await executor.reconciliation.reconcile()
    for trade_id, why in (
        (sold, "0 are held"),
        (unnamed, "does not say what"),
        (unknown, "LOT_SIZES"),
    ):
        with pytest.raises(AdoptionError, match=why):
            await executor.external.adopt(trade_id)
    assert await executor.external.open_count() == 3

    bought = broker.trade_in_the_app("AAPL.US", Side.BUY, 10, "50")
    broker.portion = Decimal(0)
    await executor.on_signal("signal-1", signal_of())
    await executor.reconciliation.reconcile()
    with pytest.raises(AdoptionError, match="in progress"):
        await executor.external.adopt(bought)
    assert await verify(executor.ledger) == []


async def test_a_trade_of_a_foreign_order_at_the_paper_broker_is_adopted(
    executor: OrderExecutor, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    order = {
        "client_order_id": "by-phone", "symbol": "MSFT.US", "side": "BUY", "quantity": 10,
        "limit_price": Decimal(50), "state": OrderState.FILLED, "times_asked": 1,
        "as_of": signal_of().timestamp,
    }  # fmt: skip
    trade = {
        "trade_id": "by-phone-1", "client_order_id": "by-phone", "quantity": 10,
        "price": Decimal(50), "fee": Decimal(1), "currency": "USD",
    }  # fmt: skip

    def work(connection: Connection) -> None:
        connection.execute(insert(ORDERS).values(**order))
        connection.execute(insert(TRADES).values(**trade))

    await executor.broker._database.write(work)
    await executor.reconciliation.reconcile()
    assert await executor.verify() == []
    assert await executor.external.adopt("by-phone-1") is not None
    portfolio = await executor.ledger.portfolio()
    held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
    assert held == await executor.broker.positions()
    assert portfolio.cash == (await executor.broker.balances())["USD"]
    assert await executor.verify() == []


async def test_a_fill_beyond_the_limit_that_takes_more_cash_than_there_is_is_booked_and_stops_buys(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    broker.slip = Decimal(450)
    await executor.on_signal("signal-1", signal_of(strength=1.0))
    portfolio = await executor.ledger.portfolio()
    assert portfolio.cash < 0
    assert portfolio.cash == (await broker.balances())["USD"]
    assert {"FILL_BEYOND_LIMIT", "TRADING_REDUCING"} <= set(await codes(executor))
    found = [str(item) for item in await verify(executor.ledger, Records(broker.reports()))]
    assert any("within its limit" in item for item in found)
    assert any("USD balance is not negative" in item for item in found)
    # The books say truly what happened: the check names it, and exits remain possible.
    check = BookCheck(
        BookAudit(executor.ledger, Records(broker.reports())), executor.gate, second_look_seconds=0
    )
    assert (await check.check())[0] != []

    broker.slip = Decimal(0)
    await executor.reconciliation.reconcile()
    assert executor.gate.is_open
    await executor.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    query = select(SIGNALS.c.refusal_code).where(SIGNALS.c.signal_id == "signal-2")
    code = await executor.ledger.database.read(lambda it: it.execute(query).scalar_one())
    assert code == "TRADING_REDUCING"
    await executor.on_signal("signal-3", signal_of(side="SELL", minute=2, price=500.0))
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_cash_below_zero_does_not_let_through_what_a_person_has_halted(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    broker.portion = Decimal(0)
    await executor.on_signal("signal-1", signal_of(strength=1.0))
    [order_id] = broker.book.orders
    halt = await executor.kill_switch.halt("odd prices")
    broker.slip = Decimal(450)
    broker.fill(order_id)
    await executor.reconciliation.reconcile()
    assert (await executor.ledger.portfolio()).cash < 0
    assert await executor.kill_switch.state() == halt


async def test_a_fill_beyond_the_limit_that_the_cash_covers_is_announced_and_stops_nothing(
    executor: OrderExecutor, broker: RestingBroker, signal_of: SignalOf
) -> None:
    broker.slip = Decimal(1)
    await executor.on_signal("signal-1", signal_of())
    broker.slip = Decimal(-1)
    await executor.on_signal("signal-2", signal_of(side="SELL", minute=1))
    assert (await codes(executor)).count("FILL_BEYOND_LIMIT") == 2
    assert await executor.kill_switch.state() is None
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_external_trades_are_listed_and_settled_from_the_command_line(
    executor: OrderExecutor, broker: RestingBroker, databases_of: DatabasesOf
) -> None:
    first = broker.trade_in_the_app("MSFT.US", Side.BUY, 10, "50")
    second = broker.trade_in_the_app("AAPL.US", Side.SELL, 10, "50")
    await executor.reconciliation.reconcile()
    lines = report_of(await command(databases_of, "inspect"))["external_trades"]
    assert [line.partition(", seen")[0] for line in lines] == [
        f"{first}: BUY 10 MSFT.US at 50.00 USD",
        f"{second}: SELL 10 AAPL.US at 50.00 USD",
    ]
    assert report_of(await command(databases_of, "adopt", first))["state"] == "ADOPTED"
    refused = await command(databases_of, "adopt", second)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "0 are held" in refused.stderr
    assert report_of(await command(databases_of, "ignore", second))["state"] == "IGNORED"
    again = await command(databases_of, "ignore", second)
    assert again.returncode == 1
    assert f"no open external trade {second}" in again.stderr
    assert report_of(await command(databases_of, "inspect"))["external_trades"] == []
