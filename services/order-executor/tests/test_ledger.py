import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import IntegrityError

from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    BALANCES,
    FILLS,
    ORDERS,
    OUTBOX,
    POSITIONS,
)
from streamdesk.order_executor.errors import BrokerContradictionError, DatabaseBusyError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.decisions import request_from
from streamdesk.trading.orders import BrokerReport, OrderState, Trade
from streamdesk.trading.risk import Code, TradeRequest
from tests.market import trade as let_the_market_trade

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
HeldLedger = Callable[[], AbstractAsyncContextManager[None]]
DatabasesOf = Callable[[str], dict[str, str]]


def request(signal_of: SignalOf, signal_id: str = "signal-1", **more: Any) -> TradeRequest:
    return request_from(signal_id, signal_of(**more), wall_clock())


def report(order_id: str, *trades: Trade, state: OrderState = OrderState.ACCEPTED) -> BrokerReport:
    return BrokerReport(order_id, "broker-1", state, trades)


def trade(order_id: str, trade_id: str, quantity: int, price: str = "100") -> Trade:
    return Trade(trade_id, order_id, quantity, Decimal(price), Decimal(1), "USD")


async def events(executor: OrderExecutor) -> list[str]:
    def work(connection: Connection) -> list[str]:
        return list(connection.execute(select(OUTBOX.c.type).order_by(OUTBOX.c.id)).scalars())

    return await executor.ledger.database.read(work)


