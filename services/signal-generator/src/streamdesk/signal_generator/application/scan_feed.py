"""The scan of one feed, from its history to its end, by one of several replicas."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from streamdesk.bus import BusUnavailableError, LeaseLostError
from streamdesk.runtime import Drain, exemplar, logger, metrics, span
from streamdesk.signal_generator.adapters.feeds.port import Feed, FeedBatch
from streamdesk.signal_generator.adapters.position import RENEWAL_SECONDS, FeedPosition
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.application.keep_in_step import InStep
from streamdesk.signal_generator.application.report_scan import ScanReports
from streamdesk.signal_generator.application.scan_bars import BarScan, ScannedBars
from streamdesk.signal_generator.domain.cursor import FeedCursor, signal_id

log = logger(__name__)

AGAIN_SECONDS = 0.25
"""How often an unreachable server is tried again."""


class FeedScan:
    """Scans a feed while this replica is the one that publishes, and follows it otherwise.

    Bars and the cursor are written in one step, then their signals, under ids that follow from
    the run, the instrument and the time. So whatever a kill interrupts, the successor writes the
    signals of the last bars again, of which the bus drops those that are there, and resumes.

    Args:
        feed: where bars come from.
        bars: scans a batch of them.
        position: who publishes, and how far the feed is.
        publisher: writes signals to the bus.
        reports: reports the scan as tasks.
        clock: the time of day.
        in_step: holds the feed until everything of a time is decided; None for no waiting.
        exit_at_end: return when the feed ends, instead of waiting for the drain.

    Attributes:
        warm: whether the feed's history is loaded, or what another replica has published.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        bars: BarScan,
        position: FeedPosition,
        publisher: SignalPublisher,
        reports: ScanReports,
        clock: Callable[[], datetime],
        in_step: InStep | None,
        exit_at_end: bool,
    ) -> None:
        self._feed = feed
        self._bars = bars
        self._position = position
        self._publisher = publisher
        self._reports = reports
        self._clock = clock
        self._in_step = in_step
        self._exit_at_end = exit_at_end
        self._run = feed.run
        self._began_at = clock()
        self._history: AsyncIterator[FeedBatch] | None = None
        self._live: AsyncIterator[FeedBatch] | None = None
        self._current: ScannedBars | None = None
        self._time: datetime | None = None
        """End of the newest bars that we scanned."""
        self._count = 0
        """Bars of the run up to there."""
        self._bars_out = False
        self.warm = False

    async def run(self, drain: Drain) -> None:
        """Announce the start, warm up, and scan until the feed ends or the drain is requested."""
        await self._publisher.system("started", "signal-generator is ready", self._details())
        self._history, self._live = self._feed.history(drain), self._feed.live(drain)
        beside = [asyncio.create_task(self._position.keep(drain))]
        if self._in_step:
            beside.append(asyncio.create_task(self._in_step.follow(drain)))
        try:
            ended = await self._scan(drain)
            self._reports.idle()
            if ended:
                await self._reports.ended(self._bars.refused)
                if not self._exit_at_end:
                    await drain.requested.wait()
        finally:
            for task in beside:
                task.cancel()
            self._reports.idle()

    async def announce_stop(self) -> None:
        """Let another replica resume, and publish that the service stops."""
        await self._position.leave()
        await self._publisher.system("stopped", "signal-generator stops", self._details())

    async def _scan(self, drain: Drain) -> bool:
        """Take turns with the other replicas; returns whether the feed ended in ours."""
        while not drain.requested.is_set():
            try:
                if not self._position.leading and not await self._take_over(drain):
                    await drain.sleep(RENEWAL_SECONDS)
                elif not await self._advance(drain):
                    return not drain.requested.is_set()
            except LeaseLostError:
                log.warning("not publishing: another replica does")
            except BusUnavailableError:  # the bus has logged it
                await drain.sleep(AGAIN_SECONDS)
        return False

    async def _take_over(self, drain: Drain) -> bool:
        """Become the replica that publishes and resume where the last one was; False: stand by."""
        if not await self._position.lead():
            self._reports.standing_by()
            cursor = await self._position.look()
            if cursor is not None and self._feed.run:
                await self._follow(cursor, drain)
            self.warm = True
            return False
        cursor = self._position.cursor
        if cursor is not None and self._is_ours(cursor):
            await self._follow(cursor, drain)
        elif self._time is None:
            self._run = self._feed.run or secrets.token_hex(6)
            await self._publisher.strategy(self._bars.parameters(), "started")
        self._reports.publishing(self._run, after=self._time, warm=self._history is None)
        self.warm = self._history is None
        return True

    def _is_ours(self, cursor: FeedCursor) -> bool:
        return cursor.feed == self._feed.name and self._feed.run in ("", cursor.run)

    async def _follow(self, cursor: FeedCursor, drain: Drain) -> None:
        """Scan what is published, without publishing it; its last signals are written again."""
        if not self._is_ours(cursor):
            return
        if cursor.bars <= self._count:
            # What we published and the server has lost since is published nevertheless.
            self._bars_out = self._bars_out or cursor.bars == self._count
            return
        self._run, self._began_at, self._history = cursor.run, cursor.began_at, None
        current = ScannedBars([])
        async for batch in self._feed.resume(cursor, drain):
            await asyncio.sleep(0)  # a long way: the lease is renewed meanwhile
            scanned = self._bars.scan(batch)
            self._reports.skipped(len(scanned.bars))
            current.drafts += [d for d in scanned.drafts if d.timestamp == cursor.time]
        self._current, self._time, self._bars_out = current, cursor.time, True
        self._count = cursor.bars

    async def _advance(self, drain: Drain) -> bool:
        """Publish one batch of bars and its signals; False at the end of the feed or a drain."""
        if self._current is None:
            self._current = await self._next(drain)
            self._bars_out = self._current is not None and not self._current.bars
        current = self._current
        if current is None:
            return False
        began = time.perf_counter()
        with span("scan bars", attributes={"streamdesk.bars": len(current.bars)}):
            if await self._publish(current, drain):
                self._current = None
                await self._reports.published(current)
                metrics.SCAN_DURATION.observe(time.perf_counter() - began, exemplar())
        return not drain.requested.is_set()

    async def _next(self, drain: Drain) -> ScannedBars | None:
        if self._history is not None:
            async for batch in self._history:
                return self._seen(self._bars.learn(batch))
            self._history = None
            if drain.requested.is_set():
                return None
            self.warm = True
            await self._reports.warm()
        if self._live is not None:
            async for batch in self._live:
                return self._seen(self._bars.scan(batch))
        return None

    def _seen(self, scanned: ScannedBars) -> ScannedBars:
        self._time = scanned.time or self._time
        self._count += len(scanned.bars)
        return scanned

    async def _publish(self, current: ScannedBars, drain: Drain) -> bool:
        """Publish what is not published yet; False where the drain came first."""
        if not self._bars_out:
            if self._in_step and not await self._in_step.someone_decides(drain):
                return False
            ids = await self._position.publish(current.bars, self._cursor(current))
            self._bars_out = True
            if self._in_step:
                self._in_step.bars_published(ids)
        if self._in_step and not await self._in_step.bars_handled(drain):
            return False
        while current.drafts:
            if not self._position.leading:
                raise LeaseLostError(self._feed.name)
            draft = current.drafts[0]
            name = signal_id(self._run, draft)
            sent = await self._publisher.signal(draft, drain, name)
            if not sent and drain.requested.is_set():
                return False
            if sent and self._in_step and not await self._in_step.signals_decided(drain):
                return False
            self._reports.signals += sent
            current.drafts.pop(0)
        return True

    def _cursor(self, scanned: ScannedBars) -> FeedCursor:
        return FeedCursor(
            feed=self._feed.name,
            run=self._run,
            began_at=self._began_at,
            time=self._time or self._clock(),
            bars=self._count,
            played=scanned.played,
        )

    def _details(self) -> dict[str, str]:
        return {"feed": self._feed.name, "instruments": str(len(self._feed.symbols))}
