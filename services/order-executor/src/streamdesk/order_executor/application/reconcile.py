"""Ledger and broker brought together: at start, when an outcome is unknown, and now and then.

Several executors may do it at once, for the same orders: asking changes nothing, sending is
idempotent on the client order id, and booking on the trade id.
"""

import asyncio
from dataclasses import dataclass

from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.application.execute_order import Execution
from streamdesk.order_executor.application.order_spans import order_span_again
from streamdesk.order_executor.application.trading_gate import Gate
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    BrokerUnavailableError,
    DatabaseError,
    OutcomeUnknownError,
)
from streamdesk.runtime import Drain, logger, metrics

log = logger("order-executor")
FIRST_RETRY_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation did.

    Attributes:
        orders: unfinished orders that were asked for.
        trades: trades booked that nobody had reported before.
    """

    orders: int
    trades: int


class Reconciliation:
    """Finishes what was begun, and books trades that were never reported.

    Args:
        ledger: our books.
        execution: how the broker is asked.
        gate: opened after each success.
        interval_seconds: between two of them, and how long an order is left to the executor that
            made it.
    """

    def __init__(
        self, ledger: Ledger, execution: Execution, gate: Gate, interval_seconds: float
    ) -> None:
        self._ledger = ledger
        self._execution = execution
        self._gate = gate
        self._interval_seconds = interval_seconds

    async def reconcile(self, untouched_seconds: float = 0.0) -> Reconciled:
        """Once, and open the gate.

        Args:
            untouched_seconds: leave orders alone that changed since; 0 takes all.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: not finished; the gate is as it was.
            BrokerContradictionError: a person must look; the gate is closed.
        """
        as_of = self._gate.times_closed
        try:
            orders = await self._ledger.unfinished(untouched_seconds)
            for order in orders:
                with order_span_again("reconcile", order):
                    await self._execution.book(await self._execution.find_or_submit(order))
            trades = await self._missed_trades()
        except BrokerContradictionError as error:
            self._gate.close(str(error))
            raise
        metrics.ORDERS_RECONCILED.inc(len(orders))
        self._gate.open(as_of)
        return Reconciled(len(orders), trades)

    async def _missed_trades(self) -> int:
        """Book trades that no report has brought: silence does not prove that there are none."""
        sequence, missed = await self._ledger.broker_sequence(), 0
        while (page := await self._execution.trades_since(sequence)).trades:
            unbooked = await self._ledger.unbooked([trade.trade_id for trade in page.trades])
            owners = {t.client_order_id: None for t in page.trades if t.trade_id in unbooked}
            for owner in owners:
                missed += len((await self._execution.catch_up(owner)).new_trades)
            sequence = page.sequence
            await self._ledger.read_up_to(sequence)
        return missed

    async def run(self, drain: Drain) -> None:
        """At once, then every interval, and right after the gate was closed."""
        failures = 0
        while not drain.requested.is_set():
            try:
                untouched = self._interval_seconds if self._gate.is_open else 0.0
                done = await self.reconcile(untouched)
                if done.orders or done.trades:
                    log.info("reconciled", orders=done.orders, trades=done.trades)
                failures = 0
            except (BrokerUnavailableError, OutcomeUnknownError, DatabaseError) as error:
                failures += 1
                if failures == 1:
                    log.warning("reconciliation failed", error=str(error))
                self._gate.close(f"reconciliation failed: {error}")
            except BrokerContradictionError:
                failures += 1
                if failures == 1:
                    log.exception("broker contradicts the ledger")
            await self._pause(drain, failures)

    async def _pause(self, drain: Drain, failures: int) -> None:
        if failures:
            backoff = FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10)
            await drain.sleep(min(self._interval_seconds, backoff))
            return
        waits = {
            asyncio.create_task(drain.requested.wait()),
            asyncio.create_task(self._gate.closed.wait()),
        }
        try:
            await asyncio.wait(
                waits, timeout=self._interval_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
