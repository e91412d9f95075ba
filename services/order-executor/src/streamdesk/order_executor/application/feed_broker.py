"""Brings bars to a broker that has no market of its own, and books what they do there."""

import asyncio
from collections import deque
from typing import Protocol

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import BrokerContradictionError
from streamdesk.runtime import logger
from streamdesk.trading.identity import entry_of_leg
from streamdesk.trading.orders import BrokerReport

log = logger(__name__)


class BarMarket(Protocol):
    """A broker whose market are the bars that it is fed."""

    async def on_bar(self, bar: BarClosed) -> tuple[BrokerReport, ...]:
        """Let a bar fill orders, once.

        Returns:
            What orders are now that it changed, an entry before what closes it.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: the same call again is safe.
        """


class BrokerFeed:
    """Feeds the broker. Every executor brings every bar; the broker takes it once.

    Whoever brought it books what it did, before the bar counts as handled. If that executor dies in
    between, the others find the trades when they reconcile.

    Args:
        broker: takes the bars.
        execution: books its reports.
        gate: closed when a report cannot be true.
    """

    def __init__(self, broker: BarMarket, execution: OrderExecution, gate: TradingGate) -> None:
        self._broker = broker
        self._execution = execution
        self._gate = gate
        self._unbooked: deque[BrokerReport] = deque()
        self._turn = asyncio.Lock()  # one bar after another

    async def on_bar(self, bar: BarClosed) -> None:
        """Let the broker's orders meet a bar, and book the outcome.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError, DatabaseError: not done; the same call
                again is safe, and books what this one could not.
        """
        async with self._turn:
            await self._book()
            self._unbooked.extend(await self._broker.on_bar(bar))
            await self._book()

    async def _book(self) -> None:
        while self._unbooked:
            report = self._unbooked[0]
            # A leg without trades is the broker's alone.
            if report.trades or entry_of_leg(report.client_order_id) is None:
                try:
                    await self._execution.book_in_its_trace(report)
                except BrokerContradictionError as error:
                    self._gate.close(str(error))
                    log.exception("broker contradicts the ledger", order=report.client_order_id)
            self._unbooked.popleft()
