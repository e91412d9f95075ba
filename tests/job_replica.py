"""One replica of the daily job's schedule, as a process of its own, by a clock that the test sets.

Arguments: URL of the server, folder of the test. The time is what the file `clock` there says, the
bar store is in `store`. Each attempt at a run is a line of `attempts`: the run and the process.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from streamdesk.analysis.adapters.process_pool.pool import ProcessPool
from streamdesk.analysis.adapters.run_folder.run_folder import ResultsFolder
from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.analysis.application.daily_job.job_schedule import NAME, job_schedule
from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob, OnProgress
from streamdesk.analysis.application.schedule.firing import SchedulePace
from streamdesk.analysis.domain.job import JobReport
from streamdesk.analysis.entrypoints.schedule import run_schedule
from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import TASKS
from streamdesk.market.store import BarStore
from streamdesk.runtime import Drain

LEASE_SECONDS = 6
PACE = SchedulePace(beat_seconds=0.2, finish_seconds=30)


class NotedJob(IndicatorsJob):
    """Notes which process does which run."""

    async def run(
        self,
        run_id: str | None = None,
        *,
        market: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> JobReport:
        """Run as usual, after a note."""
        with (Path(sys.argv[2]) / "attempts").open("a") as file:
            file.write(f"{run_id} {os.getpid()}\n")
        return await super().run(run_id, market=market, on_progress=on_progress)


async def main(url: str, folder: Path) -> None:
    """Run until stopped."""

    def clock() -> datetime:
        return datetime.fromtimestamp(float((folder / "clock").read_text()), UTC)

    drain = Drain()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drain.request)
    async with Bus.connect(BusConfig(url=url)) as bus:
        store = BarStore(folder / "store")
        events = TaskEvents(bus, TASKS)
        results = ResultsFolder(store.folder / "indicators")
        job = NotedJob(store, events, results, ProcessPool(1), clock=clock)
        record = ScheduleRecord(NAME, bus.keys, auto_start=True, lease_seconds=LEASE_SECONDS)
        runner = job_schedule(record, job, "30 22 * * 1-5", clock=clock, pace=PACE)
        await run_schedule(runner, drain)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(sys.argv[1], Path(sys.argv[2])))
