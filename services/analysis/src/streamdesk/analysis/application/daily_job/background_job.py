"""The daily job on demand: started by a request, computed behind its answer."""

import asyncio

from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob
from streamdesk.analysis.domain.job import RunStatus
from streamdesk.analysis.errors import JobError, JobRunningError
from streamdesk.runtime import logger

log = logger(__name__)


class BackgroundJob:
    """Runs the daily job in a task of this process, one run after the other.

    Args:
        job: the job.
    """

    def __init__(self, job: IndicatorsJob) -> None:
        self._job = job
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Cancel a run that was started here; the next start of the same run resumes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def start(self) -> str:
        """Start the unfinished run of the day, or a new one; returns its id.

        Raises:
            JobRunningError: a run that was started here has not ended.
            JobError: the plan of the unfinished run cannot be read.
        """
        if self._task is not None and not self._task.done():
            raise JobRunningError("the daily indicators are being computed: wait for their end")
        run_id = await asyncio.to_thread(self._job.next_run_id)
        self._task = asyncio.create_task(self._run(run_id))
        return run_id

    async def runs(self) -> list[RunStatus]:
        """The runs begun last, newest first.

        Raises:
            JobError: a plan cannot be read.
        """
        return await asyncio.to_thread(self._job.runs)

    async def _run(self, run_id: str) -> None:
        try:
            report = await self._job.run(run_id)
        except (JobError, ValueError) as error:  # a MarketError is a ValueError
            log.warning("daily indicators failed", run=run_id, error=str(error))
        else:
            log.info("daily indicators done", run=run_id, stocks=report.stocks)
