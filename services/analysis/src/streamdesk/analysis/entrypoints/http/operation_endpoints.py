"""The endpoints of the schedule and of the daily job."""

from streamdesk.analysis.application.daily_job.background_job import BackgroundJob
from streamdesk.analysis.application.refresh import Scheduler
from streamdesk.analysis.entrypoints.http.analysis_endpoints import AnalysisEndpoints, preloaded
from streamdesk.analysis.entrypoints.http.answers import (
    JobRun,
    JobRuns,
    Preloaded,
    ScheduleCache,
    ScheduleStatus,
    Slots,
    Started,
)
from streamdesk.analysis.errors import RequestError

NO_STORE = "there is no bar store to compute from: set BAR_STORE_FOLDER to its folder"


class OperationEndpoints:
    """The endpoints of the schedule and of the daily job.

    Args:
        scheduler: the schedule of refreshes.
        enabled: whether it runs in this service.
        job: the daily indicators; None without a bar store.
        analyses: reports on the cache.
        ttl_seconds: life of an analysis.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        job: BackgroundJob | None,
        analyses: AnalysisEndpoints,
        *,
        enabled: bool,
        ttl_seconds: float,
    ) -> None:
        self._scheduler = scheduler
        self._enabled = enabled
        self._job = job
        self._analyses = analyses
        self._ttl_seconds = ttl_seconds

    async def start(self) -> ScheduleStatus:
        """Start the schedule on all replicas; missed slots are skipped."""
        self._need_schedule()
        await self._scheduler.start()
        return await self.status()

    async def stop(self) -> ScheduleStatus:
        """Stop the schedule on all replicas."""
        self._need_schedule()
        await self._scheduler.stop()
        return await self.status()

    async def status(self) -> ScheduleStatus:
        """The status of the schedule, and of the cache that it fills."""
        status = await self._scheduler.status()
        report = await self._analyses.cache_report()
        cache = ScheduleCache(
            available=report.cache_type == "redis",
            cached_symbols=report.cached_symbols,
            cache_ttl_seconds=self._ttl_seconds,
        )
        known = status.model_dump()
        if not self._enabled:
            known |= {"running": False, "next_slot": None}
        return ScheduleStatus(**known, enabled=self._enabled, cache_stats=cache)

    async def preview(self, count: int) -> Slots:
        """The next slots, as if the schedule ran."""
        return Slots(slots=await self._scheduler.preview(count))

    async def fire(self) -> Preloaded:
        """Refresh now, beside the schedule; answers when it is done."""
        return preloaded(await self._scheduler.fire_now())

    async def start_job(self) -> Started:
        """Start the daily indicators; their task reports the progress."""
        return Started(task_id=await self._needed_job().start())

    async def runs(self) -> JobRuns:
        """The runs of the daily indicators begun last, newest first."""
        statuses = await self._needed_job().runs()
        return JobRuns(runs=[JobRun.model_validate(status) for status in statuses])

    def _needed_job(self) -> BackgroundJob:
        if self._job is None:
            raise RequestError(404, NO_STORE)
        return self._job

    def _need_schedule(self) -> None:
        if not self._enabled:
            raise RequestError(
                409, "the schedule is switched off in the settings: set HAMA_SCHEDULER_ENABLED=true"
            )
