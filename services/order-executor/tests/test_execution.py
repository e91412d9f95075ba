import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from streamdesk.bus import Message, Retry, RetryAfter
from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.desk import Desk
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    BrokerUnavailableError,
    OutcomeUnknownError,
)
from streamdesk.runtime import Drain
from streamdesk.trading.decisions import request_from
from streamdesk.trading.orders import BrokerReport, Intent, OrderState

SignalOf = Callable[..., SignalGenerated]
DeskOf = Callable[..., Awaitable[Desk]]
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
AWAY = BrokerUnavailableError("connection refused")


async def only_order(desk: Desk) -> OrderState:
    [report] = await desk.broker.book()
    order = await desk.ledger.order(report.client_order_id)
    assert order is not None
    return order.state


async def test_an_answer_lost_after_the_broker_accepted_makes_no_second_order(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    accepted = Trouble(LOST)
    desk = await desk_of(faults=Faults(after_accept=accepted))
    await desk.on_signal("signal-1", signal_of())
    assert sum(accepted.calls.values()) == 1  # asked, found, not sent again
    assert await only_order(desk) is OrderState.FILLED
    assert desk.gate.is_open
    assert await desk.verify() == []


async def test_a_request_lost_before_the_broker_had_it_is_sent_again_with_the_same_id(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    lost = Trouble(LOST)
    desk = await desk_of(faults=Faults(before_accept=lost))
    await desk.on_signal("signal-1", signal_of())
    assert list(lost.calls.values()) == [2]
    assert await only_order(desk) is OrderState.FILLED


async def test_an_error_when_asking_does_not_count_as_not_found(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    accepted, deaf = Trouble(LOST), Trouble(AWAY, times=0)
    desk = await desk_of(faults=Faults(after_accept=accepted, on_read=deaf))
    await desk.reconciliation.reconcile()
    deaf.left = 1
    await desk.on_signal("signal-1", signal_of())
    assert sum(accepted.calls.values()) == 1
    assert await only_order(desk) is OrderState.UNKNOWN
    assert not desk.gate.is_open

    await desk.reconciliation.reconcile()

    assert sum(accepted.calls.values()) == 1
    assert await only_order(desk) is OrderState.FILLED
    assert desk.gate.is_open
    assert await desk.verify() == []


async def test_a_broker_that_is_away_blocks_trading_until_it_is_back(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    away = Trouble(AWAY)
    desk = await desk_of(faults=Faults(before_accept=away))
    await desk.on_signal("signal-1", signal_of())
    assert not desk.gate.is_open
    assert (await desk.ledger.portfolio()).reserved_cash > 0  # not released on an error

    drain = Drain()
    loop = asyncio.create_task(desk.reconciliation.run(drain))
    await desk.handler._gate.wait_open()
    drain.request()
    await loop
    assert await only_order(desk) is OrderState.FILLED
    assert (await desk.ledger.portfolio()).reserved_cash == 0


async def test_signals_wait_while_trading_is_blocked(desk_of: DeskOf, signal_of: SignalOf) -> None:
    desk = await desk_of()
    await desk.reconciliation.reconcile()
    desk.gate.close("a test")
    waiting = asyncio.create_task(desk.handler(_message(signal_of())))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert (await desk.ledger.portfolio()).live_orders == {}
    await desk.reconciliation.reconcile()
    await waiting
    assert await only_order(desk) is OrderState.FILLED


def _message(signal: SignalGenerated, attempt: int = 1) -> Message[SignalGenerated]:
    return Message(id="signal-1", event=signal, topic="signals", attempt=attempt)


async def test_a_refusal_by_the_broker_ends_the_order_and_frees_its_cash(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    def refuse(_: Intent) -> tuple[str, str]:
        return "HALTED", "trading of AAPL.US is halted"

    desk = await desk_of(faults=Faults(refuse=refuse))
    await desk.on_signal("signal-1", signal_of())
    await desk.on_signal("signal-1", signal_of())
    portfolio = await desk.ledger.portfolio()
    assert await only_order(desk) is OrderState.REJECTED
    assert portfolio.free_cash == Decimal(1_000_000)
    assert await desk.verify() == []


async def test_an_intent_whose_executor_died_before_sending_is_finished_by_another(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    dead, alive = await desk_of(), await desk_of(instance="executor-2")
    await dead.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    done = await alive.reconciliation.reconcile()
    assert done.orders == 1
    assert await only_order(alive) is OrderState.FILLED
    assert await alive.verify() == []


async def test_an_order_whose_executor_died_after_sending_is_booked_and_not_sent_again(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    sent = Trouble(LOST, times=0)
    dead = await desk_of()
    alive = await desk_of(instance="executor-2", faults=Faults(before_accept=sent))
    decision = await dead.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    assert decision.order is not None
    await dead.broker.submit(decision.order.intent)
    await alive.on_signal("signal-1", signal_of())  # redelivered
    assert not sent.calls
    assert await only_order(alive) is OrderState.FILLED
    assert await alive.verify() == []


async def test_several_executors_reconcile_the_same_orders_at_once(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desks = [await desk_of(instance=f"executor-{n}") for n in range(3)]
    for number in range(4):
        signal = signal_of(f"S{number}.US", strength=0.0)
        await desks[0].ledger.decide(request_from(f"signal-{number}", signal, wall_clock()))
    await asyncio.gather(*(desk.reconciliation.reconcile() for desk in desks))
    assert len(await desks[0].broker.book()) == 4
    assert await desks[0].ledger.unfinished() == []
    assert await desks[0].verify() == []


async def test_an_order_under_way_is_left_to_its_executor_for_a_while(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    await desk.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    assert (await desk.reconciliation.reconcile(untouched_seconds=60)).orders == 0
    assert await desk.broker.book() == []


async def test_a_broker_that_never_answers_counts_as_unknown(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    never = asyncio.Event()
    hung: list[str] = []

    async def hang(client_order_id: str) -> None:
        hung.append(client_order_id)
        if len(hung) == 1:
            await never.wait()

    desk = await desk_of(faults=Faults(after_accept=hang), broker_timeout_seconds=1)
    await desk.on_signal("signal-1", signal_of())
    while not desk.gate.is_open:  # on a slow machine the second question may time out as well
        with suppress(OutcomeUnknownError):
            await desk.reconciliation.reconcile()
    assert len(hung) <= 1
    assert await only_order(desk) is OrderState.FILLED


async def test_a_book_that_does_not_belong_to_the_ledger_stops_trading(
    desk_of: DeskOf, signal_of: SignalOf, settings_of: Callable[..., Settings]
) -> None:
    other = await desk_of()
    await other.on_signal("signal-1", signal_of())
    book = settings_of().paper_broker_url.get_secret_value()
    desk = await desk_of("another", paper_broker_url=book)
    with pytest.raises(BrokerContradictionError, match="PAPER_BROKER_URL"):
        await desk.reconciliation.reconcile()
    assert not desk.gate.is_open
    assert "PAPER_BROKER_URL" in desk.gate.reason


async def test_a_gate_closed_during_a_reconciliation_stays_closed(desk_of: DeskOf) -> None:
    desk = await desk_of()
    as_of = desk.gate.times_closed
    desk.gate.close("something else")
    assert not desk.gate.open(as_of)
    assert not desk.gate.is_open


async def test_a_sale_waits_for_the_purchase_under_way_and_is_refused_at_the_last_attempt(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    await desk.reconciliation.reconcile()
    await desk.ledger.decide(request_from("purchase", signal_of(), wall_clock()))
    sale = signal_of(side="SELL", minute=1)
    for attempt in (1, 2, 3):
        assert isinstance(await desk.handler(_message(sale, attempt)), Retry)
    await desk.handler(_message(sale, attempt=4))
    decision = await desk.ledger.decide(request_from("signal-1", sale, wall_clock()))
    assert decision.refusal is not None
    assert decision.refusal.code == "ORDER_IN_PROGRESS"


async def test_a_broker_that_reports_more_than_was_ordered_stops_trading(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    await desk.reconciliation.reconcile()
    submit = desk.broker.submit

    async def doubled(intent: Intent) -> BrokerReport:
        report = await submit(intent)
        again = (replace(trade, trade_id=f"{trade.trade_id}-again") for trade in report.trades)
        return replace(report, trades=(*report.trades, *again))

    desk.broker.submit = doubled  # type: ignore[method-assign]
    await desk.on_signal("signal-1", signal_of())
    assert not desk.gate.is_open
    assert "were ordered" in desk.gate.reason
    assert (await desk.ledger.portfolio()).holdings == {}


async def test_trading_stays_blocked_while_the_books_contradict_each_other(
    desk_of: DeskOf, signal_of: SignalOf, settings_of: Callable[..., Settings]
) -> None:
    other = await desk_of()
    await other.on_signal("signal-1", signal_of())
    book = settings_of().paper_broker_url.get_secret_value()
    desk = await desk_of("another", paper_broker_url=book)
    drain = Drain()
    loop = asyncio.create_task(desk.reconciliation.run(drain))
    while desk.gate.times_closed < 2:
        await asyncio.sleep(0)
    drain.request()
    await loop
    assert not desk.gate.is_open


async def test_a_signal_that_meets_a_locked_ledger_comes_again_and_is_decided_once(
    desk_of: DeskOf, signal_of: SignalOf, held_ledger: HeldLedger
) -> None:
    desk = await desk_of(database_timeout_seconds=0.05)
    await desk.reconciliation.reconcile()
    async with held_ledger():
        with pytest.raises(RetryAfter):
            await desk.on_signal("signal-1", signal_of())
    await desk.on_signal("signal-1", signal_of())
    assert await only_order(desk) is OrderState.FILLED


async def test_trades_that_no_report_brought_are_found_in_the_brokers_book(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    decision = await desk.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
    assert decision.order is not None
    report = await desk.broker.submit(decision.order.intent)
    done = await desk.reconciliation.reconcile(untouched_seconds=60)  # not for its being unfinished
    assert (done.orders, done.trades) == (0, len(report.trades))
    assert await desk.verify() == []
