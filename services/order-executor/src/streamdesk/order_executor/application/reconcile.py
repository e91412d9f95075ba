"""Brings ledger and broker into agreement: at start, after an unknown outcome, and regularly.

Several executors may do it at once, for the same orders: asking changes nothing, sending is
idempotent on the client order id, and booking on the trade id.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.external_trades import ExternalTrades
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.heed_halt_file import LeftHalts
from streamdesk.order_executor.application.order_spans import order_span_again
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    TradingStoppedError,
)
from streamdesk.runtime import logger, metrics
from streamdesk.trading.identity import is_ours
from streamdesk.trading.orders import Trade

log = logger(__name__)
MOST_ASKED_FOR_FEES = 20
"""Orders of a round that only a fee is missing of: what a broker takes beside everything else."""


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
        external: where trades go that no desk ordered.
        left_halts: heeded before trading opens.
    """

    def __init__(
        self,
        ledger: Ledger,
        execution: OrderExecution,
        gate: TradingGate,
        external: ExternalTrades,
        left_halts: LeftHalts,
    ) -> None:
        self._left_halts = left_halts
        self._ledger = ledger
        self._execution = execution
        self._gate = gate
        self._external = external
        self._fees_asked = ""

    async def reconcile(self, untouched_seconds: float = 0.0) -> Reconciled:
        """Once, and open the gate.

        Args:
            untouched_seconds: leave orders alone that changed since; 0 takes all.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError, ClockOffError, DatabaseError: not
                finished; the gate is as it was.
            BrokerContradictionError: a person must look; the gate is closed.
        """
        closed_before = self._gate.times_closed
        if not self._gate.is_reconciled:
            # What is decided must be written: trading does not open on a full disk.
            await self._ledger.prove_writable()
        await self._left_halts.heed()
        try:
            await self._execution.check_clock()
            orders = await self._ledger.unfinished(untouched_seconds)
            for order in orders:
                # What the kill switch holds back stays as it is, and keeps its reservations.
                with order_span_again("reconcile", order), suppress(TradingStoppedError):
                    report = await self._execution.find_or_submit(order)
                    if report is not None:
                        await self._execution.book(report)
            trades = await self._missed_trades()
            await self._late_fees()
        except BrokerContradictionError as error:
            self._gate.close(str(error))
            raise
        metrics.ORDERS_RECONCILED.inc(len(orders))
        metrics.EXTERNAL_TRADES_OPEN.set(await self._external.open_count())
        self._gate.open(closed_before)
        return Reconciled(len(orders), trades)

    async def _missed_trades(self) -> int:
        """Book trades that no report has brought: silence does not prove that there are none."""
        cursor, missed = await self._ledger.broker_cursor(), 0
        while (page := await self._execution.trades(cursor)).trades:
            unbooked = await self._ledger.unbooked([trade.trade_id for trade in page.trades])
            missing = [trade for trade in page.trades if trade.trade_id in unbooked]
            for owner, trades in _by_order(missing).items():
                missed += await self._catch_up(owner, trades)
            # Noted page by page: after a crash the pages before are not read again.
            await self._ledger.read_up_to(page.cursor, after=cursor)
            cursor = page.cursor
        return missed

    async def _late_fees(self) -> None:
        """Ask for fees that the broker names after its trades: some orders in each round."""
        found = await self._ledger.orders_without_fees(self._fees_asked, MOST_ASKED_FOR_FEES)
        for client_order_id in found:
            report = await self._execution.query(client_order_id)
            if report is not None:
                await self._execution.book(report)
        # From the beginning again, once all were asked for.
        self._fees_asked = found[-1] if len(found) == MOST_ASKED_FOR_FEES else ""

    async def _catch_up(self, client_order_id: str, trades: tuple[Trade, ...]) -> int:
        is_known = await self._ledger.order(client_order_id) is not None
        # An order of another desk means that ledger and broker do not belong together.
        if is_known or is_ours(client_order_id):
            return len((await self._execution.catch_up(client_order_id, trades)).new_trades)
        if new := await self._external.record(trades):
            log.warning("trades that no desk ordered", order=client_order_id, trades=new)
        return 0


def _by_order(trades: Sequence[Trade]) -> dict[str, tuple[Trade, ...]]:
    """Trades by the order that they belong to."""
    found: dict[str, tuple[Trade, ...]] = {}
    for trade in trades:
        found[trade.client_order_id] = (*found.get(trade.client_order_id, ()), trade)
    return found
