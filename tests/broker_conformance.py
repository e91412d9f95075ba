"""What every broker must do, whatever it is: subclass `BrokerConformance` and give it a `venue`.

A venue is a broker and the ways to let things go wrong at it, as a test of that broker can.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

import pytest

from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.order_executor.adapters.broker import Broker
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.errors import BrokerUnavailableError, OutcomeUnknownError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.decisions import request_from
from streamdesk.trading.identity import order_id_of_signal
from streamdesk.trading.orders import BrokerReport, Intent, Order, OrderState, Trade

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
ENTRY = order_id_of_signal("signal-1")


class Venue(Protocol):
    """A broker under test."""

    @property
    def broker(self) -> Broker:
        """The broker."""

    def rest(self, portion: Decimal) -> None:
        """Fill this part of each order to come, and let the rest work."""

    async def fill(self, client_order_id: str) -> None:
        """Fill all that is left of an order."""

    def lose_answer(self) -> None:
        """Let the next submit be carried out, and its answer be lost."""

    def cut(self) -> None:
        """Let the next submit not reach the broker."""

    async def forget(self, client_order_id: str) -> None:
        """Let the broker not know this order any more."""

    async def reports(self) -> list[BrokerReport]:
        """Everything that the broker has, for an audit."""

    async def made(self, client_order_id: str) -> int:
        """How many orders of this id the broker ever made."""


async def all_trades(broker: Broker) -> list[Trade]:
    """Every trade, page by page."""
    found: list[Trade] = []
    cursor = ""
    while (page := await broker.trades(cursor)).trades:
        found += page.trades
        cursor = page.cursor
    return found


class Records:
    """Reports as the records of a broker that an audit reads."""

    def __init__(self, reports: Sequence[BrokerReport]) -> None:
        self._reports = reports

    async def order_ids_after(self, position: int) -> tuple[list[str], int]:
        ids = [report.client_order_id for report in self._reports[position:]]
        return ids, len(self._reports)

    async def reports_of(self, client_order_ids: Sequence[str]) -> list[BrokerReport]:
        return [each for each in self._reports if each.client_order_id in set(client_order_ids)]


class BrokerConformance:
    """The rules at the head of `adapters/broker.py`, and what the desk makes of the broker."""

    @pytest.fixture
    async def executor(self, executor_of: ExecutorOf, venue: Venue) -> OrderExecutor:
        """An executor that trades at the venue."""
        executor = await executor_of()
        executor.execution._broker = venue.broker
        return executor

    @pytest.fixture
    async def intent(self, executor: OrderExecutor, signal_of: SignalOf) -> Intent:
        """A buy that is committed and not sent."""
        decision = await executor.ledger.decide(request_from("signal-1", signal_of(), wall_clock()))
        assert decision.order is not None
        return decision.order.intent

    async def assert_books_agree(self, executor: OrderExecutor, venue: Venue) -> None:
        await executor.reconciliation.reconcile()
        portfolio = await executor.ledger.portfolio()
        held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
        assert held == await venue.broker.positions()
        assert portfolio.cash == (await venue.broker.balances())["USD"]
        assert await verify(executor.ledger, Records(await venue.reports())) == []

    async def test_an_order_that_was_never_sent_is_not_known(
        self, venue: Venue, intent: Intent
    ) -> None:
        assert await venue.broker.query(intent.client_order_id) is None
        assert await venue.broker.cancel(intent.client_order_id) is None
        assert await venue.broker.replace(intent.client_order_id, intent.limit_price) is None
        assert await venue.broker.open_orders() == ()
        assert await all_trades(venue.broker) == []

    async def test_the_same_id_submitted_twice_is_one_order(
        self, venue: Venue, intent: Intent, executor: OrderExecutor
    ) -> None:
        first = await venue.broker.submit(intent)
        second = await venue.broker.submit(intent)
        assert first.broker_order_id == second.broker_order_id
        assert await venue.made(ENTRY) == 1
        await self.assert_books_agree(executor, venue)

    async def test_an_order_accepted_before_the_answer_was_lost_is_found_and_not_sent_again(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.lose_answer()
        await executor.on_signal("signal-1", signal_of())
        assert await venue.made(ENTRY) == 1
        await self.assert_books_agree(executor, venue)

    async def test_a_lost_answer_is_an_unknown_outcome(self, venue: Venue, intent: Intent) -> None:
        venue.lose_answer()
        with pytest.raises(OutcomeUnknownError):
            await venue.broker.submit(intent)
        assert await venue.broker.query(intent.client_order_id) is not None

    async def test_a_cut_connection_leaves_no_order_and_the_order_is_sent_later(
        self, venue: Venue, executor: OrderExecutor, intent: Intent
    ) -> None:
        venue.cut()
        with pytest.raises(BrokerUnavailableError):
            await venue.broker.submit(intent)
        assert await venue.broker.query(intent.client_order_id) is None
        await self.assert_books_agree(executor, venue)
        assert await venue.made(ENTRY) == 1

    async def test_a_fee_that_is_named_later_is_booked_when_it_is(
        self, venue: Venue, executor: OrderExecutor, intent: Intent
    ) -> None:
        report = await venue.broker.submit(intent)
        unnamed = tuple(replace(trade, fee=None) for trade in report.trades)
        await executor.execution.book(replace(report, trades=unnamed))
        early = await executor.ledger.portfolio()
        await self.assert_books_agree(executor, venue)
        fees = sum((trade.fee or Decimal(0) for trade in report.trades), Decimal(0))
        assert fees > 0
        assert (await executor.ledger.portfolio()).cash == early.cash - fees

    async def test_a_report_that_comes_twice_or_late_changes_nothing(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal("0.5"))
        await executor.on_signal("signal-1", signal_of())
        early = await venue.broker.query(ENTRY)
        await venue.fill(ENTRY)
        whole = await venue.broker.query(ENTRY)
        assert early is not None
        assert whole is not None
        for report in (whole, early, whole, early):
            await executor.execution.book(report)
        assert (await self._order(executor)).state is OrderState.FILLED
        await self.assert_books_agree(executor, venue)

    async def test_a_report_that_runs_ahead_of_its_trades_fills_nothing(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal("0.5"))
        await executor.on_signal("signal-1", signal_of())
        report = await venue.broker.query(ENTRY)
        assert report is not None
        await executor.execution.book(replace(report, state=OrderState.FILLED))
        assert (await self._order(executor)).state is OrderState.PARTIALLY_FILLED
        await venue.fill(ENTRY)
        await self.assert_books_agree(executor, venue)
        assert (await self._order(executor)).state is OrderState.FILLED

    async def test_a_trade_that_no_report_brought_is_in_the_trades(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal("0.5"))
        await executor.on_signal("signal-1", signal_of())
        await venue.fill(ENTRY)
        done = await executor.reconciliation.reconcile(untouched_seconds=60)
        assert done.trades > 0
        await self.assert_books_agree(executor, venue)

    async def test_a_partly_filled_order_works_until_it_is_canceled(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal("0.5"))
        await executor.on_signal("signal-1", signal_of())
        [working] = await venue.broker.open_orders()
        assert working.client_order_id == ENTRY
        assert (await self._order(executor)).state is OrderState.PARTIALLY_FILLED
        for _ in range(2):  # twice is once
            report = await venue.broker.cancel(ENTRY)
            assert report is not None
        await self.assert_books_agree(executor, venue)
        assert await venue.broker.open_orders() == ()
        assert (await self._order(executor)).state is OrderState.CANCELED

    async def test_a_trade_from_before_a_cancellation_may_be_reported_after_it(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal("0.5"))
        await executor.on_signal("signal-1", signal_of())
        before = (await self._order(executor)).filled_quantity
        report = await venue.broker.cancel(ENTRY)
        assert report is not None
        await executor.execution.book(report)
        await venue.fill(ENTRY)
        await executor.reconciliation.reconcile()
        order = await self._order(executor)
        assert order.state is OrderState.CANCELED
        assert order.filled_quantity > before
        held = (await executor.ledger.portfolio()).holdings["AAPL.US"].quantity
        assert await venue.broker.positions() == {"AAPL.US": held}
        assert await verify(executor.ledger) == []

    async def test_an_order_that_the_broker_forgot_is_not_made_again(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal("0.5"))
        await executor.on_signal("signal-1", signal_of())
        await venue.forget(ENTRY)
        for _ in range(2):
            await executor.reconciliation.reconcile()
        assert await venue.made(ENTRY) == 1
        assert len(await executor.contradictions.unresolved()) == 1
        assert executor.gate.is_open

    async def test_a_finished_order_can_neither_be_canceled_nor_replaced(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal(1))
        await executor.on_signal("signal-1", signal_of())
        filled = await venue.broker.query(ENTRY)
        assert filled is not None
        assert filled.state is OrderState.FILLED
        assert await venue.broker.cancel(ENTRY) == filled
        assert await venue.broker.replace(ENTRY, Decimal(1)) == filled
        assert await venue.broker.query(ENTRY) == filled
        await self.assert_books_agree(executor, venue)

    async def test_positions_and_balances_follow_from_the_trades(
        self, venue: Venue, executor: OrderExecutor, signal_of: SignalOf
    ) -> None:
        venue.rest(Decimal(1))
        before = (await venue.broker.balances()).get("USD", Decimal(0))
        await executor.on_signal("signal-1", signal_of())
        trades = await all_trades(venue.broker)
        spent = sum((t.quantity * t.price + (t.fee or 0) for t in trades), Decimal(0))
        order = await self._order(executor)
        assert order.intent.side is Side.BUY
        assert await venue.broker.positions() == {"AAPL.US": order.intent.quantity}
        assert (await venue.broker.balances())["USD"] == before - spent

    async def test_its_clock_is_aware(self, venue: Venue) -> None:
        assert (await venue.broker.server_time()).tzinfo is not None

    async def _order(self, executor: OrderExecutor) -> Order:
        order = await executor.ledger.order(ENTRY)
        assert order is not None
        return order
