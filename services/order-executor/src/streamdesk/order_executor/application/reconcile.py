"""Brings ledger and broker into agreement: at start, after an unknown outcome, and regularly.

Several executors may do it at once, for the same orders: asking changes nothing, sending is
idempotent on the client order id, and booking on the trade id.
"""

from contextlib import suppress
from dataclasses import dataclass

from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.order_spans import order_span_again
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    TradingStoppedError,
)
from streamdesk.runtime import metrics


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation did.

    Attributes:
        orders: unfinished orders that were asked for.
        trades: trades booked that no report had brought before.
    """

    orders: int
    trades: int


class Reconciliation:
    """Finishes what was begun, and books trades that were never reported.

    Args:
        ledger: the account's books.
        execution: how the broker is asked.
        gate: opened after each success.
    """

    def __init__(self, ledger: Ledger, execution: OrderExecution, gate: TradingGate) -> None:
        self._ledger = ledger
        self._execution = execution
        self._gate = gate

    async def reconcile(self, untouched_seconds: float = 0.0) -> Reconciled:
        """Once, and open the gate.

        Args:
            untouched_seconds: leave orders alone that changed since; 0 takes all.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: not finished; the gate is as it was.
            BrokerContradictionError: a person must look; the gate is closed.
        """
        closed_before = self._gate.times_closed
        try:
            orders = await self._ledger.unfinished(untouched_seconds)
            for order in orders:
                # What the kill switch holds back stays as it is, and keeps its reservations.
                with suppress(TradingStoppedError), order_span_again("reconcile", order):
                    await self._execution.book(await self._execution.find_or_submit(order))
            trades = await self._missed_trades()
        except BrokerContradictionError as error:
            self._gate.close(str(error))
            raise
        metrics.ORDERS_RECONCILED.inc(len(orders))
        self._gate.open(closed_before)
        return Reconciled(len(orders), trades)

    async def _missed_trades(self) -> int:
        """Book trades that no report has brought: silence does not prove that there are none."""
        sequence, missed = await self._ledger.broker_sequence(), 0
        while (page := await self._execution.trades_since(sequence)).trades:
            unbooked = await self._ledger.unbooked([trade.trade_id for trade in page.trades])
            owners = {t.client_order_id: None for t in page.trades if t.trade_id in unbooked}
            for owner in owners:
                missed += len((await self._execution.catch_up(owner)).new_trades)
            # Noted page by page: after a crash the pages before are not read again.
            sequence = page.sequence
            await self._ledger.read_up_to(sequence)
        return missed
