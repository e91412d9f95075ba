"""One replica of a schedule, as a process of its own, by a clock that the test sets.

Arguments: URL of the server, folder of the test, name of the schedule. The time is what the file
`clock` there says. Each fire is a line of `fires`: its beginning, then its end, or that it was
cancelled. Work lasts while a file `hold` is there.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.application.schedule.firing import Fire, SchedulePace
from streamdesk.analysis.application.schedule.slot_runner import SlotRunner
from streamdesk.analysis.domain.slots import Every, Misfire
from streamdesk.analysis.entrypoints.schedule import run_schedule
from streamdesk.bus import Bus, BusConfig
from streamdesk.runtime import Drain

LEASE_SECONDS = 6
PACE = SchedulePace(beat_seconds=0.2, grace_seconds=60, finish_seconds=30)


async def main(url: str, folder: Path, name: str) -> None:
    def clock() -> datetime:
        return datetime.fromtimestamp(float((folder / "clock").read_text()), UTC)

    def note(word: str, fire: Fire) -> None:
        line = f"{word} {int(fire.slot.timestamp())} {fire.attempt} {os.getpid()}\n"
        with (folder / "fires").open("a") as file:
            file.write(line)

    async def work(fire: Fire) -> str:
        note("begun", fire)
        try:
            while (folder / "hold").exists():
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            note("cancelled", fire)
            raise
        note("ended", fire)
        return "done"

    drain = Drain()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drain.request)
    async with Bus.connect(BusConfig(url=url, socket_timeout_seconds=2)) as bus:
        record = ScheduleRecord(name, bus.keys, auto_start=True, lease_seconds=LEASE_SECONDS)
        runner = SlotRunner(
            record,
            Every(300),
            work,
            misfire=Misfire.ONCE,
            clock=clock,
            pace=PACE,
        )
        running = asyncio.create_task(run_schedule(runner, drain))
        while (await runner.snapshot()).state is None:  # the schedule begins with the first look
            await asyncio.sleep(0.02)
        (folder / f"ready-{os.getpid()}").touch()
        await running


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
