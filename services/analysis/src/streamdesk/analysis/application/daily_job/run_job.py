"""The job as a whole: plan, compute on all cores, tell, and go on where an earlier one ended."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from streamdesk.analysis.adapters.daily_bars import daily_bars
from streamdesk.analysis.adapters.process_pool.pool import ProcessPool
from streamdesk.analysis.adapters.run_folder.run_folder import ResultsFolder, RunFolder
from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.analysis.application.daily_job.publish_outcomes import RunPublisher
from streamdesk.analysis.domain.chunk import ChunkBars, ChunkValues
from streamdesk.analysis.domain.job import (
    JobProgress,
    JobReport,
    RemainingChunks,
    RunPlan,
    RunStatus,
    chunked,
    latest_and_next,
    utc_day,
)
from streamdesk.analysis.errors import JobError, NoBarsError
from streamdesk.market.series import BarSeries
from streamdesk.market.store import BarStore
from streamdesk.runtime import metrics

OnProgress = Callable[[JobProgress], None]


class IndicatorsJob:
    """Computes the indicators of all stocks of a store, and tells the bus.

    Args:
        store: where the daily bars are.
        events: where to tell of it; None to tell nobody.
        results: where the runs are kept.
        pool: the processes that compute.
        clock: the time of day, with its zone.
        keep_days: results of earlier days are removed.
    """

    def __init__(
        self,
        store: BarStore,
        events: TaskEvents | None,
        results: ResultsFolder,
        pool: ProcessPool,
        *,
        clock: Callable[[], datetime],
        keep_days: int = 400,
    ) -> None:
        self._store = store
        self._events = events
        self._runs = results
        self._pool = pool
        self._keep_days = keep_days
        self._clock = clock
        self._said_of: str | None = None
        """The run of which the log has that the bus is away: once is enough."""

    def next_run_id(self, market: str | None = None, *, fresh: bool = False) -> str:
        """The run that `run` would work on now: the unfinished one of today, or a new one.

        Args:
            market: as in US; None for all.
            fresh: a new one in any case.

        Raises:
            JobError: the plan of the unfinished one cannot be read.
        """
        now = self._clock()
        latest, following = latest_and_next(self._runs.names(), utc_day(now), market)
        if latest is None or fresh:
            return following
        status = self._runs.status(self._runs.folder(latest, now))
        return latest if status is not None and status.state != "completed" else following

    async def run(
        self,
        run_id: str | None = None,
        *,
        market: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> JobReport:
        """Do a run, or what is left of it. A completed one is reported as it is.

        Args:
            run_id: which; the one of `next_run_id` without. Letters, digits, and `_.-`.
            market: stocks of this market alone, as in US. Of a run that was begun before, its
                own market counts.
            on_progress: called at the beginning and after each chunk, on the loop.

        Raises:
            JobRunningError: another process is at it.
            NoBarsError: the store has no bars of this market.
            WorkerLostError: a process of the pool ended; run it again, and it goes on.
            JobError: the folder of results cannot be used.
            StoreError: the bars cannot be read.
        """
        began = time.perf_counter()
        chosen = run_id if run_id is not None else self.next_run_id(market)
        try:
            with self._runs.held(chosen):
                folder = self._runs.folder(chosen, self._clock())
                folder.clean()
                attempt = await self._attempt(folder, chosen, market, on_progress)
                published = await attempt.run(self._pool)
                self._said_of = chosen if attempt.telling.said else None
                oldest = utc_day(self._clock()) - timedelta(days=self._keep_days)
                await asyncio.to_thread(self._runs.prune, oldest)
        except OSError as error:
            raise JobError(
                f"results cannot be kept in {self._runs.root}: {error}; see to it that the folder "
                "can be written and its disk has room, and run the job again: it goes on"
            ) from error
        return attempt.report(time.perf_counter() - began, published=published)

    def runs(self, limit: int = 10) -> list[RunStatus]:
        """The runs begun last, newest first.

        Raises:
            JobError: a plan cannot be read.
        """
        found = (self._runs.status(folder) for folder in self._runs.newest(limit))
        return [status for status in found if status is not None]

    async def _attempt(
        self, folder: RunFolder, run_id: str, market: str | None, on_progress: OnProgress | None
    ) -> "_Attempt":
        plan, bars = folder.plan(), {}
        if plan is None:
            bars = await asyncio.to_thread(daily_bars, self._store, market)
            if not bars:
                raise NoBarsError(
                    f"the bar store {self._store.folder} has no bars"
                    f"{'' if market is None else f' of market {market}'}; let the feed fill it, "
                    "or try the job with simulated stocks: `streamdesk job indicators "
                    "--simulate 5000`"
                )
            plan = RunPlan(run_id, market, self._clock(), chunked(bars))
            await asyncio.to_thread(folder.begin, plan)
        left = folder.left(plan)
        if left.to_compute and not bars:
            symbols = [symbol for number in left.to_compute for symbol in plan.chunks[number]]
            bars = await asyncio.to_thread(daily_bars, self._store, plan.market, symbols)
        published = sum(len(plan.chunks[number]) for number in left.published)
        telling = RunPublisher(
            self._events,
            plan,
            folder,
            self._clock,
            published=published,
            said=self._said_of == run_id,
        )
        return _Attempt(plan, folder, left, bars, telling, on_progress)


@dataclass
class _Attempt:
    """One go at a run, from what is there to its end."""

    plan: RunPlan
    folder: RunFolder
    left: RemainingChunks
    bars: dict[str, BarSeries]
    telling: RunPublisher
    on_progress: OnProgress | None
    failed: dict[str, str] = field(default_factory=dict)
    computed: int = 0
    resumed: int = 0

    async def run(self, pool: ProcessPool) -> bool:
        """Do what is left; return whether the bus has all events."""
        there = {
            number: await asyncio.to_thread(self.folder.read, number)
            for number in (*self.left.published, *self.left.to_publish)
        }
        for values in there.values():
            self.failed |= values.failed
            self.resumed += len(values)
        if not self.left.to_compute and self.folder.told:
            return True
        self.telling.begin()
        try:
            self._tell_progress()
            for number in self.left.to_publish:
                self.telling.chunk(number, there[number])
            numbers = self.left.to_compute
            await pool.compute(numbers, self._bars_of, self.folder.unfinished, self._done)
            succeeded = len(self.failed) < self.plan.stocks
            return await self.telling.end(self.failed, succeeded=succeeded)
        finally:
            await self.telling.close()
            self._tell_progress()

    def _bars_of(self, number: int) -> ChunkBars:
        symbols = self.plan.chunks[number]
        return ChunkBars.of(symbols, [self.bars.get(symbol) for symbol in symbols])

    async def _done(self, number: int, values: ChunkValues, checksum: int) -> None:
        await asyncio.to_thread(self.folder.finish, number, checksum)
        self.failed |= values.failed
        self.computed += len(values)
        metrics.JOB_STOCKS.labels("failed").inc(len(values.failed))
        metrics.JOB_STOCKS.labels("computed").inc(len(values) - len(values.failed))
        self.telling.chunk(number, values)
        self._tell_progress()

    def _tell_progress(self) -> None:
        if self.on_progress is not None:
            self.on_progress(
                JobProgress(
                    run_id=self.plan.run_id,
                    done=self.resumed + self.computed,
                    total=self.plan.stocks,
                    failed=len(self.failed),
                    published=self.telling.published,
                )
            )

    def report(self, duration_seconds: float, *, published: bool) -> JobReport:
        """How it ended."""
        if self.computed:
            metrics.JOB_DURATION.observe(duration_seconds)
        return JobReport(
            run_id=self.plan.run_id,
            stocks=self.plan.stocks,
            computed=self.computed,
            resumed=self.resumed,
            failed=self.failed,
            published=published,
            duration_seconds=duration_seconds,
            folder=str(self.folder.path),
        )
