"""From a committed intent to booked trades: asking the broker, and never twice."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from opentelemetry.trace import SpanKind

from streamdesk.order_executor.adapters.broker import Broker, TradePage
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.booking import Applied
from streamdesk.order_executor.adapters.ledger.contradictions import Contradictions
from streamdesk.order_executor.application.order_spans import (
    CLIENT_ORDER_ID,
    FILLS,
    STATE,
    order_span,
    order_span_again,
)
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.domain import (
    MAX_CLOCK_OFFSET_SECONDS,
    Contradiction,
    reason_not_to_send_again,
)
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    BrokerUnavailableError,
    ClockOffError,
    OutcomeUnknownError,
    TradingStoppedError,
)
from streamdesk.runtime import logger, metrics, span
from streamdesk.trading.identity import entry_of_leg, stop_leg_of, target_leg_of
from streamdesk.trading.orders import BrokerReport, Order, OrderState, Origin, Trade
from streamdesk.trading.portfolio import Holding

log = logger(__name__)
T = TypeVar("T")


class OrderExecution:
    """Carries out intents that the ledger has committed.

    Args:
        ledger: the account's books.
        broker: executes the orders.
        gate: closed when the broker cannot be asked, or contradicts the ledger as a whole.
        timeout_seconds: after which an answer of the broker counts as lost.
        booked: called when the ledger has changed.
        contradictions: where an order goes that the broker contradicts.
        clock: gives the time by which an order's age is measured.
    """

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        gate: TradingGate,
        timeout_seconds: float,
        booked: Callable[[], None],
        *,
        contradictions: Contradictions,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._booked = booked
        self._contradictions = contradictions
        self._clock = clock

    async def carry_out(self, order: Order, *, is_new: bool) -> Order:
        """Send an intent, or find out what became of it, and book the outcome.

        When the outcome stays unknown the gate closes and the reconciliation finishes the order:
        it is in the ledger, so nothing is lost by returning.

        Args:
            order: committed, not done.
            is_new: committed by this very process just now; otherwise it may have been sent, and
                the broker is asked for it before anything is sent.
        """
        if is_new and (kept := await self._ledger.withdraw(order)) is not None:
            log.warning("order not sent", client_order_id=order.client_order_id, why=kept.reason)
            self._booked()
            return kept
        try:
            report = await (self._submit(order) if is_new else self.find_or_submit(order))
        except TradingStoppedError:
            return order  # after `resume` the reconciliation sends it
        except OutcomeUnknownError as error:
            # The broker may have the order: only its answer to a query can tell.
            report = await self._resolve(order, error)
        except BrokerUnavailableError as error:
            # Nothing was sent, but the next signal would fail likewise: keep it in the queue.
            self._gate.close(f"the broker cannot be reached: {error}")
            return order
        if report is None:
            return order
        try:
            return (await self.book(report)).order
        except BrokerContradictionError as error:
            # Raising would make the bus deliver the signal again, which resolves nothing.
            self._gate.close(str(error))
            log.exception("broker contradicts the ledger", client_order_id=order.client_order_id)
            return order

    async def _resolve(self, order: Order, error: OutcomeUnknownError) -> BrokerReport | None:
        metrics.ORDER_OUTCOMES_UNKNOWN.inc()
        log.warning(
            "order outcome unknown", client_order_id=order.client_order_id, error=str(error)
        )
        await self._ledger.outcome_unknown(order.client_order_id, str(error))
        try:
            return await self.find_or_submit(order)
        except TradingStoppedError:
            return None
        except (OutcomeUnknownError, BrokerUnavailableError) as again:
            self._gate.close(f"outcome of order {order.client_order_id} is unknown: {again}")
            return None

    async def find_or_submit(self, order: Order) -> BrokerReport | None:
        """Ask for the order first; send it, with the same id, only while that is safe.

        Of an order that is to be canceled the broker is asked to cancel it, until it has.

        Returns:
            None when the broker does not have it and it must not be sent: it is contradicted.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: nothing is known better than before.
            TradingStoppedError: the broker does not have it, and the kill switch forbids to send
                it. It stays as it is: only its own process can be sure that nobody sent it.
        """
        is_to_end = order.state is OrderState.PENDING_CANCEL
        ask = self._broker.cancel if is_to_end else self._broker.query
        name = "cancel order" if is_to_end else "query order"
        with order_span(name, order, kind=SpanKind.CLIENT) as step:
            report = await self._within(ask(order.client_order_id))
            step.set_attribute(STATE, "unknown" if report is None else report.state)
        return await self._send_again(order) if report is None else report

    async def _send_again(self, order: Order) -> BrokerReport | None:
        # Another executor may have learned more of it while the broker was asked.
        current = await self._ledger.order(order.client_order_id) or order
        if current.state.is_done:
            return None
        if current.state is not order.state:
            # The answer may be older than what the other one learned: only a new one counts.
            report = await self._within(self._broker.query(current.client_order_id))
            if report is not None:
                return report
        if await self._is_contradicted(current):
            return None
        if not await self._ledger.begin_sending(current.client_order_id):
            return None
        # The ledger may have kept us waiting: the order is older than it was.
        if await self._is_contradicted(current):
            return None
        return await self._submit(current)

    async def _is_contradicted(self, order: Order) -> bool:
        idempotency_seconds = self._broker.capabilities.idempotency_seconds
        against = reason_not_to_send_again(order, self._clock(), idempotency_seconds)
        if against is not None:
            await self._contradict(order, against)
        return against is not None

    async def _contradict(self, order: Order, found: Contradiction) -> None:
        if await self._contradictions.note(order.client_order_id, found):
            log.error(
                "broker contradicts the ledger about an order",
                client_order_id=order.client_order_id,
                symbol=order.intent.symbol,
                code=found,
            )
            self._booked()

    async def check_clock(self) -> None:
        """Hold this machine's clock against the broker's, where an order's age decides anything.

        Raises:
            ClockOffError: it is too far off.
            BrokerUnavailableError, OutcomeUnknownError: nothing is known.
        """
        if self._broker.capabilities.idempotency_seconds is None:
            return
        theirs = await self._within(self._broker.server_time())
        offset_seconds = (self._clock() - theirs).total_seconds()
        if abs(offset_seconds) > MAX_CLOCK_OFFSET_SECONDS:
            raise ClockOffError(
                f"this machine's clock is {offset_seconds:+.0f} s off the broker's, at most "
                f"{MAX_CLOCK_OFFSET_SECONDS:g} s are allowed: synchronise it (chrony, ntpd)"
            )

    async def catch_up(self, client_order_id: str, trades: tuple[Trade, ...]) -> Applied:
        """Book what the broker has of an order that it reported trades of.

        Args:
            client_order_id: the order.
            trades: the trades that were reported; they are booked even if it forgot the order.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: nothing is known better than before.
            BrokerContradictionError: the ledger never made the order, or it cannot be booked.
        """
        report = await self._within(self._broker.query(client_order_id))
        order = await self._ledger.order(client_order_id)
        entry_id = entry_of_leg(client_order_id)
        if entry_id is not None and await self._ledger.order(entry_id) is not None:
            # What a leg sells its entry bought: those trades are booked first.
            entry = await self._within(self._broker.query(entry_id))
            if entry is not None:
                await self.book(entry)
        if order is None:
            return await self.book(report or _report_of(client_order_id, trades))  # raises
        with order_span_again("catch up", order):
            applied = await self.book(report or _report_of(client_order_id, trades))
            if report is None:
                await self._contradict(applied.order, Contradiction.ORDER_FORGOTTEN)
        return applied

    async def is_protected(self, holding: Holding, origin: Origin) -> bool:
        """Whether the broker itself leaves a position at its stop, or at its target.

        What the broker has done already is booked.

        Args:
            holding: the position.
            origin: which of the two is wanted.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: it is not known.
            BrokerContradictionError: what it has done cannot be booked.
        """
        if not self.holds_brackets:
            return False
        of_entry = stop_leg_of if origin is Origin.STOP_LOSS else target_leg_of
        report = await self._within(self._broker.query(of_entry(holding.entry_order_id)))
        if report is not None and report.trades and report.state.is_done:
            await self.catch_up(report.client_order_id, report.trades)
            return True
        if report is None or report.state.is_done:
            return False
        if origin is Origin.TAKE_PROFIT or report.price is None or holding.stop_loss is None:
            return True
        return report.price >= holding.stop_loss  # it may have risen since

    async def move_stop(self, holding: Holding) -> None:
        """Let the stop that the broker holds be that of the position, which may have moved.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: it is not known; the same call is safe.
        """
        if not self.holds_brackets or holding.stop_loss is None:
            return
        leg = stop_leg_of(holding.entry_order_id)
        report = await self._within(self._broker.query(leg))
        if report is None or report.state.is_done or report.price == holding.stop_loss:
            return
        await self._within(self._broker.replace(leg, holding.stop_loss))

    async def _submit(self, order: Order) -> BrokerReport:
        with order_span("submit order", order, kind=SpanKind.CLIENT) as step:
            report = await self._within(self._broker.submit(order.intent))
            step.set_attribute(STATE, report.state)
        return report

    @property
    def holds_brackets(self) -> bool:
        """Whether the broker keeps an entry's stop and target itself."""
        return self._broker.capabilities.holds_brackets

    async def trades(self, after: str) -> TradePage:
        """As the broker's, within the time-out."""
        return await self._within(self._broker.trades(after))

    async def query(self, client_order_id: str) -> BrokerReport | None:
        """As the broker's, within the time-out."""
        return await self._within(self._broker.query(client_order_id))

    async def balances(self) -> Mapping[str, Decimal]:
        """As the broker's, within the time-out."""
        return await self._within(self._broker.balances())

    async def _within(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await answer
        except TimeoutError as error:
            raise OutcomeUnknownError(
                f"no answer of the broker within {self._timeout_seconds:g} s"
            ) from error

    async def book_in_its_trace(self, report: BrokerReport) -> Applied:
        """As `book`, in the trace that the order was made in: a bar of the market filled it."""
        order = await self._ledger.order(report.client_order_id)
        if order is None:
            return await self.book(report)
        with order_span_again("fill order", order):
            return await self.book(report)

    async def book(self, report: BrokerReport) -> Applied:
        """Book a report; the same one again changes nothing.

        Raises:
            BrokerContradictionError: it cannot be true.
        """
        with span("book", attributes={CLIENT_ORDER_ID: report.client_order_id}) as step:
            applied = await self._ledger.apply(report)
            step.set_attribute(FILLS, len(applied.new_trades))
            step.set_attribute(STATE, applied.order.state)
        intent, filled = applied.order.intent, applied.order.filled_quantity
        if applied.new_trades:
            is_first = filled == sum(trade.quantity for trade in applied.new_trades)
            if is_first and entry_of_leg(intent.client_order_id) is not None:
                metrics.PROTECTIVE_EXITS.labels(intent.origin).inc()
            metrics.FILLS.labels(intent.market, intent.side).inc(len(applied.new_trades))
        self._booked()
        return applied


def _report_of(client_order_id: str, trades: tuple[Trade, ...]) -> BrokerReport:
    """What trades alone say about their order."""
    return BrokerReport(client_order_id, "", OrderState.ACCEPTED, trades)
