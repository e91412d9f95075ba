"""Slots of a timetable: which are due, which were missed, which were fired already.

A slot is a moment of the timetable; its start names it. It is fired at most once, whatever the
clock does: after a jump forwards the policy decides about the slots in between, after a jump back
those that were fired before are left out when their time comes again.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SHORTEST_INTERVAL_SECONDS = 1.0

MOST_SLOTS = 100
"""Missed slots that are looked at: older ones are neither fired nor counted."""

MOST_STRETCHES = 50
"""Stretches of fired slots that are remembered apart."""

FIRST_LOOK_BACK = timedelta(hours=1)


class Misfire(StrEnum):
    """What becomes of slots whose time passed while nobody could fire."""

    SKIP = "skip"
    """Nothing: the next slot is the next fire."""

    ONCE = "once"
    """The latest of them is fired, for all."""

    ALL = "all"
    """Each is fired, oldest first."""


class Timetable(Protocol):
    """When slots begin."""

    def after(self, moment: datetime) -> datetime | None:
        """The first slot after a moment, in UTC; None when there is none any more."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """A slot at each multiple of an interval, counted from 1970 in UTC: the same everywhere.

    Args:
        interval_seconds: from slot to slot.

    Raises:
        ValueError: an interval of less than a second: slots are named to the second.
    """

    interval_seconds: float

    def __post_init__(self) -> None:
        if self.interval_seconds < SHORTEST_INTERVAL_SECONDS:
            raise ValueError(
                f"an interval of {self.interval_seconds} s: expected at least "
                f"{SHORTEST_INTERVAL_SECONDS} s"
            )

    def after(self, moment: datetime) -> datetime:
        """The next multiple."""
        interval = timedelta(seconds=self.interval_seconds)
        return EPOCH + ((moment - EPOCH) // interval + 1) * interval


def slots_between(
    timetable: Timetable, since: datetime, until: datetime, limit: int = MOST_SLOTS
) -> list[datetime]:
    """The latest slots after `since` up to `until`, oldest first, at most `limit`.

    A timetable only tells what comes next, so it is asked from ever further back: a gap of years
    costs no more than the slots that count.
    """
    look_back = FIRST_LOOK_BACK
    while True:
        start = max(since, until - look_back)
        slots = list(_walk(timetable, start, until))
        if len(slots) >= limit or start == since:
            return slots[-limit:]
        look_back *= 2


def _walk(timetable: Timetable, since: datetime, until: datetime) -> Iterator[datetime]:
    slot = timetable.after(since)
    while slot is not None and slot <= until:
        yield slot
        slot = timetable.after(slot)


@dataclass(frozen=True, slots=True)
class SlotDecision:
    """What to do about slots that are due.

    Args:
        fire: these, in this order.
        missed: how many are let go.
    """

    fire: tuple[datetime, ...]
    missed: int


def decide(
    due: Sequence[datetime], policy: Misfire, now: datetime, grace: timedelta
) -> SlotDecision:
    """Apply a policy to slots that are due.

    Args:
        due: their starts, oldest first.
        policy: for those that are late.
        now: the time.
        grace: a slot is late when it began longer ago than this; the time in which another
            process takes over is not to count.
    """
    if not due or policy is Misfire.ALL:
        return SlotDecision(tuple(due), 0)
    on_time = now - due[-1] <= grace
    if policy is Misfire.ONCE or on_time:
        return SlotDecision((due[-1],), len(due) - 1)
    return SlotDecision((), len(due))


class Firing(BaseModel):
    """One slot's fire, and how far it is."""

    model_config = ConfigDict(frozen=True)

    slot: AwareDatetime
    by: str
    """The process that does it."""

    fence: int
    """Number of the lease under which it was written; greater for each new holder."""

    attempt: int = 1
    """2 and more: taken up after the process that did it was gone."""

    fired_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    outcome: str = ""
    """For people; empty until it ended."""


class SlotState(BaseModel):
    """What is remembered of a timetable, across restarts and by all replicas."""

    model_config = ConfigDict(frozen=True)

    seen: AwareDatetime
    """Up to here all slots are dealt with."""

    fired: tuple[tuple[AwareDatetime, AwareDatetime], ...] = ()
    """Stretches in which every slot was fired, first and last slot of each, ascending."""

    last: Firing | None = None
    missed: int = 0
    """Slots that were let go, in all."""

    def has_fired(self, slot: datetime) -> bool:
        """Whether this slot was fired already."""
        return self._end_of_stretch(slot) is not None

    def dealt_with(self, now: datetime) -> datetime | None:
        """Up to when nothing is to do any more, seen from `now`; None when all is to come.

        What was fired or seen later than now, by a clock that was ahead, does not count: its
        slots come again, and only the fired ones of them are left out then. At None, note the time
        with `passing`.
        """
        until = [min(last, now) for first, last in self.fired if first <= now]
        if self.seen <= now:
            until.append(self.seen)
        return max(until, default=None)

    def due(self, timetable: Timetable, now: datetime, since: datetime | None) -> list[datetime]:
        """Slots to decide about.

        Args:
            timetable: when slots begin.
            now: the time.
            since: when it was started; what came before was not to be fired.
        """
        begins = [self.dealt_with(now), since if since is not None and since <= now else None]
        known = [moment for moment in begins if moment is not None]
        return slots_between(timetable, max(known), now) if known else []

    def firing(self, firing: Firing, timetable: Timetable, missed: int) -> Self:
        """The state after a slot is fired; `missed` more were let go for it."""
        return self.model_copy(
            update={
                "fired": _with_slot(self.fired, firing.slot, timetable),
                "last": firing,
                "missed": self.missed + missed,
            }
        )

    def passing(self, slot: datetime, missed: int) -> Self:
        """The state after slots up to this one are let go."""
        return self.model_copy(update={"seen": slot, "missed": self.missed + missed})

    def next_after(self, timetable: Timetable, moment: datetime) -> datetime | None:
        """The first slot after a moment that is still to be fired."""
        slot = timetable.after(moment)
        while slot is not None and (last := self._end_of_stretch(slot)) is not None:
            slot = timetable.after(last)
        return slot

    def _end_of_stretch(self, slot: datetime) -> datetime | None:
        return next((last for first, last in self.fired if first <= slot <= last), None)


Stretches = tuple[tuple[datetime, datetime], ...]


def _with_slot(stretches: Stretches, slot: datetime, timetable: Timetable) -> Stretches:
    """With one slot more; neighbours on the timetable become one stretch."""
    ordered = list(stretches)
    insort(ordered, (slot, slot))
    merged = ordered[:1]
    for first, last in ordered[1:]:
        before_first, before_last = merged[-1]
        follows = timetable.after(before_last)
        if first <= before_last or first == follows:
            merged[-1] = (before_first, max(before_last, last))
        else:
            merged.append((first, last))
    while len(merged) > MOST_STRETCHES:  # rather leave a slot out than fire one twice
        merged[:2] = [(merged[0][0], merged[1][1])]
    return tuple(merged)
