"""The bars of the bus, and the signals that must not be decided before their own bar is seen."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from streamdesk.bus import Bus, Message, Outcome
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.application.guard_prices import PriceGuard
from streamdesk.order_executor.application.report_bars import BarsReport
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.entrypoints.bus import OnBar, follow_bars
from streamdesk.runtime import Drain
from streamdesk.trading.market_view import MarketView

BAR_WAIT_SECONDS = 2.0
"""Longest wait of a signal for its bar, where no bars come that would end it earlier."""


class MarketBars:
    """Every bar of the bus: those of the last minutes first, then those that follow.

    Args:
        bus: where they come from.
        topic: the bars under the configured key.
        replay_seconds: how far back the first bar lies, on the server's clock.
        view: remembers the market's present.
        act: acts on a bar, and gives it to the view.
        guard: knows which bars are not believed.
        gate: until it opens for the first time, bars wait to be acted upon.
        report: says how far bars were acted upon.

    Attributes:
        warm: set once the view has the bars that were on the bus at the start. A signal that is
            decided before would not be held against the market.
    """

    def __init__(
        self,
        bus: Bus,
        topic: Topic[BarClosed],
        replay_seconds: float,
        view: MarketView,
        act: OnBar,
        guard: PriceGuard,
        gate: TradingGate,
        report: BarsReport,
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._replay_seconds = replay_seconds
        self._view = view
        self._act = act
        self._guard = guard
        self._gate = gate
        self.report = report
        self._read_up_to_ms = 0
        self._next_bar = asyncio.Event()
        self.warm = asyncio.Event()

    async def follow(self, drain: Drain) -> None:
        """Warm the view up, then act on every bar until the drain."""
        since_ms = max(0, round((time.time() - self._replay_seconds) * 1000))
        if not await self._warm_up(f"{since_ms}", drain):
            return
        # The same bars again, to act on them: that is possible only once the books are reconciled,
        # and that waits for the ledger, which the view does not need.
        since = f"{since_ms}-0"
        self.report.begin(since)
        bars = self._bus.tail(self._topic, since=since, stop=drain.requested)
        await follow_bars(bars, self._act, self._gate, self._handled, drain)

    async def _warm_up(self, since: str, drain: Drain) -> bool:
        """Read what is there; False when the drain came first."""
        reading = asyncio.create_task(self._read_from(since))
        stopping = asyncio.create_task(drain.requested.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return False  # the server may be unreachable for as long as it likes
            await reading
        finally:
            reading.cancel()
            stopping.cancel()
        self.warm.set()
        return True

    async def _read_from(self, since: str) -> None:
        async for message in self._bus.replay(self._topic, since):
            if not self._guard.jumps(message.event):
                self._view.see(message.event)

    def _handled(self, message: Message[BarClosed]) -> None:
        self.report.handled(message.entry_id)
        self._read_up_to_ms = _milliseconds(message.entry_id)
        self._next_bar.set()
        self._next_bar = asyncio.Event()

    async def wait_for_bar_of(self, message: Message[SignalGenerated]) -> None:
        """Wait until the bar that gave a signal is seen, or is known not to come.

        Bars and signals are two streams, and a feed publishes a bar before its signal: once a bar
        is read that was published after the signal, its own would have been read, too.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BAR_WAIT_SECONDS):
                while self._may_come(message):
                    await self._next_bar.wait()

    def _may_come(self, message: Message[SignalGenerated]) -> bool:
        signal = message.event
        return (
            self._view.knows(signal.symbol)
            and not self._view.has_reached(signal.symbol, signal.timestamp)
            and self._read_up_to_ms <= _milliseconds(message.entry_id)
        )


class AfterItsBar:
    """Hands each signal on once its bar is seen.

    Args:
        handler: handles the signal.
        bars: where bars are seen.
    """

    def __init__(
        self, handler: Callable[[Message[SignalGenerated]], Awaitable[Outcome]], bars: MarketBars
    ) -> None:
        self._handler = handler
        self._bars = bars

    async def __call__(self, message: Message[SignalGenerated]) -> Outcome:
        """Handle one signal."""
        await self._bars.wait_for_bar_of(message)
        return await self._handler(message)


def _milliseconds(entry_id: str) -> int:
    """When an entry was published, on the server's clock."""
    return int(entry_id.partition("-")[0])