async def test_intent_reservation_and_event_are_committed_together(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    decision = await executor.ledger.decide(request(signal_of))
    portfolio = await executor.ledger.portfolio()
    assert decision.order is not None
    assert portfolio.reserved_cash == decision.order.intent.reserved_cash > 0
    assert portfolio.live_orders.keys() == {"AAPL.US"}
    assert await events(executor) == ["OrderSubmitted"]
    assert await executor.verify() == []


async def test_the_same_signal_again_gets_the_order_that_is_there(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    first, second = await executor_of(), await executor_of(instance="executor-2")
    one = await first.ledger.decide(request(signal_of))
    other = await second.ledger.decide(request(signal_of))
    assert (one.is_new, other.is_new) == (True, False)
    assert one.order == other.order


async def test_the_same_signal_again_gets_the_refusal_that_is_there(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    one = await executor.ledger.decide(request(signal_of, score=10.0))
    other = await executor.ledger.decide(request(signal_of, score=10.0))
    assert one.refusal is not None
    assert one.refusal == other.refusal
    assert not other.is_new
    assert await events(executor) == ["OrderRejected"]


async def test_the_same_bar_under_another_event_id_is_a_duplicate(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    await executor.on_signal("sell", signal_of(side="SELL", minute=1))
    await executor.on_signal("signal-2", signal_of())
    decision = await executor.ledger.decide(request(signal_of, "signal-2"))
    assert decision.refusal is not None
    assert decision.refusal.code is Code.DUPLICATE_SIGNAL
    assert len(await executor.broker.all_reports()) == 2


async def test_one_order_a_symbol_is_the_databases_own_rule(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.ledger.decide(request(signal_of))

    def again(connection: Connection) -> None:
        connection.execute(
            text(
                "insert into reservations select 'sd-other', symbol, market, side, cash "
                "from reservations"
            )
        )

    with pytest.raises(IntegrityError):
        await executor.ledger.database.write(again)


async def test_a_trade_is_booked_once_however_often_it_is_reported(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    decision = await executor.ledger.decide(request(signal_of))
    assert decision.order is not None
    order_id, quantity = decision.order.client_order_id, decision.order.intent.quantity
    part = trade(order_id, "t-1", quantity - 10)

    first = await executor.ledger.apply(report(order_id, part))
    again = await executor.ledger.apply(report(order_id, part))

    assert len(first.new_trades) == 1
    assert again.new_trades == ()
    portfolio = await executor.ledger.portfolio()
    assert portfolio.holdings["AAPL.US"].quantity == quantity - 10
    assert portfolio.cash == Decimal(1_000_000) - (quantity - 10) * 100 - 1
    assert await verify(executor.ledger) == []


async def test_a_partly_filled_order_keeps_what_is_left_of_its_reservation(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    order = (await executor.ledger.decide(request(signal_of))).order
    assert order is not None
    part = trade(order.client_order_id, "t-1", 100)
    await executor.ledger.apply(report(order.client_order_id, part))
    portfolio = await executor.ledger.portfolio()
    assert portfolio.reserved_cash == order.intent.reserved_cash - 10_001
    canceled = report(order.client_order_id, part, state=OrderState.CANCELED)
    await executor.ledger.apply(canceled)
    portfolio = await executor.ledger.portfolio()
    assert portfolio.reserved_cash == 0
    assert portfolio.holdings["AAPL.US"].quantity == 100
    assert (await events(executor))[-2:] == ["PortfolioValued", "OrderCanceled"]


async def test_a_late_trade_of_a_canceled_order_is_not_lost(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    order = (await executor.ledger.decide(request(signal_of))).order
    assert order is not None
    order_id = order.client_order_id
    await executor.ledger.apply(report(order_id, state=OrderState.CANCELED))
    await executor.ledger.apply(
        report(order_id, trade(order_id, "t-1", 7), state=OrderState.CANCELED)
    )
    assert (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity == 7


async def test_a_report_that_cannot_be_true_is_refused_whole(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    order = (await executor.ledger.decide(request(signal_of))).order
    assert order is not None
    order_id, quantity = order.client_order_id, order.intent.quantity
    before = await executor.ledger.portfolio()
    wrong = [
        report("sd-nobody"),
        report(order_id, trade(order_id, "t-1", quantity), trade(order_id, "t-2", 1)),
        report(order_id, trade("sd-other", "t-1", 1)),
        report(order_id, Trade("t-1", order_id, 1, Decimal(1), Decimal(0), "HKD")),
    ]
    for item in wrong:
        with pytest.raises(BrokerContradictionError):
            await executor.ledger.apply(item)
    assert await executor.ledger.portfolio() == before


async def test_a_sell_of_what_is_not_held_is_refused(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("buy", signal_of())
    sell = (await executor.ledger.decide(request(signal_of, "sell", side="SELL", minute=1))).order
    assert sell is not None
    assert sell.intent.side is Side.SELL

    def lose(connection: Connection) -> None:
        connection.execute(POSITIONS.delete())

    await executor.ledger.database.write(lose)
    order_id = sell.client_order_id
    with pytest.raises(BrokerContradictionError, match="0 are held"):
        await executor.ledger.apply(report(order_id, trade(order_id, "t-9", 1)))


async def test_many_tasks_of_two_executors_make_one_order_a_signal(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    more = {"max_positions_us": 100, "size_min_percent": 1, "size_max_percent": 2}
    executors = [await executor_of(**more), await executor_of(instance="executor-2", **more)]
    signals = [(f"signal-{n}", signal_of(f"S{n}.US")) for n in range(20)]
    await asyncio.gather(
        *(
            executor.on_signal(*signal)
            for signal in signals
            for executor in executors
            for _ in range(2)
        )
    )
    assert len(await executors[0].broker.all_reports()) == len(signals)
    assert len((await executors[0].ledger.portfolio()).holdings) == len(signals)
    assert await executors[0].verify() == []


async def test_the_position_limit_holds_among_concurrent_signals(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executors = [await executor_of(), await executor_of(instance="executor-2")]
    await asyncio.gather(
        *(
            executors[n % 2].on_signal(f"signal-{n}", signal_of(f"S{n}.US", strength=0.0))
            for n in range(12)
        )
    )
    assert len((await executors[0].ledger.portfolio()).holdings) == 5
    assert await executors[0].verify() == []


async def test_cash_is_never_promised_twice_among_concurrent_signals(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(max_positions_us=100)
    await asyncio.gather(
        *(executor.on_signal(f"signal-{n}", signal_of(f"S{n}.US", strength=1.0)) for n in range(12))
    )
    portfolio = await executor.ledger.portfolio()
    assert portfolio.cash >= 0
    assert len(portfolio.holdings) in {3, 4}  # 30 % each, and perhaps the rest
    assert await executor.verify() == []


PROCESS = """
import asyncio, sys
from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor

async def main():
    async with OrderExecutor(Settings()) as executor:
        signals = [SignalGenerated.model_validate_json(line) for line in sys.stdin]
        await asyncio.gather(*(executor.on_signal(f"signal-{n}", s) for n, s in enumerate(signals)))

asyncio.run(main())
"""


def run_three_processes(environment: dict[str, str], lines: str) -> list[int]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS], stdin=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.close()  # all begin now, the creation of the tables included
    return [process.wait() for process in processes]


async def test_several_processes_on_one_ledger_make_one_order_a_signal(
    executor_of: ExecutorOf, signal_of: SignalOf, databases_of: DatabasesOf
) -> None:
    environment = {
        **{name.upper(): url for name, url in databases_of("account").items()},
        "BROKER_TIMEOUT_SECONDS": "60",
        "DATABASE_TIMEOUT_SECONDS": "120",
        "MAX_POSITIONS_US": "100",
        "SIZE_MIN_PERCENT": "1",
        "SIZE_MAX_PERCENT": "2",
    }
    lines = "\n".join(signal_of(f"S{n}.US").model_dump_json() for n in range(30))
    assert run_three_processes(environment, lines) == [0, 0, 0]

    executor = await executor_of()
    assert len(await executor.broker.all_reports()) == 30
    await let_the_market_trade(executor)
    assert await executor.ledger.unfinished() == []
    assert await executor.verify() == []


async def test_a_ledger_that_stays_locked_is_busy_and_nothing_is_written(
    executor_of: ExecutorOf, signal_of: SignalOf, held_ledger: HeldLedger
) -> None:
    executor = await executor_of(database_timeout_seconds=0.05)
    async with held_ledger():
        with pytest.raises(DatabaseBusyError):
            await executor.ledger.decide(request(signal_of))
    assert (await executor.ledger.decide(request(signal_of))).is_new


async def test_a_transaction_ends_even_when_nobody_waits_for_it_any_more(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    task = asyncio.create_task(executor.ledger.decide(request(signal_of)))
    while not executor.ledger.database._running:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await executor.ledger.decide(request(signal_of))
    assert again.order is not None
    assert not again.is_new


@pytest.mark.parametrize(
    "damage",
    [
        update(BALANCES).values(amount=Decimal(1)),
        update(ACCOUNT).values(realized_pnl=Decimal(1)),
        update(ACCOUNT).values(fx_gain=Decimal(1)),
        update(FILLS).values(conversion_cost=Decimal(1)),
        update(POSITIONS).values(local_cost=Decimal(1)),
        update(POSITIONS).values(quantity=1),
        update(POSITIONS).values(cost=Decimal(1)),
        update(FILLS).values(price=Decimal(7)),
        update(ORDERS).values(filled_quantity=1),
        FILLS.delete(),
        POSITIONS.delete(),
    ],
)
async def test_the_audit_finds_whatever_was_tampered_with(
    executor_of: ExecutorOf, signal_of: SignalOf, damage: Any
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    assert await executor.verify() == []

    def tamper(connection: Connection) -> None:
        connection.execute(damage)

    await executor.ledger.database.write(tamper)
    findings = await executor.verify()
    assert findings != []
    assert all(str(finding) for finding in findings)
