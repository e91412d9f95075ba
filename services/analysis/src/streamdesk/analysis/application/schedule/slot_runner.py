"""Fires each slot of a timetable exactly once over several processes.

One process leads: it holds a fenced lease. A slot is fired by writing it into the state, atomically
with two checks: that this process still holds the lease, and that the state is the one that it
read. Of two processes that both believe to lead, one write fails, and that process does nothing.
While the server is unavailable nothing is fired. The write precedes the action, so another process
can finish a slot whose process died: the same fire, a further attempt.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from streamdesk.analysis.adapters.schedule_record import Reading, ScheduleRecord
from streamdesk.analysis.application.schedule.firing import (
    Action,
    Fire,
    SchedulePace,
    ScheduleSnapshot,
)
from streamdesk.analysis.domain.slots import Firing, Misfire, SlotState, Timetable, decide
from streamdesk.analysis.errors import UnreadableScheduleError
from streamdesk.bus import BusUnavailableError
from streamdesk.runtime import logger, metrics

log = logger(__name__)

MOST_ATTEMPTS = 5
"""Attempts at a slot, each of a process that died, after which it is given up: a slot that ended so
many processes probably kills them."""

FireOutcome = Literal["fired", "taken-up", "failed", "given-up"]


class SlotRunner:
    """One schedule of this process and of its replicas.

    Args:
        record: of the schedule, which the replicas share.
        timetable: when slots begin.
        action: what to do in a slot.
        misfire: what becomes of missed slots.
        clock: the time of day, with its zone.
        pace: how quickly the runner reacts.
        expected: failures of the action that are logged without a traceback.
    """

    def __init__(
        self,
        record: ScheduleRecord,
        timetable: Timetable,
        action: Action,
        *,
        misfire: Misfire,
        clock: Callable[[], datetime],
        pace: SchedulePace | None = None,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name = record.name
        self.timetable = timetable
        self.clock = clock
        self.pace = pace or SchedulePace()
        self.woken = asyncio.Event()
        self._action = action
        self._misfire = misfire
        self._expected = expected
        self._record = record
        self._lease = record.lease
        self._me = secrets.token_hex(6)
        self._action_task: asyncio.Task[str] | None = None
        self._last = Reading(text=None, state=None, running=record.auto_start, since=None)
        self._known = False

    async def snapshot(self) -> ScheduleSnapshot:
        """The schedule now, or as it was last read."""
        with contextlib.suppress(BusUnavailableError, UnreadableScheduleError):
            await self._read()
        last = self._last
        return ScheduleSnapshot(last.running, self._lease.held, self._known, last.state)

    async def switch(self, *, running: bool) -> None:
        """Start or stop the schedule on all replicas; an action in progress is finished.

        Raises:
            BusUnavailableError: the server is unavailable; the schedule may be switched or not.
            UnreadableScheduleError: the record of the schedule cannot be read.
        """
        if (await self._read()).running != running:
            await self._record.switch(running=running, now=self.clock())
            log.info("started" if running else "stopped", schedule=self.name)
        self.woken.set()

    async def _read(self) -> Reading:
        self._known = False
        self._last = await self._record.read()
        self._known = True
        return self._last

    async def look(self) -> bool:
        """Look once and fire what is due; returns whether to look again at once."""
        known = self._known
        await self._lease.acquire()
        try:
            reading = await self._read()
            if self._action_task is not None and self._is_anothers(reading.state):
                # This process lost the lease, for example because it was suspended, and its
                # successor has begun a further attempt: two must not run the same slot.
                log.warning("action resumed by another process", schedule=self.name)
                self._action_task.cancel()
            more = self._lease.held and await self._lead(reading)
        except (BusUnavailableError, UnreadableScheduleError) as error:
            if known:  # at the first failed look alone
                log.warning("nothing is fired", schedule=self.name, error=str(error))
            self._known = more = False
        metrics.SCHEDULER_LEADER.labels(self.name).set(self._lease.held)
        return more

    def _is_anothers(self, state: SlotState | None) -> bool:
        return state is not None and state.last is not None and state.last.by != self._me

    async def _lead(self, reading: Reading) -> bool:
        """What the leader does in a look; returns whether to look again at once."""
        state, now = reading.state, self.clock()
        # One slot after the other: while its action lasts, nothing else is fired. When it has
        # ended, other slots may have come due meanwhile, so the next look follows at once.
        if self._action_task is not None:
            return self._action_task.done() and await self._end(self._action_task, reading)
        # The very first look of a new schedule: slots before it are not missed.
        if state is None:
            await self._put(SlotState(seen=now), reading)
            return False
        if not reading.running:
            return False
        # Fired but not ended, and not by an action of this process: its process died.
        if state.last is not None and state.last.ended_at is None:
            return await self._resume(state, state.last, reading)
        # All that is known lies in the future: the clock was set back before the first slot. Count
        # from now, or nothing would be due until the clock has caught up.
        if state.dealt_with(now) is None and (reading.since is None or reading.since > now):
            log.warning("clock is behind all slots so far", schedule=self.name)
            await self._put(state.passing(now, 0), reading)
            return False
        await self._fire_due(state, reading, now)
        return False

    async def _fire_due(self, state: SlotState, reading: Reading, now: datetime) -> None:
        due = state.due(self.timetable, now, reading.since)
        decision = decide(due, self._misfire, now, timedelta(seconds=self.pace.grace_seconds))
        if not due:
            return
        if not decision.fire:
            # All are skipped. Written too, so that they are counted as missed once.
            if await self._put(state.passing(due[-1], decision.missed), reading):
                self._count_missed(decision.missed, due[-1])
            return
        # One slot a look, though the policy may fire several: the others are still due afterwards.
        firing = Firing(slot=decision.fire[0], by=self._me, fence=self._lease.fence, fired_at=now)
        if await self._put(state.firing(firing, self.timetable, decision.missed), reading):
            self._count_missed(decision.missed, firing.slot)
            self._start(firing, "fired")

    async def _resume(self, state: SlotState, firing: Firing, reading: Reading) -> bool:
        """Run the action of a slot that was fired, and that no process runs."""
        if firing.by == self._me:  # this process wrote it, and the server's answer was lost
            self._start(firing, "fired")
            return False
        if firing.attempt >= MOST_ATTEMPTS:
            outcome = f"given up: {firing.attempt} processes began it, none ended it"
            ended = firing.model_copy(update={"ended_at": self.clock(), "outcome": outcome})
            if await self._put(state.model_copy(update={"last": ended}), reading):
                self._report("given-up", ended)
            return True
        again = firing.model_copy(
            update={"by": self._me, "fence": self._lease.fence, "attempt": firing.attempt + 1}
        )
        if await self._put(state.model_copy(update={"last": again}), reading):
            self._start(again, "taken-up")
        return False

    async def _put(self, state: SlotState, reading: Reading) -> bool:
        return await self._record.write(state, reading)

    def _start(self, firing: Firing, outcome: FireOutcome) -> None:
        self._report(outcome, firing)
        slot = firing.slot.astimezone(UTC)
        fire = Fire(f"{self.name}-{slot:%Y%m%dT%H%M%SZ}", slot, firing.attempt)
        self._action_task = asyncio.create_task(self._act(fire), name=fire.id)
        self._action_task.add_done_callback(lambda _: self.woken.set())

    async def _act(self, fire: Fire) -> str:
        try:
            return await self._action(fire)
        except self._expected as error:
            why = str(error)
            log.warning("slot failed", schedule=self.name, slot=fire.slot.isoformat(), error=why)
        except Exception as error:
            why = repr(error)
            log.exception("slot failed", schedule=self.name, slot=fire.slot.isoformat())
        metrics.SCHEDULER_FIRES.labels(self.name, "failed").inc()
        return f"failed: {why}"

    async def _end(self, action: asyncio.Task[str], reading: Reading) -> bool:
        """Write that the action of this process has ended; repeated until the server has it."""
        state = reading.state
        # Nothing is written of a slot that another process has resumed: it will end it. Nor of a
        # cancelled action: it stays unfinished, for another process to resume.
        last = None if state is None or self._is_anothers(state) else state.last
        unfinished = last is not None and last.ended_at is None
        if state is not None and last is not None and unfinished and not action.cancelled():
            ended = {"ended_at": self.clock(), "outcome": action.result()}
            last = last.model_copy(update=ended)
            await self._put(state.model_copy(update={"last": last}), reading)
        self._action_task = None
        return True

    async def leave(self) -> None:
        """Wait a little for the action, or leave it to another process; release the lease."""
        action = self._action_task
        if action is not None:
            await asyncio.wait({action}, timeout=self.pace.finish_seconds)
            if not action.done():
                action.cancel()
                await asyncio.wait({action})
            with contextlib.suppress(BusUnavailableError, UnreadableScheduleError):
                await self._end(action, await self._read())
        await self._lease.release()
        metrics.SCHEDULER_LEADER.labels(self.name).set(0)

    def _count_missed(self, missed: int, until: datetime) -> None:
        if missed:
            metrics.SCHEDULER_MISSED_SLOTS.labels(self.name).inc(missed)
            log.warning("missed", schedule=self.name, slots=missed, until=until.isoformat())

    def _report(self, outcome: FireOutcome, firing: Firing) -> None:
        metrics.SCHEDULER_FIRES.labels(self.name, outcome).inc()
        log.info(
            outcome,
            schedule=self.name,
            slot=firing.slot.isoformat(),
            attempt=firing.attempt,
            fence=firing.fence,
            outcome=firing.outcome or None,
        )
