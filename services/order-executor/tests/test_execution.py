import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from streamdesk.bus import Ack, Message, Retry
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    BrokerUnavailableError,
    OutcomeUnknownError,
)
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain
from streamdesk.trading.decisions import request_from
from streamdesk.trading.orders import BrokerReport, Intent, OrderState
from tests.market import trade

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
HeldLedger = Callable[[], AbstractAsyncContextManager[None]]


class Trouble:
    """Raises for the first so many calls; counts all of them."""

    def __init__(self, error: Exception, times: int = 1) -> None:
        self.error = error
        self.left = times
        self.calls: Counter[str] = Counter()

    async def __call__(self, client_order_id: str) -> None:
        self.calls[client_order_id] += 1
        if self.left > 0:
            self.left -= 1
            raise self.error


LOST = OutcomeUnknownError("the line went dead")
DOWN = BrokerUnavailableError("connection refused")


async def only_order(executor: OrderExecutor) -> OrderState:
    [report] = await executor.broker.all_reports()
    order = await executor.ledger.order(report.client_order_id)
    assert order is not None
    return order.state


async def test_an_answer_lost_after_the_broker_accepted_makes_no_second_order(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    accepted = Trouble(LOST)
    executor = await executor_of(faults=Faults(after_accept=accepted))
    await executor.on_signal("signal-1", signal_of())
    assert sum(accepted.calls.values()) == 1  # asked, found, not sent again
    assert await only_order(executor) is OrderState.FILLED
    assert executor.gate.is_open
    assert await executor.verify() == []


async def test_a_request_lost_before_the_broker_had_it_is_sent_again_with_the_same_id(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    lost = Trouble(LOST)
    executor = await executor_of(faults=Faults(before_accept=lost))
    await executor.on_signal("signal-1", signal_of())
    assert list(lost.calls.values()) == [2]
    assert await only_order(executor) is OrderState.FILLED


async def test_an_error_when_asking_does_not_count_as_not_found(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    accepted, deaf = Trouble(LOST), Trouble(DOWN, times=0)
    executor = await executor_of(
        faults=Faults(after_accept=accepted, on_read=deaf), of=OrderExecutor
    )
    await executor.reconciliation.reconcile()
    deaf.left = 1
    await executor.on_signal("signal-1", signal_of())
    assert sum(accepted.calls.values()) == 1
    assert await only_order(executor) is OrderState.UNKNOWN
    assert not executor.gate.is_open

    await executor.reconciliation.reconcile()
    await trade(executor)

    assert sum(accepted.calls.values()) == 1
    assert await only_order(executor) is OrderState.FILLED
    assert executor.gate.is_open
    assert await executor.verify() == []


async def test_an_unreachable_broker_blocks_trading_until_it_is_back(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    down = Trouble(DOWN)
    executor = await executor_of(faults=Faults(before_accept=down))
    await executor.on_signal("signal-1", signal_of())
    assert not executor.gate.is_open
    assert (await executor.ledger.portfolio()).reserved_cash > 0  # not released on an error

    drain = Drain()
    loop = asyncio.create_task(executor.keep_reconciled(drain))
    await executor.gate.wait_open()
    drain.request()
    await loop
    await trade(executor)
    assert await only_order(executor) is OrderState.FILLED
    assert (await executor.ledger.portfolio()).reserved_cash == 0


async def test_signals_wait_while_trading_is_blocked(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.reconciliation.reconcile()
    executor.gate.close("a test")
    waiting = asyncio.create_task(executor.handler(_message(signal_of())))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert (await executor.ledger.portfolio()).live_orders == {}
    await executor.reconciliation.reconcile()
    await waiting
    await trade(executor)
    assert await only_order(executor) is OrderState.FILLED


def _message(signal: SignalGenerated, attempt: int = 1) -> Message[SignalGenerated]:
    return Message(id="signal-1", event=signal, topic="signals", attempt=attempt)


async def test_a_refusal_by_the_broker_ends_the_order_and_frees_its_cash(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    def refuse(_: Intent) -> tuple[str, str]:
        return "HALTED", "trading of AAPL.US is halted"

    executor = await executor_of(faults=Faults(refuse=refuse))
    await executor.on_signal("signal-1", signal_of())
    await executor.on_signal("signal-1", signal_of())
    portfolio = await executor.ledger.portfolio()
    assert await only_order(executor) is OrderState.REJECTED
    assert portfolio.free_cash == Decimal(1_000_000)
    assert await executor.verify() == []


async def test_an_intent_whose_executor_died_before_sending_is_finished_by_another(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    dead, alive = await executor_of(), await executor_of(instance="executor-2")
    await dead.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    done = await alive.reconciliation.reconcile()
    assert done.orders == 1
    await trade(alive)
    assert await only_order(alive) is OrderState.FILLED
    assert await alive.verify() == []


async def test_an_order_whose_executor_died_after_sending_is_booked_and_not_sent_again(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    sent = Trouble(LOST, times=0)
    dead = await executor_of()
    alive = await executor_of(instance="executor-2", faults=Faults(before_accept=sent))
    decision = await dead.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    assert decision.order is not None
    await dead.broker.submit(decision.order.intent)
    await alive.on_signal("signal-1", signal_of())  # redelivered
    assert not sent.calls
    assert await only_order(alive) is OrderState.FILLED
    assert await alive.verify() == []


async def test_several_executors_reconcile_the_same_orders_at_once(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executors = [await executor_of(instance=f"executor-{n}") for n in range(3)]
    for number in range(4):
        signal = signal_of(f"S{number}.US", strength=0.0)
        await executors[0].ledger.decide(request_from(f"signal-{number}", signal, wall_clock()))
    await asyncio.gather(*(executor.reconciliation.reconcile() for executor in executors))
    assert len(await executors[0].broker.all_reports()) == 4
    await trade(executors[0])
    assert await executors[0].ledger.unfinished() == []
    assert await executors[0].verify() == []


async def test_an_order_under_way_is_left_to_its_executor_for_a_while(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    assert (await executor.reconciliation.reconcile(untouched_seconds=60)).orders == 0
    assert await executor.broker.all_reports() == []


async def test_a_broker_that_never_answers_counts_as_unknown(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    never = asyncio.Event()
    hung: list[str] = []

    async def hang(client_order_id: str) -> None:
        hung.append(client_order_id)
        if len(hung) == 1:
            await never.wait()

    executor = await executor_of(faults=Faults(after_accept=hang), broker_timeout_seconds=1)
    await executor.on_signal("signal-1", signal_of())
    while not executor.gate.is_open:  # on a slow machine the second question may time out as well
        with suppress(OutcomeUnknownError):
            await executor.reconciliation.reconcile()
    assert len(hung) <= 1
    assert await only_order(executor) is OrderState.FILLED


async def test_a_paper_broker_that_does_not_belong_to_the_ledger_stops_trading(
    executor_of: ExecutorOf, signal_of: SignalOf, settings_of: Callable[..., Settings]
) -> None:
    other = await executor_of()
    await other.on_signal("signal-1", signal_of())
    url = settings_of().paper_broker_url.get_secret_value()
    executor = await executor_of("another", paper_broker_url=url)
    with pytest.raises(BrokerContradictionError, match="PAPER_BROKER_URL"):
        await executor.reconciliation.reconcile()
    assert not executor.gate.is_open
    assert "PAPER_BROKER_URL" in executor.gate.reason


async def test_a_gate_closed_during_a_reconciliation_stays_closed(executor_of: ExecutorOf) -> None:
    executor = await executor_of()
    closed_before = executor.gate.times_closed
    executor.gate.close("something else")
    assert not executor.gate.open(closed_before)
    assert not executor.gate.is_open


async def test_a_sell_waits_for_the_buy_in_progress_and_is_refused_at_the_last_attempt(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.reconciliation.reconcile()
    await executor.ledger.decide(request_from("buy", signal_of(), wall_clock()))
    sell = signal_of(side="SELL", minute=1)
    for attempt in (1, 2, 3):
        assert isinstance(await executor.handler(_message(sell, attempt)), Retry)
    await executor.handler(_message(sell, attempt=4))
    decision = await executor.ledger.decide(request_from("signal-1", sell, wall_clock()))
    assert decision.refusal is not None
    assert decision.refusal.code == "ORDER_IN_PROGRESS"


async def test_a_broker_that_reports_more_than_was_ordered_stops_trading(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.reconciliation.reconcile()
    on_bar = executor.broker.on_bar

    async def doubled(bar: BarClosed) -> tuple[BrokerReport, ...]:
        [report] = await on_bar(bar)
        again = (replace(trade, trade_id=f"{trade.trade_id}-again") for trade in report.trades)
        return (replace(report, trades=(*report.trades, *again)),)

    executor.broker.on_bar = doubled  # type: ignore[method-assign]
    await executor.on_signal("signal-1", signal_of())
    assert not executor.gate.is_open
    assert "were ordered" in executor.gate.reason
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_trading_stays_blocked_while_the_books_contradict_each_other(
    executor_of: ExecutorOf, signal_of: SignalOf, settings_of: Callable[..., Settings]
) -> None:
    other = await executor_of()
    await other.on_signal("signal-1", signal_of())
    url = settings_of().paper_broker_url.get_secret_value()
    executor = await executor_of("another", paper_broker_url=url)
    drain = Drain()
    loop = asyncio.create_task(executor.keep_reconciled(drain))
    while executor.gate.times_closed < 2:
        await asyncio.sleep(0)
    drain.request()
    await loop
    assert not executor.gate.is_open


async def test_a_signal_waits_for_a_locked_ledger_however_long_that_takes(
    executor_of: ExecutorOf, signal_of: SignalOf, held_ledger: HeldLedger
) -> None:
    executor, drain = await executor_of(database_timeout_seconds=0.05), Drain()
    await executor.reconciliation.reconcile()
    reconciling = asyncio.create_task(executor.keep_reconciled(drain))
    async with held_ledger():
        # The bus would give it up after some tries: it is one, as long as the lock lasts.
        handling = asyncio.create_task(executor.on_signal("signal-1", signal_of()))
        await executor.gate.closed.wait()
        await asyncio.sleep(0.3)
        assert not handling.done()
        assert not executor.gate.is_open
    assert isinstance(await handling, Ack)
    assert await only_order(executor) is OrderState.FILLED
    drain.request()
    await reconciling


async def test_trades_that_no_report_brought_are_found_in_the_brokers_records(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    decision = await executor.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    assert decision.order is not None
    report = await executor.broker.submit(decision.order.intent)
    done = await executor.reconciliation.reconcile(
        untouched_seconds=60
    )  # not for its being unfinished
    assert (done.orders, done.trades) == (0, len(report.trades))
    assert await executor.verify() == []
