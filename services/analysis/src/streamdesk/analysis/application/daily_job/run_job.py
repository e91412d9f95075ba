"""Runs the daily job: plans, computes on all cores, publishes, and resumes interrupted runs."""

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
    """Computes the indicators of all stocks of a store, and publishes them.

    Args:
        store: where the bars are.
        events: the topic of its events; None to publish nothing.
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
        self._warned_of: str | None = None
        """The run for which the log says that the bus is unavailable: it says so once a run."""

    def next_run_id(self, market: str | None = None, *, fresh: bool = False) -> str:
        """The id of the run that `run` would do now: the unfinished one of today, or a new one.

        Args:
            market: as in US; None for all.
            fresh: always a new one.

        Raises:
            JobError: the plan of the unfinished run cannot be read.
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
        """Do a run, or the rest of it. Of a completed run, returns the report.

        Args:
            run_id: letters, digits, and `_.-`; None for that of `next_run_id`.
            market: stocks of this market alone, as in US. A run that was begun before keeps its
                own market.
            on_progress: called at the beginning and after each chunk, on the loop.

        Raises:
            JobRunningError: another process computes in the folder.
            NoBarsError: the store has no bars of this market.
            WorkerLostError: a process of the pool ended; the next run resumes.
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
                self._warned_of = chosen if attempt.publisher.warned else None
                oldest = utc_day(self._clock()) - timedelta(days=self._keep_days)
                await asyncio.to_thread(self._runs.prune, oldest)
        except OSError as error:
            raise JobError(
                f"results cannot be kept in {self._runs.root}: {error}; make the folder writable, "
                "free space on its disk, and run the job again: it resumes"
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
        publisher = RunPublisher(
            self._events,
            plan,
            folder,
            self._clock,
            published=published,
            warned=self._warned_of == run_id,
        )
        return _Attempt(plan, folder, left, bars, publisher, on_progress)


@dataclass
class _Attempt:
    """One attempt at a run, from what is on disk to its end."""

    plan: RunPlan
    folder: RunFolder
    left: RemainingChunks
    bars: dict[str, BarSeries]
    publisher: RunPublisher
    on_progress: OnProgress | None
    failed: dict[str, str] = field(default_factory=dict)
    computed: int = 0
    resumed: int = 0

    async def run(self, pool: ProcessPool) -> bool:
        """Compute and publish what is left; returns whether all events are published."""
        on_disk = {
            number: await asyncio.to_thread(self.folder.read, number)
            for number in (*self.left.published, *self.left.to_publish)
        }
        for values in on_disk.values():
            self.failed |= values.failed
            self.resumed += len(values)
        if not self.left.to_compute and self.folder.all_published:
            return True
        self.publisher.begin()
        try:
            self._report_progress()
            for number in self.left.to_publish:
                self.publisher.chunk(number, on_disk[number])
            numbers = self.left.to_compute
            await pool.compute(numbers, self._bars_of, self.folder.unfinished, self._done)
            succeeded = len(self.failed) < self.plan.stocks
            return await self.publisher.end(self.failed, succeeded=succeeded)
        finally:
            await self.publisher.close()
            self._report_progress()

    def _bars_of(self, number: int) -> ChunkBars:
        symbols = self.plan.chunks[number]
        return ChunkBars.of(symbols, [self.bars.get(symbol) for symbol in symbols])

    async def _done(self, number: int, values: ChunkValues, checksum: int) -> None:
        await asyncio.to_thread(self.folder.finish, number, checksum)
        self.failed |= values.failed
        self.computed += len(values)
        metrics.JOB_STOCKS.labels("failed").inc(len(values.failed))
        metrics.JOB_STOCKS.labels("computed").inc(len(values) - len(values.failed))
        self.publisher.chunk(number, values)
        self._report_progress()

    def _report_progress(self) -> None:
        if self.on_progress is not None:
            self.on_progress(
                JobProgress(
                    run_id=self.plan.run_id,
                    done=self.resumed + self.computed,
                    total=self.plan.stocks,
                    failed=len(self.failed),
                    published=self.publisher.published,
                )
            )

    def report(self, duration_seconds: float, *, published: bool) -> JobReport:
        """The report of the run, after this attempt."""
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
