"""Takes a signal to its decision, and an order to its outcome."""

from collections.abc import Callable
from datetime import datetime

from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.order_spans import (
    DECISION,
    REFUSAL_CODE,
    SIGNAL_ID,
    SYMBOL,
)
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.application.working_orders import WorkingOrders
from streamdesk.order_executor.domain import SignalDecision
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.runtime import metrics, span
from streamdesk.trading.decisions import request_from
from streamdesk.trading.market_view import MarketView
from streamdesk.trading.risk import Code
from streamdesk.trading.sessions import SessionClock

POSTPONABLE = frozenset({Code.ORDER_IN_PROGRESS})
NOTHING: frozenset[Code] = frozenset()


class SignalExecution:
    """Takes a signal to its order or its refusal; both are recorded, once.

    Args:
        ledger: the account's books.
        execution: carries out the order.
        protection: has the newest prices of positions.
        view: the present of every market.
        sessions: hours of the exchanges; None: they do not matter.
        gate: while it is closed, signals wait.
        working: the order that may have the symbol of a sell.
        clock: gives the time from which a signal's age is measured.
        announce: called when there is something to publish.
    """

    def __init__(
        self,
        ledger: Ledger,
        execution: OrderExecution,
        protection: Protection,
        view: MarketView,
        sessions: SessionClock | None,
        gate: TradingGate,
        working: WorkingOrders,
        *,
        clock: Callable[[], datetime],
        announce: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._execution = execution
        self._protection = protection
        self._view = view
        self._sessions = sessions
        self._gate = gate
        self._working = working
        self._clock = clock
        self._announce = announce

    async def execute(
        self, signal_id: str, signal: SignalGenerated, *, may_postpone: bool
    ) -> SignalDecision:
        """Execute one signal; the same one again only finishes what is not done.

        Args:
            signal_id: event id of the signal.
            signal: the signal.
            may_postpone: whether it can be delivered again; at the last attempt a refusal is final.

        Returns:
            The decision. Unless it is postponed it is in the ledger: from there on the order is
            finished even if this process is not.
        """
        while True:
            await self._gate.wait_open()
            try:
                return await self._settle(signal_id, signal, may_postpone=may_postpone)
            except DatabaseError as error:
                # The signal is not at fault, so this does not count as one of its few attempts.
                # Once the ledger is back, it knows how far this one came.
                self._gate.close(f"the ledger is unavailable: {error}")
            finally:
                self._announce()

    async def _settle(
        self, signal_id: str, signal: SignalGenerated, *, may_postpone: bool
    ) -> SignalDecision:
        is_sell = signal.side is Side.SELL
        decision = await self._decide(signal_id, signal, POSTPONABLE if is_sell else NOTHING)
        if decision.is_postponed:
            # A sell must not be lost to a buy that is still being filled: what is left of that is
            # canceled, and until it is the sell waits.
            await self._working.make_way(signal.symbol)
            postpone = POSTPONABLE if may_postpone else NOTHING
            decision = await self._decide(signal_id, signal, postpone)
        if decision.order is not None and not decision.order.state.is_done:
            await self._execution.carry_out(decision.order, is_new=decision.is_new)
        return decision

    async def _decide(
        self, signal_id: str, signal: SignalGenerated, postpone: frozenset[Code]
    ) -> SignalDecision:
        closed = self._why_closed(signal)
        market = self._view.of(signal.symbol)
        request = request_from(signal_id, signal, self._clock(), market, closed)
        about = {SIGNAL_ID: signal_id, SYMBOL: signal.symbol}
        with span("decide", attributes=about) as step:
            decision = await self._ledger.decide(request, self._protection.take_marks(), postpone)
            outcome, code = _outcome_and_code(decision)
            step.set_attribute(DECISION, outcome)
            if code:
                step.set_attribute(REFUSAL_CODE, code)
        metrics.SIGNALS_DECIDED.labels(outcome, code).inc()
        return decision

    def _why_closed(self, signal: SignalGenerated) -> str | None:
        if self._sessions is None:
            return None
        market, place = self._view.of(signal.symbol), signal.symbol.rpartition(".")[2]
        length = None if market is None else market.interval_seconds
        return self._sessions.why_closed(place, signal.timestamp, length)


def _outcome_and_code(decision: SignalDecision) -> tuple[str, str]:
    """What was decided, in one word, and the code of a new refusal."""
    if decision.is_postponed:
        return "postponed", ""
    if not decision.is_new:
        return "repeated", ""
    if decision.refusal is not None:
        return "refused", decision.refusal.code
    return "ordered", ""
