"""When the next round is due: APScheduler inside the process, as the clock."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

LARGEST_DRIFT_SECONDS = 0.5
"""Between the time of day and the monotonic clock; more is a jump."""

Clock = Callable[[], datetime]


class RoundTimer:
    """Calls `wake` when a round is due, then once per interval, each time a little later.

    Wakings that are missed while the process is busy become one. APScheduler plans by the time
    of day: when that is set back, it would sleep until the old time comes again. Call `resync`
    regularly to prevent that.

    Args:
        jitter_seconds: a round comes later by up to this, so that not all clients ask at once.
        clock: the current time, with its zone.
    """

    def __init__(self, jitter_seconds: float, clock: Clock) -> None:
        self._jitter_seconds = jitter_seconds
        self._wake: Callable[[], None] = lambda: None
        self._clock = clock
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._job: Any = None
        self._interval_seconds = 0.0
        self._offset = 0.0

    def start(self, wake: Callable[[], None]) -> None:
        """Start, inside a running loop. Nothing is due before the first plan.

        Args:
            wake: called in the event loop whenever a round is due.
        """
        self._wake = wake
        self._offset = self._clock_offset()
        self._scheduler.start()

    @property
    def interval_seconds(self) -> float | None:
        """From one waking to the next; None while nothing is planned."""
        return None if self._job is None else self._interval_seconds

    @property
    def next_at(self) -> datetime | None:
        """When it wakes next, by APScheduler's clock; None while nothing is planned."""
        return None if self._job is None else self._job.next_run_time

    def plan(self, first_at: datetime | None, interval_seconds: float) -> None:
        """Wake at `first_at`, then once per interval; replaces the plan before.

        Args:
            first_at: when, by our clock, plus the jitter; None, or a time that has passed, for at
                once and without it.
            interval_seconds: from one waking to the next.
        """
        self._interval_seconds = interval_seconds
        self.cancel()
        if first_at is None or first_at <= self._clock():
            self._wake()
            first_at = self._clock() + timedelta(seconds=interval_seconds)
        late = random.uniform(0, self._jitter_seconds)  # noqa: S311 - spreads load, hides nothing
        wait = first_at - self._clock() + timedelta(seconds=late)
        trigger = IntervalTrigger(
            seconds=interval_seconds, timezone=UTC, jitter=self._jitter_seconds or None
        )
        # Given, not left to the trigger: that skips a beginning which has passed meanwhile.
        first = datetime.now(UTC) + wait
        self._job = self._scheduler.add_job(self._strike, trigger, next_run_time=first)

    def cancel(self) -> None:
        """Wake no more until the next plan."""
        if self._job is not None:
            self._job.remove()
            self._job = None

    def resync(self) -> float:
        """Plan anew if the time of day has jumped; returns by how many seconds, 0 for no jump."""
        offset = self._clock_offset()
        jump = offset - self._offset
        if abs(jump) < LARGEST_DRIFT_SECONDS:
            return 0.0
        self._offset = offset
        if self._job is not None:
            after = timedelta(seconds=self._interval_seconds)
            self.plan(self._clock() + after, self._interval_seconds)
        return jump

    def stop(self) -> None:
        """Stop; one more call of `wake` may follow."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _strike(self) -> None:
        self._wake()

    def _clock_offset(self) -> float:
        return self._clock().timestamp() - time.monotonic()
