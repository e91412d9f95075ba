"""A signal in, a decision and its consequences out."""

from collections.abc import Callable
from datetime import datetime

from streamdesk.bus import Ack, Message, Outcome, Retry, RetryAfter
from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.order_executor.adapters.ledger import Decision, Ledger
from streamdesk.order_executor.application.execute_order import Execution
from streamdesk.order_executor.application.order_spans import (
    DECISION,
    REFUSAL_CODE,
    SIGNAL_ID,
    SYMBOL,
)
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.application.trading_gate import Gate
from streamdesk.order_executor.errors import DatabaseBusyError, DatabaseError
from streamdesk.runtime import logger, metrics, span
from streamdesk.trading.decisions import request_from
from streamdesk.trading.risk import Code

log = logger("order-executor")
AGAIN_SECONDS = 1.0
LATER = frozenset({Code.ORDER_IN_PROGRESS})
NEVER_LATER: frozenset[Code] = frozenset()


class SignalHandler:
    """Takes a signal to its order or its refusal; both are recorded, once.

    Args:
        ledger: our books.
        execution: carries out the order.
        protection: knows the newest prices.
        gate: while it is closed, signals wait.
        max_retries: after so many the bus gives a message up.
        clock: tells a signal's age.
        announce: called when there is something to publish.
    """

    def __init__(
        self,
        ledger: Ledger,
        execution: Execution,
        protection: Protection,
        gate: Gate,
        *,
        max_retries: int,
        clock: Callable[[], datetime],
        announce: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._execution = execution
        self._protection = protection
        self._gate = gate
        self._max_retries = max_retries
        self._clock = clock
        self._announce = announce

    async def __call__(self, message: Message[SignalGenerated]) -> Outcome:
        """Handle one signal; the same one again only finishes what is not done.

        Returns:
            Ack once it is decided and in the ledger: from there on the order is finished even if
            this process is not. Retry for a sale that must wait for the symbol's order under way.

        Raises:
            RetryAfter: the ledger is busy.
        """
        while True:
            await self._gate.wait_open()
            try:
                return await self._settle(message)
            except DatabaseBusyError as error:
                raise RetryAfter(AGAIN_SECONDS, str(error)) from error
            except DatabaseError as error:
                # No fault of the signal, so no attempt of its few. Once the ledger is back, it
                # knows how far this one came.
                self._gate.close(f"the ledger is not to be had: {error}")
            finally:
                self._announce()

    async def _settle(self, message: Message[SignalGenerated]) -> Outcome:
        decision = await self._decide(message)
        if decision.is_postponed and decision.refusal is not None:
            return Retry(AGAIN_SECONDS, decision.refusal.reason)
        if decision.order is not None and not decision.order.state.is_done:
            await self._execution.carry_out(decision.order, is_new=decision.is_new)
        return Ack()

    async def _decide(self, message: Message[SignalGenerated]) -> Decision:
        signal = message.event
        request = request_from(message.id, signal, self._clock())
        # A sale must not be lost to a purchase that is just being filled; at the last attempt the
        # refusal is recorded.
        may_wait = signal.side is Side.SELL and message.attempt <= self._max_retries
        about = {SIGNAL_ID: message.id, SYMBOL: signal.symbol}
        with span("decide", attributes=about) as step:
            decision = await self._ledger.decide(
                request, self._protection.take_marks(), LATER if may_wait else NEVER_LATER
            )
            word, code = _in_a_word(decision)
            step.note(DECISION, word)
            if code:
                step.note(REFUSAL_CODE, code)
        metrics.SIGNALS_DECIDED.labels(word, code).inc()
        return decision


def _in_a_word(decision: Decision) -> tuple[str, str]:
    """What was decided, and the code of a new refusal."""
    if decision.is_postponed:
        return "postponed", ""
    if not decision.is_new:
        return "repeated", ""
    if decision.refusal is not None:
        return "refused", decision.refusal.code
    return "ordered", ""
