"""Bars in, signals out: the scan of one feed from its history to its end."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from streamdesk.contracts.events import BarClosed
from streamdesk.market.bars import BarSequence
from streamdesk.market.errors import BarError
from streamdesk.runtime import Drain, exemplar, logger, metrics, span
from streamdesk.signal_generator.adapters.feeds.port import Batch, Feed
from streamdesk.signal_generator.adapters.publisher import Publication
from streamdesk.signal_generator.application.tasks import Task
from streamdesk.strategy.scanner import (
    BelowThreshold,
    CoolingDown,
    NotEnoughBars,
    Scanner,
)
from streamdesk.strategy.signals import Draft

log = logger("signal-generator")

REFUSALS_LOGGED = 20
"""Refused bars of one reason that are logged each; the rest is counted, and told at the end."""


class SignalGenerator:
    """Scans a feed; nothing that a feed delivers ends it.

    Args:
        feed: where bars come from.
        sequence: which bars are good.
        scanner: what they mean.
        publication: who is told.
        clock: tells the time.
        stop_seconds: at a stop, time for what is in hand, and again for the last words.
        exit_at_end: return when the feed ends, instead of waiting to be stopped.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        sequence: BarSequence,
        scanner: Scanner,
        publication: Publication,
        clock: Callable[[], datetime],
        stop_seconds: float,
        exit_at_end: bool,
    ) -> None:
        self._feed = feed
        self._sequence = sequence
        self._scanner = scanner
        self._publication = publication
        self._clock = clock
        self._stop_seconds = stop_seconds
        self._exit_at_end = exit_at_end
        self._refused: Counter[str] = Counter()
        self._waiting: set[str] = set()
        self._bars = 0
        self._signals = 0
        self.warm = False

    async def run(self, drain: Drain) -> None:
        """Warm up, scan until the feed ends or the drain is requested, say good-bye."""
        scan = asyncio.create_task(self._scan_feed(drain))
        asked = asyncio.create_task(drain.requested.wait())
        try:
            await asyncio.wait({scan, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not scan.done():
                await asyncio.wait({scan}, timeout=self._stop_seconds)
            if not scan.done():
                log.warning("stopped without the bus: what was in hand is not published")
                scan.cancel()
                await asyncio.wait({scan})
            if not scan.cancelled():
                scan.result()  # raises what the scan raised
        finally:
            scan.cancel()
            asked.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stop_seconds):
                await self._publication.system("stopped", "signal-generator stops", self._details())

    async def _scan_feed(self, drain: Drain) -> None:
        await self._publication.strategy(self._scanner.rules.parameters(), "started")
        await self._publication.system("started", "signal-generator is ready", self._details())
        await self._warm_up(drain)
        expected = metrics.FEED_OPEN.labels(self._feed.name)
        expected.set(1)
        try:
            await self._scan_live(drain)
        finally:
            expected.set(0)
        if drain.requested.is_set():
            return
        log.info("feed ended", bars=self._bars, signals=self._signals, refused=dict(self._refused))
        if not self._exit_at_end:
            await drain.requested.wait()

    async def _warm_up(self, drain: Drain) -> None:
        task: Task | None = None
        async for batch in self._feed.history(drain):
            task = task or await self._begin("warm-up", len(self._feed.symbols))
            bars = self._good(batch)
            await self._publication.bars(bars)
            for bar in bars:
                self._scanner.learn(bar)
            if bars:
                await task.stock(bars[-1].symbol, self._scanner.indicators(bars[-1].symbol))
            await task.advance(1, f"{bars[0].symbol}: {len(bars)} bars" if bars else "")
        self.warm = True
        if task is not None:
            loaded = f"{task.done} of {len(self._feed.symbols)} instruments loaded"
            await task.end(loaded, succeeded=task.done == len(self._feed.symbols))
            log.info("warm", instruments=task.done, bars=self._bars)

    async def _scan_live(self, drain: Drain) -> None:
        task: Task | None = None
        if self._feed.total_bars is not None:
            task = await self._begin("replay", self._feed.total_bars)
        async for batch in self._feed.live(drain):
            began = time.perf_counter()
            with span("scan bars", attributes={"streamdesk.bars": len(batch.bars)}):
                await self._scan(batch, drain)
                metrics.SCAN_DURATION.observe(time.perf_counter() - began, exemplar())
            if task is not None:
                await task.advance(len(batch.bars))
        if task is not None:
            told = f"{self._bars} bars, {self._signals} signals, {self._refused.total()} refused"
            await task.end(told, succeeded=task.done == self._feed.total_bars)

    async def _begin(self, name: str, total: int) -> Task:
        task_id = f"{name}-{secrets.token_hex(6)}"
        task = Task(name, task_id, total, self._publication.task, self._clock)
        await task.advance(0, self._feed.name)
        return task

    async def _scan(self, batch: Batch, drain: Drain) -> None:
        """Bars first, so that whoever gets a signal can have seen its bar."""
        bars = self._good(batch)
        await self._publication.bars(bars)
        for bar in bars:
            verdict = self._scanner.scan(bar)
            match verdict:
                case Draft():
                    self._signals += await self._publication.signal(verdict, drain)
                case NotEnoughBars():
                    metrics.SIGNALS_WITHHELD.labels("not-enough-bars").inc()
                    self._say_once(verdict)
                case BelowThreshold():
                    metrics.SIGNALS_WITHHELD.labels("below-threshold").inc()
                case CoolingDown():
                    metrics.SIGNALS_WITHHELD.labels("cooling-down").inc()

    def _good(self, batch: Batch) -> list[BarClosed]:
        for error in batch.refused:
            self._refuse(error)
        good = []
        for bar in batch.bars:
            try:
                self._sequence.admit(bar)
            except BarError as error:
                self._refuse(error)
            else:
                good.append(bar)
        self._bars += len(good)
        metrics.BARS_TAKEN.labels(self._feed.name).inc(len(good))
        return good

    def _refuse(self, error: BarError) -> None:
        self._refused[error.reason] += 1
        metrics.BARS_REFUSED.labels(self._feed.name, error.reason).inc()
        if self._refused[error.reason] <= REFUSALS_LOGGED:
            log.warning("bar refused", reason=error.reason, detail=str(error))
        elif self._refused[error.reason] == REFUSALS_LOGGED + 1:
            log.warning("more bars refused, from here on only counted", reason=error.reason)

    def _say_once(self, verdict: NotEnoughBars) -> None:
        if verdict.symbol not in self._waiting:
            self._waiting.add(verdict.symbol)
            log.info(
                "no signals yet: not enough bars",
                symbol=verdict.symbol,
                bars=verdict.bars,
                needed=verdict.needed,
            )

    def _details(self) -> dict[str, str]:
        return {"feed": self._feed.name, "instruments": str(len(self._feed.symbols))}
