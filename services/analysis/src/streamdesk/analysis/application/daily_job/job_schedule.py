"""Starts the daily indicators by a cron line: one run a slot, over all replicas."""

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

    The run is named after its slot. A run that is interrupted with its process is taken up by
    another replica, under the same name: what is on disk of it is not computed again. What the
    bus did not take, because Redis went away meanwhile, it is told later. A slot that passed while
    no replica was up is made good once, as soon as one is.

    Args:
        record: where replicas agree.
        job: the job.
        line: a cron line, in UTC.
        clock: the time of day, with its zone.
        pace: how quickly it reacts.
        again_seconds: from a run that the bus did not take whole to the next try to tell it.

    Raises:
        ValueError: `line` is no cron line.
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
    """What came of a run, for people."""
    return (
        f"{report.run_id}: {report.stocks} stocks, {len(report.failed)} failed, "
        f"{report.resumed} of them there from before"
    )
