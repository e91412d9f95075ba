"""Runs the daily job by a cron line: one run a slot over all replicas."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob
from streamdesk.analysis.application.schedule.firing import Fire, SchedulePace
from streamdesk.analysis.application.schedule.slot_runner import SlotRunner
from streamdesk.analysis.domain.cron import Cron
from streamdesk.analysis.domain.job import JobReport, run_id_at
from streamdesk.analysis.domain.slots import Misfire
from streamdesk.analysis.errors import JobError
from streamdesk.market.errors import MarketError

NAME = "indicators"
AGAIN_SECONDS = 30.0


def job_schedule(
    record: ScheduleRecord,
    job: IndicatorsJob,
    line: str,
    *,
    clock: Callable[[], datetime],
    pace: SchedulePace | None = None,
    again_seconds: float = AGAIN_SECONDS,
) -> SlotRunner:
    """The schedule of the job.

    A run is named after its slot. If its process dies, another replica resumes it under the same
    name: what is on disk is not computed again. Events that the bus did not accept are published
    later. If slots passed while no replica ran, one run makes up for all of them.

    Args:
        record: of the schedule, which the replicas share.
        job: the job.
        line: a cron line, in UTC.
        clock: the time of day, with its zone.
        pace: how quickly the runner reacts.
        again_seconds: time between two attempts to publish the events of a run.

    Raises:
        ValueError: `line` is not a cron line.
    """

    async def compute(fire: Fire) -> str:
        report = await job.run(run_id_at(fire.slot))
        while not report.published:
            await asyncio.sleep(again_seconds)
            report = await job.run(report.run_id)
        return in_words(report)

    return SlotRunner(
        record,
        Cron(line),
        compute,
        misfire=Misfire.ONCE,
        clock=clock,
        pace=pace,
        expected=(JobError, MarketError),
    )


def in_words(report: JobReport) -> str:
    """The outcome of a run, in words."""
    return (
        f"{report.run_id}: {report.stocks} stocks, {len(report.failed)} failed, "
        f"{report.resumed} of them from an earlier attempt"
    )
