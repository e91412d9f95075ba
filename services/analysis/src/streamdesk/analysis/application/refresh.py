"""Refreshes the analyses by a schedule, once a slot over all replicas, and on request."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.application.analyses.outcomes import RefreshReport
from streamdesk.analysis.application.schedule.firing import Fire, SchedulePace, ScheduleSnapshot
from streamdesk.analysis.application.schedule.slot_runner import SlotRunner
from streamdesk.analysis.domain.slots import Every, Misfire
from streamdesk.analysis.errors import BusyScheduleError
from streamdesk.contracts.base import Event
from streamdesk.runtime.task_report import TaskReport

NAME = "hama"
TASK = "hama-refresh"
MOST_PREVIEWED = 100
REPORTS_OF_A_REFRESH = 100


class SchedulerStatus(BaseModel):
    """The status of the schedule."""

    model_config = ConfigDict(frozen=True)

    running: bool = Field(description="Whether slots are fired, by whichever replica.")
    symbols_count: int = Field(description="Symbols that a slot refreshes, as of now.")
    interval_minutes: float = Field(description="From slot to slot.")
    leader: bool = Field(description="Whether this replica fires the slots.")
    available: bool = Field(
        description="Whether Redis answered just now; if not, this is its last known status, and "
        "nothing is fired until it answers."
    )
    last_slot: AwareDatetime | None = Field(description="Start of the slot that was fired last.")
    last_fired_at: AwareDatetime | None = Field(description="When it was fired.")
    last_ended_at: AwareDatetime | None = Field(
        description="When its refresh ended; none: in progress."
    )
    last_outcome: str = Field(description="Its outcome, in words.")
    next_slot: AwareDatetime | None = Field(description="Start of the next; none while stopped.")
    missed_slots: int = Field(description="Slots that were not fired in time, and are skipped.")


class Scheduler:
    """The schedule of refreshes.

    Args:
        record: of the schedule, which the replicas share.
        refresh: computes analyses anew; does not raise when single symbols fail.
        symbols: returns the symbols that a slot refreshes.
        report: publishes the progress of a refresh as a task; must not wait.
        interval_seconds: from slot to slot.
        clock: the time of day, with its zone.
        misfire: what becomes of missed slots.
        pace: how quickly the runner reacts.

    Raises:
        ValueError: an interval of less than a second.
    """

    def __init__(
        self,
        record: ScheduleRecord,
        refresh: Callable[[Sequence[str]], Awaitable[RefreshReport]],
        symbols: Callable[[], Awaitable[Sequence[str]]],
        report: Callable[[Event], None],
        *,
        interval_seconds: float,
        clock: Callable[[], datetime],
        misfire: Misfire = Misfire.ONCE,
        pace: SchedulePace | None = None,
    ) -> None:
        self._refresh = refresh
        self._symbols = symbols
        self._report = report
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._on_request = asyncio.Lock()
        self.runner = SlotRunner(
            record,
            Every(interval_seconds),
            self._fire,
            misfire=misfire,
            clock=clock,
            pace=pace,
        )

    async def start(self) -> None:
        """Start the schedule on all replicas; slots that passed while it was stopped are skipped.

        Raises:
            BusUnavailableError: Redis is unavailable; the schedule may be started or not.
            UnreadableScheduleError: the record of the schedule cannot be read.
        """
        await self.runner.switch(running=True)

    async def stop(self) -> None:
        """Stop the schedule on all replicas; a refresh in progress is finished.

        Raises:
            BusUnavailableError: Redis is unavailable; the schedule may be stopped or not.
            UnreadableScheduleError: the record of the schedule cannot be read.
        """
        await self.runner.switch(running=False)

    async def status(self) -> SchedulerStatus:
        """The status; the last known one while Redis is unavailable."""
        snapshot = await self.runner.snapshot()
        last = snapshot.state.last if snapshot.state is not None else None
        return SchedulerStatus(
            running=snapshot.running,
            symbols_count=len(await self._symbols()),
            interval_minutes=self._interval_seconds / 60,
            leader=snapshot.leader,
            available=snapshot.known,
            last_slot=last.slot if last is not None else None,
            last_fired_at=last.fired_at if last is not None else None,
            last_ended_at=last.ended_at if last is not None else None,
            last_outcome=last.outcome if last is not None else "",
            next_slot=self._next(snapshot, self._clock()) if snapshot.running else None,
            missed_slots=snapshot.state.missed if snapshot.state is not None else 0,
        )

    async def preview(self, count: int) -> list[datetime]:
        """The next slots, as if the schedule ran; at most a hundred."""
        snapshot = await self.runner.snapshot()
        slots: list[datetime] = []
        slot = self._next(snapshot, self._clock())
        while slot is not None and len(slots) < min(count, MOST_PREVIEWED):
            slots.append(slot)
            slot = self._next(snapshot, slot)
        return slots

    async def fire_now(self) -> RefreshReport:
        """Refresh in this process now, whether or not the schedule runs or Redis answers.

        Raises:
            BusyScheduleError: this replica has such a refresh in progress.
        """
        if self._on_request.locked():
            raise BusyScheduleError("a refresh on request is in progress: wait for its answer")
        async with self._on_request:
            now = self._clock().astimezone(UTC)
            return await self._as_task(f"{TASK}-by-hand-{now:%Y%m%dT%H%M%S.%fZ}")

    def _next(self, snapshot: ScheduleSnapshot, moment: datetime) -> datetime | None:
        timetable = self.runner.timetable
        if snapshot.state is None:
            return timetable.after(moment)
        return snapshot.state.next_after(timetable, moment)

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
            self._publish(task.end(f"interrupted: {error!r}", succeeded=False))
            raise
        self._publish(task.advance(len(symbols)))
        self._publish(task.end(in_words(report), succeeded=not report.failed))
        return report

    def _publish(self, event: Event | None) -> None:
        if event is not None:
            self._report(event)


def in_words(report: RefreshReport) -> str:
    """The outcome of a refresh, in words; names the first of the failed symbols."""
    if not report.refreshed and not report.failed:
        return "nothing to refresh"
    words = f"{report.refreshed} refreshed, {report.changed} changed"
    if not report.failed:
        return words
    symbol, why = next(iter(report.failed.items()))
    return f"{words}, {len(report.failed)} failed, as {symbol}: {why}"
