"""Fires each slot of a timetable exactly once, whichever of several processes does it.

One process leads: it holds a fenced lease. To fire a slot is to write it into the state, in one
step with the checks that the lease is still ours and that the state is what we think: of two who
believe that they lead one fails, and then does nothing. A server that does not answer means that
nothing is fired. What is written before the work begins is ended by another process if this one
dies: the same fire, a further attempt.
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
"""Processes that may die of one slot before it is given up: it probably kills them."""

FireOutcome = Literal["fired", "taken-up", "failed", "given-up"]


class SlotRunner:
    """One schedule of this process and of its replicas.

    Args:
        record: where replicas agree.
        timetable: when slots begin.
        action: what to do in a slot.
        misfire: what becomes of missed slots.
        clock: the time of day, with its zone.
        pace: how quickly it reacts.
        expected: failures of the work whose message says it all: no traceback is logged.
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
        self._work: asyncio.Task[str] | None = None
        self._last = Reading(text=None, state=None, running=record.auto_start, since=None)
        self._known = False

    async def snapshot(self) -> ScheduleSnapshot:
        """Where it stands now, or stood when it could last be read."""
        with contextlib.suppress(BusUnavailableError, UnreadableScheduleError):
            await self._read()
        last = self._last
        return ScheduleSnapshot(last.running, self._lease.held, self._known, last.state)

    async def switch(self, *, running: bool) -> None:
        """Start or stop it everywhere; work under way is ended. No change: nothing happens.

        Raises:
            BusUnavailableError: the server is away; it may be switched or not.
            UnreadableScheduleError: what is written about the schedule cannot be read.
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
        """One look; returns whether the next one is due at once."""
        known = self._known
        await self._lease.acquire()
        try:
            reading = await self._read()
            if self._work is not None and self._is_anothers(reading.state):
                log.warning("work taken up by another process", schedule=self.name)
                self._work.cancel()
            more = self._lease.held and await self._lead(reading)
        except (BusUnavailableError, UnreadableScheduleError) as error:
            if known:
                log.warning("nothing is fired", schedule=self.name, error=str(error))
            self._known = more = False
        metrics.SCHEDULER_LEADER.labels(self.name).set(self._lease.held)
        return more

    def _is_anothers(self, state: SlotState | None) -> bool:
        return state is not None and state.last is not None and state.last.by != self._me

    async def _lead(self, reading: Reading) -> bool:
        """What the leader does in a look."""
        state, now = reading.state, self.clock()
        if self._work is not None:
            return self._work.done() and await self._end(self._work, reading)
        if state is None:
            await self._put(SlotState(seen=now), reading)
            return False
        if not reading.running:
            return False
        if state.last is not None and state.last.ended_at is None:
            return await self._resume(state, state.last, reading)
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
            if await self._put(state.passing(due[-1], decision.missed), reading):
                self._count_missed(decision.missed, due[-1])
            return
        firing = Firing(slot=decision.fire[0], by=self._me, fence=self._lease.fence, fired_at=now)
        if await self._put(state.firing(firing, self.timetable, decision.missed), reading):
            self._count_missed(decision.missed, firing.slot)
            self._begin(firing, "fired")

    async def _resume(self, state: SlotState, firing: Firing, reading: Reading) -> bool:
        """Begin what was fired, but is in nobody's hands any more."""
        if firing.by == self._me:  # we wrote it, and the answer was lost
            self._begin(firing, "fired")
            return False
        if firing.attempt >= MOST_ATTEMPTS:
            outcome = f"given up: {firing.attempt} processes began it, none ended it"
            ended = firing.model_copy(update={"ended_at": self.clock(), "outcome": outcome})
            if await self._put(state.model_copy(update={"last": ended}), reading):
                self._tell("given-up", ended)
            return True
        again = firing.model_copy(
            update={"by": self._me, "fence": self._lease.fence, "attempt": firing.attempt + 1}
        )
        if await self._put(state.model_copy(update={"last": again}), reading):
            self._begin(again, "taken-up")
        return False

    async def _put(self, state: SlotState, reading: Reading) -> bool:
        return await self._record.write(state, reading)

    def _begin(self, firing: Firing, outcome: FireOutcome) -> None:
        self._tell(outcome, firing)
        slot = firing.slot.astimezone(UTC)
        fire = Fire(f"{self.name}-{slot:%Y%m%dT%H%M%SZ}", slot, firing.attempt)
        self._work = asyncio.create_task(self._act(fire), name=fire.id)
        self._work.add_done_callback(lambda _: self.woken.set())

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

    async def _end(self, work: asyncio.Task[str], reading: Reading) -> bool:
        """Note that our work is over; tried again until the server has it."""
        state = reading.state
        last = None if state is None or self._is_anothers(state) else state.last
        unfinished = last is not None and last.ended_at is None
        if state is not None and last is not None and unfinished and not work.cancelled():
            ended = {"ended_at": self.clock(), "outcome": work.result()}
            last = last.model_copy(update=ended)
            await self._put(state.model_copy(update={"last": last}), reading)
        self._work = None
        return True

    async def leave(self) -> None:
        """Let the work under way end, or else leave it to another process; give the lease back."""
        work = self._work
        if work is not None:
            await asyncio.wait({work}, timeout=self.pace.finish_seconds)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
            with contextlib.suppress(BusUnavailableError, UnreadableScheduleError):
                await self._end(work, await self._read())
        await self._lease.release()
        metrics.SCHEDULER_LEADER.labels(self.name).set(0)

    def _count_missed(self, missed: int, until: datetime) -> None:
        if missed:
            metrics.SCHEDULER_MISSED_SLOTS.labels(self.name).inc(missed)
            log.warning("missed", schedule=self.name, slots=missed, until=until.isoformat())

    def _tell(self, outcome: FireOutcome, firing: Firing) -> None:
        metrics.SCHEDULER_FIRES.labels(self.name, outcome).inc()
        log.info(
            outcome,
            schedule=self.name,
            slot=firing.slot.isoformat(),
            attempt=firing.attempt,
            fence=firing.fence,
            outcome=firing.outcome or None,
        )
