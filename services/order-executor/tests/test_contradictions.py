"""What the broker acknowledged is never sent again, and what is lost is sent again in time."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.schema import ORDERS, OUTBOX, SIGNALS
from streamdesk.order_executor.domain import (
    MAX_CLOCK_OFFSET_SECONDS,
    Contradiction,
    reason_not_to_send_again,
)
from streamdesk.order_executor.entrypoints.schedule import RESOLVED_BY_WAITING
from streamdesk.order_executor.errors import ClockOffError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import metrics
from streamdesk.trading.decisions import request_from
from streamdesk.trading.identity import order_id_of_signal
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.orders import BrokerReport, Intent, Order, OrderState, Origin
from tests.broker_conformance import Records
from tests.executor_command import command, report_of
from tests.resting_broker import CUT, LOST, RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]
ENTRY = order_id_of_signal("signal-1")
NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
MARGIN = 2 * MAX_CLOCK_OFFSET_SECONDS
LONGBRIDGE_SECONDS = 600.0


def order_in(state: OrderState, age_seconds: float = 1.0, broker_id: str | None = None) -> Order:
    intent = Intent(
        client_order_id=ENTRY,
        signal_id="signal-1",
        origin=Origin.SIGNAL,
        fingerprint="f",
        symbol="AAPL.US",
        market=MarketCode.US,
        currency="USD",
        side=Side.BUY,
        quantity=100,
        limit_price=Decimal(100),
        reference_price=Decimal(100),
        as_of=NOW,
        reserved_cash=Decimal(0),
    )
    sent_at = NOW - timedelta(seconds=age_seconds)
    return Order(intent, state=state, broker_order_id=broker_id, sent_at=sent_at)


@pytest.mark.parametrize(
    ("order", "idempotency_seconds", "expected"),
    [
        (order_in(OrderState.INTENDED), 600, None),
        (order_in(OrderState.UNKNOWN), 600, None),
        (order_in(OrderState.UNKNOWN, 600 - MARGIN - 1), 600, None),
        (order_in(OrderState.UNKNOWN, 600 - MARGIN), 600, Contradiction.ORDER_UNPROVEN),
        (order_in(OrderState.INTENDED, 86_400), 600, Contradiction.ORDER_UNPROVEN),
        (order_in(OrderState.INTENDED, 86_400), None, None),
        # A time from the future means that one of the clocks is wrong: nothing follows from it.
        (order_in(OrderState.UNKNOWN, -3600), 600, Contradiction.ORDER_UNPROVEN),
        (order_in(OrderState.ACCEPTED), None, Contradiction.ORDER_FORGOTTEN),
        (order_in(OrderState.PARTIALLY_FILLED), None, Contradiction.ORDER_FORGOTTEN),
        (order_in(OrderState.PENDING_CANCEL), 600, Contradiction.ORDER_FORGOTTEN),
    ],
)
def test_an_order_is_sent_again_only_while_that_can_make_no_second_one(
    order: Order, idempotency_seconds: float | None, expected: Contradiction | None
) -> None:
    assert reason_not_to_send_again(order, NOW, idempotency_seconds) is expected


@given(
    state=st.sampled_from([state for state in OrderState if not state.is_done]),
    age_seconds=st.floats(-1e5, 1e6),
    idempotency_seconds=st.none() | st.floats(0, 1e6),
    broker_id=st.none() | st.just("b-1"),
)
def test_what_the_broker_acknowledged_is_never_sent_again(
    state: OrderState,
    age_seconds: float,
    idempotency_seconds: float | None,
    broker_id: str | None,
) -> None:
    order = order_in(state, age_seconds, broker_id)
    if state.is_working or broker_id is not None:
        assert reason_not_to_send_again(order, NOW, idempotency_seconds) is not None


@given(st.lists(st.sampled_from(list(OrderState)), max_size=8))
def test_a_state_never_goes_back_and_an_end_is_final(reports: list[OrderState]) -> None:
    ranks = list(OrderState)
    state = OrderState.INTENDED
    for reported in reports:
        after = state.advanced_to(reported)
        assert after is state if state.is_done else ranks.index(after) >= ranks.index(state)
        state = after


class OvertakenBroker(RestingBroker):
    """Its first answer is out of date when it arrives: the order is made on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def query(self, client_order_id: str) -> BrokerReport | None:
        report, meanwhile = await super().query(client_order_id), self.meanwhile
        self.meanwhile = None
        if meanwhile is not None:
            await meanwhile()
        return report


