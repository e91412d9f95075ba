"""From a committed intent to booked trades: asking the broker, and never twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from opentelemetry.trace import SpanKind

from streamdesk.order_executor.adapters.broker import Broker, TradePage
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.booking import Applied
from streamdesk.order_executor.application.order_spans import (
    CLIENT_ORDER_ID,
    FILLS,
    STATE,
    order_span,
    order_span_again,
)
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    BrokerUnavailableError,
    OutcomeUnknownError,
    TradingStoppedError,
)
from streamdesk.runtime import logger, metrics, span
from streamdesk.trading.orders import BrokerReport, Order

log = logger(__name__)
T = TypeVar("T")


class OrderExecution:
    """Carries out intents that the ledger has committed.

    Args:
        ledger: the account's books.
        broker: executes the orders.
        gate: closed when the broker cannot be asked, or contradicts the ledger.
        timeout_seconds: after which an answer of the broker counts as lost.
        booked: called when the ledger has changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        gate: TradingGate,
        timeout_seconds: float,
        booked: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._booked = booked

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
            found = await self._resolve(order, error)
            if found is None:
                return order
            report = found
        except BrokerUnavailableError as error:
            # Nothing was sent, but the next signal would fail likewise: keep it in the queue.
            self._gate.close(f"the broker cannot be reached: {error}")
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

    async def find_or_submit(self, order: Order) -> BrokerReport:
        """Ask for the order first; send it, with the same id, only if the broker never had it.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: nothing is known better than before.
            TradingStoppedError: the broker does not have it, and the kill switch forbids to send
                it. It stays as it is: only its own process can be sure that nobody sent it.
        """
        with order_span("query order", order, kind=SpanKind.CLIENT) as step:
            report = await self._within(self._broker.query(order.client_order_id))
            step.set_attribute(STATE, "unknown" if report is None else report.state)
        if report is not None:
            return report
        if not await self._ledger.begin_sending(order.client_order_id):
            raise TradingStoppedError(f"order {order.client_order_id} may not be sent at present")
        return await self._submit(order)

    async def catch_up(self, client_order_id: str) -> Applied:
        """Book what the broker has of an order that it certainly knows.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: nothing is known better than before.
            BrokerContradictionError: it reports trades of an order that it, or we, never had.
        """
        report = await self._within(self._broker.query(client_order_id))
        if report is None:
            raise BrokerContradictionError(
                f"the broker reports trades of order {client_order_id} and does not know the order"
            )
        order = await self._ledger.order(client_order_id)
        if order is None:
            return await self.book(report)  # raises: the ledger has no such order
        with order_span_again("catch up", order):
            return await self.book(report)

    async def _submit(self, order: Order) -> BrokerReport:
        with order_span("submit order", order, kind=SpanKind.CLIENT) as step:
            report = await self._within(self._broker.submit(order.intent))
            step.set_attribute(STATE, report.state)
        return report

    async def trades_since(self, sequence: int) -> TradePage:
        """As the broker's, within the time-out."""
        return await self._within(self._broker.trades_since(sequence))

    async def _within(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await answer
        except TimeoutError as error:
            raise OutcomeUnknownError(
                f"no answer of the broker within {self._timeout_seconds:g} s"
            ) from error

    async def book(self, report: BrokerReport) -> Applied:
        """Book a report; the same one again changes nothing.

        Raises:
            BrokerContradictionError: it cannot be true.
        """
        with span("book", attributes={CLIENT_ORDER_ID: report.client_order_id}) as step:
            applied = await self._ledger.apply(report)
            step.set_attribute(FILLS, len(applied.new_trades))
            step.set_attribute(STATE, applied.order.state)
        intent = applied.order.intent
        if applied.new_trades:
            metrics.FILLS.labels(intent.market, intent.side).inc(len(applied.new_trades))
        self._booked()
        return applied
