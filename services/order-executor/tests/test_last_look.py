"""What the kill switch does to orders that are on their way, rest at the broker, or are lost."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.domain import Contradiction
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.decisions import request_from
from streamdesk.trading.identity import order_id_of_exit, order_id_of_signal
from streamdesk.trading.orders import OrderState
from streamdesk.trading.risk import Code
from streamdesk.trading.trading_state import TradingState
from streamdesk.trading.working_orders import CancelCode
from tests.resting_broker import CUT, LOST, RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
ENTRY = order_id_of_signal("signal-1")
FIRST_EXIT, SECOND_EXIT = order_id_of_exit(ENTRY, 1), order_id_of_exit(ENTRY, 2)
HALF, WHOLE, NOTHING = Decimal("0.5"), Decimal(1), Decimal(0)
IDEMPOTENCY_SECONDS = 600.0


async def enter(
    executor: OrderExecutor, signal: SignalGenerated, portion: Decimal
) -> RestingBroker:
    """An executor whose entry is filled so far; what it sends from now on is filled wholly."""
    broker = plug(executor, RestingBroker())
    broker.portion = portion
    await executor.on_signal("signal-1", signal)
    broker.portion = WHOLE
    return broker


async def lose(executor: OrderExecutor, broker: RestingBroker, signal: SignalGenerated) -> None:
    """Send an order whose answer is lost before the broker had it, with nothing to ask then."""
    await executor.reconciliation.reconcile()
    broker.before = LOST

    async def cut(_: str) -> None:
        raise CUT

    query, broker.query = broker.query, cut  # type: ignore[assignment, method-assign]
    await executor.on_signal("signal-1", signal)
    broker.query = query  # type: ignore[method-assign]


async def ending_of(executor: OrderExecutor, order_id: str) -> tuple[OrderState, str | None]:
    order = await executor.ledger.order(order_id)
    assert order is not None
    return order.state, order.code


def sent(broker: RestingBroker) -> list[str]:
    return [intent.client_order_id for intent in broker.book.submitted]


async def test_what_is_left_of_an_entry_is_canceled_while_halted_and_what_was_filled_sold_later(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), HALF)
    await executor.kill_switch.halt("odd prices")
    await executor.on_bar(bar_of(minute=1, price=90.0))
    assert await ending_of(executor, ENTRY) == (OrderState.CANCELED, CancelCode.STOP_CROSSED)
    assert sent(broker) == [ENTRY]
    await executor.kill_switch.stop(TradingState.REDUCING, "the prices are true")
    await executor.protection.leave_crossed()
    assert sent(broker) == [ENTRY, FIRST_EXIT]
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_an_exit_that_the_market_has_left_keeps_working_while_none_may_take_its_place(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), WHOLE)
    broker.portion = NOTHING
    await executor.on_bar(bar_of(minute=1, price=94.0))
    await executor.kill_switch.halt("odd prices")
    await executor.on_bar(bar_of(minute=2, price=85.0))
    assert (sent(broker), broker.book.canceled) == ([ENTRY, FIRST_EXIT], [])
    await executor.kill_switch.resume()
    await executor.protection.leave_crossed()
    assert (sent(broker), broker.book.canceled) == ([ENTRY, FIRST_EXIT, SECOND_EXIT], [FIRST_EXIT])


async def test_an_exit_that_was_withdrawn_is_made_anew_although_the_market_has_recovered(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    bar_of: BarOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = await executor_of()
    broker = await enter(executor, signal_of(stop_loss=95.0), WHOLE)
    protect = executor.ledger.protect

    async def protect_and_halt(*words: Any) -> Any:
        step = await protect(*words)
        await executor.kill_switch.halt("now")
        return step

    with monkeypatch.context() as patch:
        patch.setattr(executor.ledger, "protect", protect_and_halt)
        await executor.on_bar(bar_of(minute=1, price=96.0, low=94.0))
    assert await ending_of(executor, FIRST_EXIT) == (OrderState.CANCELED, Code.TRADING_HALTED)
    await executor.kill_switch.resume()
    await executor.on_bar(bar_of(minute=2, price=99.0))
    assert sent(broker) == [ENTRY, SECOND_EXIT]
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_a_halted_account_is_valued_at_the_prices_of_the_bars_that_cross_its_stops(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await enter(executor, signal_of(stop_loss=95.0), WHOLE)
    await executor.kill_switch.halt("odd prices")
    for minute, price in ((1, 94.0), (2, 80.0)):
        await executor.on_bar(bar_of(minute=minute, price=price))
        await executor.protection.value()
        held = (await executor.ledger.portfolio()).holdings["AAPL.US"]
        assert held.market_price == Decimal(str(price))


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
async def test_a_lost_entry_keeps_its_state_and_its_reservations_until_it_may_be_sent_again(
    executor_of: ExecutorOf, signal_of: SignalOf, state: TradingState
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker(idempotency_seconds=IDEMPOTENCY_SECONDS))
    await lose(executor, broker, signal_of())
    before = await executor.ledger.portfolio()
    await executor.kill_switch.stop(state, "odd prices")
    for _ in range(2):
        await executor.reconciliation.reconcile()
    assert executor.gate.is_open
    assert sent(broker) == []
    assert await ending_of(executor, ENTRY) == (OrderState.UNKNOWN, None)
    assert (await executor.ledger.portfolio()).live_orders == before.live_orders != {}
    await executor.kill_switch.resume()
    await executor.reconciliation.reconcile()
    assert broker.book.made == {ENTRY: 1}
    assert await ending_of(executor, ENTRY) == (OrderState.ACCEPTED, None)


async def test_a_person_is_told_of_a_lost_order_that_grew_too_old_while_it_was_held_back(
    executor_of: ExecutorOf, signal_of: SignalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker(idempotency_seconds=IDEMPOTENCY_SECONDS))
    await lose(executor, broker, signal_of())
    await executor.kill_switch.halt("odd prices")
    await executor.reconciliation.reconcile()
    broker.now = datetime.now(UTC) + timedelta(seconds=IDEMPOTENCY_SECONDS)
    monkeypatch.setattr(executor.execution, "_clock", lambda: broker.now)
    await executor.reconciliation.reconcile()
    unresolved = await executor.contradictions.unresolved()
    assert [each.code for each in unresolved] == [Contradiction.ORDER_UNPROVEN]
    await executor.kill_switch.resume()
    await executor.reconciliation.reconcile()
    assert sent(broker) == []


async def test_an_order_that_grows_too_old_while_the_ledger_is_waited_for_is_not_sent(
    executor_of: ExecutorOf, signal_of: SignalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker(idempotency_seconds=IDEMPOTENCY_SECONDS))
    await lose(executor, broker, signal_of())
    begin_sending = executor.ledger.begin_sending

    async def begin_sending_late(order_id: str) -> bool:
        begun = await begin_sending(order_id)
        late = datetime.now(UTC) + timedelta(seconds=IDEMPOTENCY_SECONDS)
        monkeypatch.setattr(executor.execution, "_clock", lambda: late)
        return begun

    monkeypatch.setattr(executor.ledger, "begin_sending", begin_sending_late)
    await executor.reconciliation.reconcile()
    assert sent(broker) == []
    unresolved = await executor.contradictions.unresolved()
    assert [each.code for each in unresolved] == [Contradiction.ORDER_UNPROVEN]


async def test_an_intent_that_is_contradicted_is_left_to_a_person(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    signal = signal_of()
    order = (await executor.ledger.decide(request_from("s", signal, signal.queued_at))).order
    assert order is not None
    await executor.contradictions.note(order.client_order_id, Contradiction.ORDER_UNPROVEN)
    assert not await executor.ledger.begin_sending(order.client_order_id)
    await executor.kill_switch.halt("now")
    kept = await executor.ledger.withdraw(order)
    assert kept is not None
    assert (kept.state, kept.contradiction) == (OrderState.INTENDED, Contradiction.ORDER_UNPROVEN)
