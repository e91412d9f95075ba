"""Signals and bars from the bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from streamdesk.bus import Ack, Bus, Message, Outcome, Retry
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import TRADING_SIGNALS
from streamdesk.order_executor.application.execute_signal import SignalExecution
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import (
    BrokerUnavailableError,
    DatabaseError,
    OutcomeUnknownError,
)
from streamdesk.runtime import Drain

GROUP = TRADING_SIGNALS.groups[0]
AGAIN_SECONDS = 1.0
GATE_SECONDS = 0.02
"""How often a starting executor looks whether its books are reconciled and the market is known."""

BARS_GATE_SECONDS = 0.05
LEDGER_RETRY_SECONDS = 0.5
"""How often a bar is tried again while the ledger is unavailable."""

OnBar = Callable[[BarClosed, str], Awaitable[None]]
"""Acts on a bar; the text is its publisher's traceparent."""


class SignalHandler:
    """Answers the bus for each signal.

    Args:
        execution: takes the signal to its order or its refusal.
        max_retries: after so many the bus gives a message up.
    """

    def __init__(self, execution: SignalExecution, max_retries: int) -> None:
        self._execution = execution
        self._max_retries = max_retries

    async def __call__(self, message: Message[SignalGenerated]) -> Outcome:
        """Handle one signal.

        Returns:
            Ack once it is decided and in the ledger. Retry for a sell that must wait for the
            symbol's order in progress.
        """
        decision = await self._execution.execute(
            message.id, message.event, may_postpone=message.attempt <= self._max_retries
        )
        if decision.is_postponed and decision.refusal is not None:
            return Retry(AGAIN_SECONDS, decision.refusal.reason)
        return Ack()


async def consume_signals(
    bus: Bus,
    topic: Topic[SignalGenerated],
    handler: Callable[[Message[SignalGenerated]], Awaitable[Outcome]],
    gate: TradingGate,
    warm: asyncio.Event,
    workers: int,
    drain: Drain,
) -> None:
    """Handle signals, once trading is open for the first time, until the drain.

    Args:
        bus: where they come from.
        topic: the signals under the configured key.
        handler: handles each.
        gate: opens when the books are reconciled.
        warm: set when the market's present is known.
        workers: signals handled concurrently.
        drain: ends it.
    """
    # What is taken before would only wait here, and count as delivered if this process died.
    while not (gate.is_open and warm.is_set()):
        if await drain.sleep(GATE_SECONDS):
            return
    subscription = bus.subscribe(topic, GROUP, handler, batch=workers, concurrency=workers)
    await subscription.run(drain.requested)


async def follow_bars(
    bars: AsyncIterator[Message[Any]],
    act: OnBar,
    gate: TradingGate,
    handled: Callable[[Message[BarClosed]], None],
    drain: Drain,
) -> None:
    """Act on every bar of the market, once the books are reconciled.

    Args:
        bars: in the order of the bus, until the drain.
        act: acts on each.
        gate: opens when the books are reconciled.
        handled: called with each bar that was acted upon.
        drain: ends it.
    """
    while not gate.is_open:
        if await drain.sleep(BARS_GATE_SECONDS):
            return
    async for message in bars:
        if not isinstance(message.event, BarClosed):
            continue
        cause = message.trace_context.get("traceparent", "")
        # Without the ledger it is not known what is held, so no bar is passed over.
        while not await _was_seen(act, message.event, cause):
            if await drain.sleep(LEDGER_RETRY_SECONDS):
                return
        handled(message)


async def _was_seen(act: OnBar, bar: BarClosed, cause: str) -> bool:
    try:
        await act(bar, cause)
    except (DatabaseError, BrokerUnavailableError, OutcomeUnknownError):  # the database logged it
        return False
    return True
