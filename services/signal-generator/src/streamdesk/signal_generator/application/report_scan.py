"""What a scan is doing, as metrics, log lines and tasks."""

import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from streamdesk.runtime import logger, metrics
from streamdesk.runtime.task_report import TaskReport
from streamdesk.signal_generator.adapters.feeds.port import Feed
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.application.scan_bars import ScannedBars
from streamdesk.strategy.scanner import Scanner

log = logger(__name__)

REPORTS_OF_A_TASK = 20


class ScanReports:
    """Counts a scan, and reports its warm-up and its replay as tasks.

    Args:
        feed: what is scanned.
        scanner: the state of the scan.
        publisher: writes to the bus.
        clock: the time of day.

    Attributes:
        bars: bars published by this process.
        signals: signals queued by this process.
    """

    def __init__(
        self,
        feed: Feed,
        scanner: Scanner,
        publisher: SignalPublisher,
        clock: Callable[[], datetime],
    ) -> None:
        self._feed = feed
        self._scanner = scanner
        self._publisher = publisher
        self._clock = clock
        self._skipped = 0
        self._stands_by = False
        self._warm_up: TaskReport | None = None
        self._replay: TaskReport | None = None
        self.bars = 0
        self.signals = 0

    def publishing(self, run: str, *, after: datetime | None, warm: bool) -> None:
        """This replica publishes now.

        Args:
            run: name of the run.
            after: time of the last bars that are published; None before the first.
            warm: whether bars are expected from now on.
        """
        self._stands_by = False
        log.info("publishing", feed=self._feed.name, run=run, after=str(after or "-"))
        metrics.FEED_ACTIVE.set(1)
        metrics.FEED_OPEN.labels(self._feed.name).set(warm)

    def standing_by(self) -> None:
        """Another replica publishes."""
        if not self._stands_by:
            self._stands_by = True
            log.info("standing by: another replica publishes", feed=self._feed.name)
        self.idle()

    def idle(self) -> None:
        """It stands by, has ended, or stops."""
        metrics.FEED_ACTIVE.set(0)
        metrics.FEED_OPEN.labels(self._feed.name).set(0)

    def skipped(self, bars: int) -> None:
        """So many bars were published before, and only feed the indicators."""
        self._skipped += bars

    async def published(self, scanned: ScannedBars) -> None:
        """Bars and their signals are on the bus."""
        self.bars += len(scanned.bars)
        metrics.BARS_TAKEN.labels(self._feed.name).inc(len(scanned.bars))
        for reason, count in scanned.withheld.items():
            metrics.SIGNALS_WITHHELD.labels(reason).inc(count)
        if scanned.of_the_past:
            await self._learned(scanned)
        elif self._feed.total_bars is not None:
            self._replay = self._replay or await self._begin("replay", self._feed.total_bars)
            done = self._skipped + len(scanned.bars)
            self._skipped = 0
            await self._publisher.task(self._replay.advance(done))

    async def _learned(self, scanned: ScannedBars) -> None:
        self._warm_up = self._warm_up or await self._begin("warm-up", len(self._feed.symbols))
        loaded = ""
        if scanned.bars:
            symbol = scanned.bars[-1].symbol
            loaded = f"{symbol}: {len(scanned.bars)} bars"
            indicators = self._scanner.indicators(symbol)
            await self._publisher.task(self._warm_up.stock(symbol, indicators))
        await self._publisher.task(self._warm_up.advance(1, loaded))

    async def warm(self) -> None:
        """The history is loaded: bars are expected from here on."""
        metrics.FEED_OPEN.labels(self._feed.name).set(1)
        task = self._warm_up
        if task is None:
            return
        summary = f"{task.done} of {len(self._feed.symbols)} instruments loaded"
        complete = task.done == len(self._feed.symbols)
        await self._publisher.task(task.end(summary, succeeded=complete))
        log.info("warm", instruments=task.done, bars=self.bars)

    async def ended(self, refused: Counter[str]) -> None:
        """The feed has ended."""
        log.info("feed ended", bars=self.bars, signals=self.signals, refused=dict(refused))
        if self._replay is not None:
            summary = f"{self.bars} bars, {self.signals} signals, {refused.total()} refused"
            complete = self._replay.done + refused.total() >= (self._feed.total_bars or 0)
            await self._publisher.task(self._replay.end(summary, succeeded=complete))

    async def _begin(self, name: str, total: int) -> TaskReport:
        task_id = f"{name}-{secrets.token_hex(6)}"
        task = TaskReport(name, task_id, total, self._clock, resolution=REPORTS_OF_A_TASK)
        await self._publisher.task(task.advance(0, self._feed.name))
        return task
