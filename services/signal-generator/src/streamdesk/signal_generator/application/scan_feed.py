"""The scan of one feed, from its history to its end."""

import secrets
import time
from collections.abc import Callable
from datetime import datetime

from streamdesk.runtime import Drain, exemplar, logger, metrics, span
from streamdesk.runtime.task_report import TaskReport
from streamdesk.signal_generator.adapters.feeds.port import Feed
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.application.scan_bars import BarScan
from streamdesk.strategy.scanner import Scanner

log = logger(__name__)

REPORTS_OF_A_TASK = 20


class FeedScan:
    """Warms up on a feed's history, then scans its bars, and reports both as tasks.

    Args:
        feed: where bars come from.
        bars: scans a batch of them.
        scanner: the state of `bars`.
        publisher: writes to the bus.
        clock: the time of day.
        exit_at_end: return when the feed ends, instead of waiting for the drain.

    Attributes:
        warm: whether the feed's history is loaded.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        bars: BarScan,
        scanner: Scanner,
        publisher: SignalPublisher,
        clock: Callable[[], datetime],
        exit_at_end: bool,
    ) -> None:
        self._feed = feed
        self._bars = bars
        self._scanner = scanner
        self._publisher = publisher
        self._clock = clock
        self._exit_at_end = exit_at_end
        self.warm = False

    async def run(self, drain: Drain) -> None:
        """Announce the start, warm up, and scan until the feed ends or the drain is requested."""
        await self._publisher.strategy(self._scanner.rules.parameters(), "started")
        await self._publisher.system("started", "signal-generator is ready", self._details())
        await self._warm_up(drain)
        expected = metrics.FEED_OPEN.labels(self._feed.name)
        expected.set(1)
        try:
            await self._scan_live(drain)
        finally:
            expected.set(0)
        if drain.requested.is_set():
            return
        bars = self._bars
        log.info("feed ended", bars=bars.bars, signals=bars.signals, refused=dict(bars.refused))
        if not self._exit_at_end:
            await drain.requested.wait()

    async def announce_stop(self) -> None:
        """Publish that the service stops."""
        await self._publisher.system("stopped", "signal-generator stops", self._details())

    async def _warm_up(self, drain: Drain) -> None:
        task: TaskReport | None = None
        async for batch in self._feed.history(drain):
            # Begun with the first batch: a feed without history has no warm-up to show.
            task = task or await self._begin("warm-up", len(self._feed.symbols))
            bars = await self._bars.learn(batch)
            if bars:
                symbol = bars[-1].symbol
                await self._publisher.task(task.stock(symbol, self._scanner.indicators(symbol)))
            loaded = f"{bars[0].symbol}: {len(bars)} bars" if bars else ""
            await self._publisher.task(task.advance(1, loaded))
        self.warm = True
        if task is not None:
            summary = f"{task.done} of {len(self._feed.symbols)} instruments loaded"
            complete = task.done == len(self._feed.symbols)
            await self._publisher.task(task.end(summary, succeeded=complete))
            log.info("warm", instruments=task.done, bars=self._bars.bars)

    async def _scan_live(self, drain: Drain) -> None:
        task: TaskReport | None = None
        if self._feed.total_bars is not None:
            task = await self._begin("replay", self._feed.total_bars)
        async for batch in self._feed.live(drain):
            began = time.perf_counter()
            with span("scan bars", attributes={"streamdesk.bars": len(batch.bars)}):
                await self._bars.scan(batch, drain)
                metrics.SCAN_DURATION.observe(time.perf_counter() - began, exemplar())
            if task is not None:
                await self._publisher.task(task.advance(len(batch.bars)))
        if task is not None:
            bars = self._bars
            summary = f"{bars.bars} bars, {bars.signals} signals, {bars.refused.total()} refused"
            complete = task.done == self._feed.total_bars
            await self._publisher.task(task.end(summary, succeeded=complete))

    async def _begin(self, name: str, total: int) -> TaskReport:
        task_id = f"{name}-{secrets.token_hex(6)}"
        task = TaskReport(name, task_id, total, self._clock, resolution=REPORTS_OF_A_TASK)
        await self._publisher.task(task.advance(0, self._feed.name))
        return task

    def _details(self) -> dict[str, str]:
        return {"feed": self._feed.name, "instruments": str(len(self._feed.symbols))}
