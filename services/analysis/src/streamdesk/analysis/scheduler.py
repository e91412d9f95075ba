"""Refreshes the analyses at every slot: once over all replicas, started and stopped by anybody."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streamdesk.analysis.domain.slots import Every, Misfire
from streamdesk.analysis.errors import BusyScheduleError
from streamdesk.analysis.firing import Fire, Pace, Standing
from streamdesk.analysis.outcomes import RefreshReport
from streamdesk.analysis.slot_runner import SlotRunner
from streamdesk.bus import Keys
from streamdesk.contracts.base import Event
from streamdesk.runtime import Drain
from streamdesk.runtime.task_report import TaskReport

NAME = "hama"
TASK = "hama-refresh"
MOST_PREVIEWED = 100
REPORTS_OF_A_REFRESH = 100


class SchedulerStatus(BaseModel):
    """Where the schedule stands."""

    model_config = ConfigDict(frozen=True)

    running: bool = Field(description="Whether slots are fired, by whichever replica.")
    symbols_count: int = Field(description="Symbols that a slot refreshes, as of now.")
    interval_minutes: float = Field(description="From slot to slot.")
    leader: bool = Field(description="Whether this replica fires the slots.")
    available: bool = Field(
        description="Whether Redis told all this now; if not, it is what it told last, and "
        "nothing is fired until it answers."
    )
    last_slot: AwareDatetime | None = Field(description="Start of the slot that was fired last.")
    last_fired_at: AwareDatetime | None = Field(description="When it was fired.")
    last_ended_at: AwareDatetime | None = Field(description="When its work ended; none: it lasts.")
    last_outcome: str = Field(description="What came of it, in words.")
    next_slot: AwareDatetime | None = Field(description="Start of the next; none while stopped.")
    missed_slots: int = Field(description="Slots that nobody fired in time, and were let go.")


class Scheduler:
    """The schedule of this service.

    Args:
        keys: where replicas agree.
        refresh: makes analyses anew; never raises for one symbol's trouble.
        symbols: tells which ones a slot refreshes.
        report: takes reports about the refresh as a task; must not wait for anything.
        interval_seconds: from slot to slot.
        misfire: what becomes of missed slots.
        auto_start: whether it runs before anybody started or stopped it.
        clock: the time of day, with its zone.
        pace: how quickly it reacts.

    Raises:
        ValueError: an interval of less than a second.
    """

    def __init__(
        self,
        keys: Keys,
        refresh: Callable[[Sequence[str]], Awaitable[RefreshReport]],
        symbols: Callable[[], Awaitable[Sequence[str]]],
        report: Callable[[Event], None],
        *,
        interval_seconds: float,
        misfire: Misfire = Misfire.ONCE,
        auto_start: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        pace: Pace | None = None,
    ) -> None:
        self._refresh = refresh
        self._symbols = symbols
        self._report = report
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._by_hand = asyncio.Lock()
        self._runner = SlotRunner(
            NAME,
            keys,
            Every(interval_seconds),
            self._fire,
            misfire=misfire,
            auto_start=auto_start,
            clock=clock,
            pace=pace,
        )

    async def run(self, drain: Drain) -> None:
        """Fire slots while this replica leads, until the drain: a `Work`."""
        await self._runner.run(drain)

    async def start(self) -> None:
        """Fire slots from now on, on all replicas; what passed while it was stopped is let go.

        Raises:
            BusUnavailableError: Redis is away; it may be started or not.
            UnreadableScheduleError: what is written about the schedule cannot be read.
        """
        await self._runner.switch(running=True)

    async def stop(self) -> None:
        """Fire no slot any more, on any replica, until it is started; a refresh under way ends.

        Raises:
            BusUnavailableError: Redis is away; it may be stopped or not.
            UnreadableScheduleError: what is written about the schedule cannot be read.
        """
        await self._runner.switch(running=False)

    async def status(self) -> SchedulerStatus:
        """Where it stands; also while Redis is away."""
        standing = await self._runner.standing()
        last = standing.state.last if standing.state is not None else None
        return SchedulerStatus(
            running=standing.running,
            symbols_count=len(await self._symbols()),
            interval_minutes=self._interval_seconds / 60,
            leader=standing.leader,
            available=standing.known,
            last_slot=last.slot if last is not None else None,
            last_fired_at=last.fired_at if last is not None else None,
            last_ended_at=last.ended_at if last is not None else None,
            last_outcome=last.outcome if last is not None else "",
            next_slot=self._next(standing, self._clock()) if standing.running else None,
            missed_slots=standing.state.missed if standing.state is not None else 0,
        )

    async def preview(self, count: int) -> list[datetime]:
        """The next slots, as if it ran; at most a hundred."""
        standing = await self._runner.standing()
        slots: list[datetime] = []
        slot = self._next(standing, self._clock())
        while slot is not None and len(slots) < min(count, MOST_PREVIEWED):
            slots.append(slot)
            slot = self._next(standing, slot)
        return slots

    async def fire_now(self) -> RefreshReport:
        """Refresh here and now, beside the schedule, whether or not it runs or Redis is there.

        Raises:
            BusyScheduleError: this replica is at one already.
        """
        if self._by_hand.locked():
            raise BusyScheduleError("a refresh by hand is under way: wait for its answer")
        async with self._by_hand:
            now = self._clock().astimezone(UTC)
            return await self._as_task(f"{TASK}-by-hand-{now:%Y%m%dT%H%M%S.%fZ}")

    def _next(self, standing: Standing, moment: datetime) -> datetime | None:
        timetable = self._runner.timetable
        if standing.state is None:
            return timetable.after(moment)
        return standing.state.next_after(timetable, moment)

    async def _fire(self, fire: Fire) -> str:
        report = await self._as_task(f"{TASK}-{fire.slot:%Y%m%dT%H%M%SZ}")
        return in_words(report)

    async def _as_task(self, task_id: str) -> RefreshReport:
        symbols = await self._symbols()
        if not symbols:
            return RefreshReport()
        task = TaskReport(TASK, task_id, len(symbols), self._clock, resolution=REPORTS_OF_A_REFRESH)
        self._publish(task.advance(0))
        try:
            report = await self._refresh(symbols)
        except BaseException as error:
            self._publish(task.end(f"broken off: {error!r}", succeeded=False))
            raise
        self._publish(task.advance(len(symbols)))
        self._publish(task.end(in_words(report), succeeded=not report.failed))
        return report

    def _publish(self, event: Event | None) -> None:
        if event is not None:
            self._report(event)


def in_words(report: RefreshReport) -> str:
    """What came of a refresh, for people; names the first of the failed symbols."""
    if not report.refreshed and not report.failed:
        return "nothing to refresh"
    words = f"{report.refreshed} refreshed, {report.changed} changed"
    if not report.failed:
        return words
    symbol, why = next(iter(report.failed.items()))
    return f"{words}, {len(report.failed)} failed, as {symbol}: {why}"
