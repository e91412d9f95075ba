"""Looks at a schedule when a slot begins, and regularly: APScheduler is the timer."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from streamdesk.analysis.application.schedule.slot_runner import SlotRunner
from streamdesk.analysis.domain.slots import Timetable
from streamdesk.runtime import Drain, logger

log = logger(__name__)

LARGEST_DRIFT_SECONDS = 0.5
"""Between the time of day and the monotonic clock; more is a jump."""

REPORTED_JUMP_SECONDS = 5.0

Clock = Callable[[], datetime]


class SlotTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler ships no types
    """The slots of a timetable, by the clock of the schedule.

    Args:
        timetable: when slots begin.
        clock: the time of day, with its zone.
    """

    def __init__(self, timetable: Timetable, clock: Clock) -> None:
        self._timetable = timetable
        self._clock = clock

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime | None:
        """The next slot, as a time of the clock of APScheduler."""
        here = self._clock()
        slot = self._timetable.after(here)
        return None if slot is None else now + (slot - here)


class SlotTimer:
    """Calls `wake` at each slot, so that the schedule is looked at without delay.

    Whether a slot is fired does not depend on this timer. APScheduler plans by the time of day: if
    that is set back, it sleeps until the old time comes again. So `resync` has to be called
    regularly: it compares the time of day with the monotonic clock.

    Args:
        timetable: when slots begin.
        clock: the time of day, with its zone.
        wake: called in the event loop.
    """

    def __init__(self, timetable: Timetable, clock: Clock, wake: Callable[[], None]) -> None:
        self._trigger = SlotTrigger(timetable, clock)
        self._clock = clock
        self._wake = wake
        self._offset = 0.0
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None}
        )
        self._job: Any = None

    def start(self) -> None:
        """Start; inside a running loop."""
        self._offset = self._measured()
        self._job = self._scheduler.add_job(self._strike, self._trigger)
        self._scheduler.start()

    def resync(self) -> float:
        """Plan anew if the time of day has jumped; returns the jump in seconds, 0 without one."""
        offset = self._measured()
        jump = offset - self._offset
        if abs(jump) < LARGEST_DRIFT_SECONDS:
            return 0.0
        self._offset = offset
        self._job.reschedule(self._trigger)
        return jump

    def stop(self) -> None:
        """Stop; one call of `wake` may still come."""
        self._scheduler.shutdown(wait=False)

    async def _strike(self) -> None:
        self._wake()

    def _measured(self) -> float:
        return self._clock().timestamp() - time.monotonic()


async def run_schedule(runner: SlotRunner, drain: Drain) -> None:
    """Look at a schedule, fire what is due, and look again, until the drain."""
    timer = SlotTimer(runner.timetable, runner.clock, runner.woken.set)
    timer.start()
    stopping = asyncio.create_task(drain.requested.wait())
    stopping.add_done_callback(lambda _: runner.woken.set())
    try:
        while not drain.requested.is_set():
            runner.woken.clear()
            if abs(jump_seconds := timer.resync()) >= REPORTED_JUMP_SECONDS:
                log.warning("clock jumped", schedule=runner.name, seconds=round(jump_seconds))
            if not await runner.look():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(runner.pace.beat_seconds):
                        await runner.woken.wait()
    finally:
        stopping.cancel()
        timer.stop()
        await runner.leave()