async def test_an_order_that_another_executor_makes_while_the_broker_is_asked_is_no_contradiction(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor, broker = await executor_of(of=OrderExecutor), OvertakenBroker()
    plug(executor, broker)
    await executor.reconciliation.reconcile()
    request = request_from("signal-1", signal_of(), NOW)
    intended = (await executor.ledger.decide(request)).order
    assert intended is not None
    broker.meanwhile = lambda: executor.execution.carry_out(intended, is_new=True)
    await executor.reconciliation.reconcile()
    order = await executor.ledger.order(ENTRY)
    assert order is not None
    assert (order.state, order.contradiction) == (OrderState.ACCEPTED, None)
    assert broker.book.made[ENTRY] == 1


async def alerts(executor: OrderExecutor) -> list[str]:
    """Codes of the risk alerts, in order."""

    def work(connection: Connection) -> list[str]:
        query = select(OUTBOX.c.body).where(OUTBOX.c.type == "RiskAlerted").order_by(OUTBOX.c.id)
        bodies = connection.execute(query).scalars()
        return [body.split('"code":"')[1].split('"')[0] for body in bodies]

    return await executor.ledger.database.read(work)


async def refusal(executor: OrderExecutor, signal_id: str) -> str | None:
    query = select(SIGNALS.c.refusal_code).where(SIGNALS.c.signal_id == signal_id)
    return await executor.ledger.database.read(lambda it: it.execute(query).scalar_one())


async def state_of(executor: OrderExecutor, order_id: str = ENTRY) -> OrderState:
    order = await executor.ledger.order(order_id)
    assert order is not None
    return order.state


async def age(executor: OrderExecutor, seconds: float) -> None:
    """Let the entry have been sent so long ago."""
    before = datetime.now(UTC) - timedelta(seconds=seconds)
    await executor.ledger.database.write(
        lambda it: it.execute(update(ORDERS).values(sent_at=before))
    )


@pytest.mark.parametrize("portion", ["0", "0.5"], ids=["accepted", "half filled"])
async def test_a_forgotten_order_is_not_sent_again_and_locks_its_symbol_alone(
    executor_of: ExecutorOf, signal_of: SignalOf, portion: str
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    broker.portion = Decimal(portion)
    await executor.on_signal("signal-1", signal_of())
    broker.forgotten.add(ENTRY)
    for _ in range(3):
        await executor.reconciliation.reconcile()
    assert broker.book.made == {ENTRY: 1}
    assert len(broker.book.submitted) == 1
    assert (await alerts(executor)).count("ORDER_FORGOTTEN") == 1
    await executor.protection.value()
    assert metrics.ORDERS_CONTRADICTED._value.get() == 1

    assert executor.gate.is_open
    await executor.on_signal("signal-2", signal_of(minute=1))
    await executor.on_signal("signal-3", signal_of(side="SELL", minute=2))
    await executor.on_signal("signal-4", signal_of("MSFT.US", minute=3))
    assert await refusal(executor, "signal-2") == "SYMBOL_LOCKED"
    assert await refusal(executor, "signal-3") == "SYMBOL_LOCKED"
    assert await refusal(executor, "signal-4") is None
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_a_lock_ends_when_the_broker_knows_the_order_again(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    await executor.on_signal("signal-1", signal_of())
    broker.forgotten.add(ENTRY)
    await executor.reconciliation.reconcile()
    assert [each.order.client_order_id for each in await executor.contradictions.unresolved()] == [
        ENTRY
    ]
    broker.forgotten.clear()
    broker.fill(ENTRY)
    await executor.reconciliation.reconcile()
    assert await executor.contradictions.unresolved() == []
    assert await state_of(executor) is OrderState.FILLED
    assert "ORDER_KNOWN_AGAIN" in await alerts(executor)
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_an_order_known_to_be_forgotten_is_no_finding_of_the_audit(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    await executor.on_signal("signal-1", signal_of())
    broker.fill(ENTRY, 10)
    await executor.reconciliation.reconcile()
    without = Records([])
    assert await verify(executor.ledger, without) != []

    broker.forgotten.add(ENTRY)
    await executor.reconciliation.reconcile()
    assert await verify(executor.ledger, without) == []
    await executor.contradictions.resolve(ENTRY, "not in the broker's list")
    assert await verify(executor.ledger, without) == []


async def test_a_person_ends_a_forgotten_order_and_a_late_trade_of_it_is_still_booked(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    await executor.on_signal("signal-1", signal_of())
    assert (
        await executor.contradictions.resolve(ENTRY, "a slip") is None
    )  # nothing is wrong with it
    broker.forgotten.add(ENTRY)
    await executor.reconciliation.reconcile()
    order = await executor.contradictions.resolve(ENTRY, "not in the broker's list")
    assert order is not None
    portfolio = await executor.ledger.portfolio()
    assert portfolio.free_cash == Decimal(1_000_000)
    assert portfolio.live_orders == {}
    assert await verify(executor.ledger) == []

    broker.fill(ENTRY, 10)
    await executor.reconciliation.reconcile()
    assert (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity == 10
    assert await state_of(executor) is OrderState.CANCELED
    assert await verify(executor.ledger) == []


async def test_trades_of_a_forgotten_order_are_booked_and_the_desk_goes_on(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    await executor.on_signal("signal-1", signal_of())
    broker.fill(ENTRY, 10)
    broker.forgotten.add(ENTRY)
    await executor.reconciliation.reconcile(untouched_seconds=60)  # by its trades alone
    assert (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity == 10
    assert await state_of(executor) is OrderState.PARTIALLY_FILLED
    assert executor.gate.is_open
    assert (await alerts(executor)).count("ORDER_FORGOTTEN") == 1


async def lose(executor: OrderExecutor, broker: RestingBroker, signal: SignalGenerated) -> None:
    """Send an order whose answer is lost before the broker had it, with nothing to ask then."""
    await executor.reconciliation.reconcile()
    broker.before = LOST

    async def cut(_: str) -> None:
        raise CUT

    query, broker.query = broker.query, cut  # type: ignore[assignment, method-assign]
    await executor.on_signal("signal-1", signal)
    broker.query = query  # type: ignore[method-assign]
    assert await state_of(executor) is OrderState.UNKNOWN


async def test_an_order_of_unknown_outcome_is_sent_again_while_that_is_idempotent(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker(idempotency_seconds=LONGBRIDGE_SECONDS))
    await lose(executor, broker, signal_of())
    await age(executor, LONGBRIDGE_SECONDS - MARGIN - 20)
    await executor.reconciliation.reconcile()
    assert broker.book.made == {ENTRY: 1}
    assert await state_of(executor) is OrderState.ACCEPTED


async def test_an_order_of_unknown_outcome_goes_to_a_person_when_it_is_too_late_to_send_it(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker(idempotency_seconds=LONGBRIDGE_SECONDS))
    await lose(executor, broker, signal_of())
    await age(executor, LONGBRIDGE_SECONDS)
    for _ in range(2):
        await executor.reconciliation.reconcile()
    assert broker.book.submitted == []
    assert executor.gate.is_open
    assert (await alerts(executor)).count("ORDER_UNPROVEN") == 1
    assert [each.code for each in await executor.contradictions.unresolved()] == [
        Contradiction.ORDER_UNPROVEN
    ]


async def test_no_age_is_trusted_while_the_clock_is_off_the_brokers(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker(idempotency_seconds=LONGBRIDGE_SECONDS))
    await lose(executor, broker, signal_of())
    broker.now = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(ClockOffError, match="-3600 s off the broker's"):
        await executor.reconciliation.reconcile()
    assert issubclass(ClockOffError, RESOLVED_BY_WAITING)
    assert broker.book.submitted == []
    assert not executor.gate.is_open


async def test_a_contradicted_order_is_listed_and_resolved_from_the_command_line(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    databases_of: DatabasesOf,
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    await executor.on_signal("signal-1", signal_of())
    wrong = await command(databases_of, "resolve", ENTRY)
    assert wrong.returncode == 1
    assert "is not contradicted" in wrong.stderr
    broker.forgotten.add(ENTRY)
    await executor.reconciliation.reconcile()
    [line] = report_of(await command(databases_of, "inspect"))["contradictions"]
    assert line.startswith(f"ORDER_FORGOTTEN {ENTRY} AAPL.US since ")
    done = report_of(await command(databases_of, "resolve", ENTRY, "--reason", "dead there"))
    assert done == {"kind": "report", "order": ENTRY, "symbol": "AAPL.US", "state": "CANCELED"}
    assert (await executor.ledger.portfolio()).live_orders == {}
    assert report_of(await command(databases_of, "inspect"))["contradictions"] == []
