"""The slots of a timetable: due, missed, or already fired.

A slot is a moment of the timetable; its start names it. It is fired at most once, whatever the
clock does: after a jump forwards the policy decides about the slots in between; after a jump
backwards, slots that were fired before are skipped when their time comes again.
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
"""Most missed slots that are considered: older ones are neither fired nor counted."""

MOST_STRETCHES = 50
"""Most stretches of fired slots that are remembered separately."""

FIRST_LOOK_BACK = timedelta(hours=1)


class Misfire(StrEnum):
    """What happens to slots whose time passed while no process could fire them."""

    SKIP = "skip"
    """None is fired: the next fire is the next slot."""

    ONCE = "once"
    """The latest is fired, for all of them."""

    ALL = "all"
    """Each is fired, oldest first."""


class Timetable(Protocol):
    """The moments at which slots begin."""

    def after(self, moment: datetime) -> datetime | None:
        """The first slot after a moment, in UTC; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """A slot at each multiple of an interval, counted from 1970 in UTC: the same everywhere.

    Args:
        interval_seconds: from slot to slot.

    Raises:
        ValueError: the interval is shorter than a second: slots are named to the second.
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

    A timetable can only be read forwards, so it is read from further and further back: a gap of
    years costs no more than the slots that count.
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
        fire: the slots to fire, in this order.
        missed: how many are skipped.
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
        grace: a slot is late if it began longer ago than this. It covers the time in which another
            process takes over.
    """
    if not due or policy is Misfire.ALL:
        return SlotDecision(tuple(due), 0)
    on_time = now - due[-1] <= grace
    if policy is Misfire.ONCE or on_time:
        return SlotDecision((due[-1],), len(due) - 1)
    return SlotDecision((), len(due))


class Firing(BaseModel):
    """The fire of one slot, and its progress."""

    model_config = ConfigDict(frozen=True)

    slot: AwareDatetime
    by: str
    """The process that runs its action."""

    fence: int
    """Number of the lease under which it was written; it grows with each new holder."""

    attempt: int = 1
    """2 and more: resumed after the process before had died."""

    fired_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    outcome: str = ""
    """In words; empty until it has ended."""


class SlotState(BaseModel):
    """What is known of a schedule, across restarts and by all replicas."""

    model_config = ConfigDict(frozen=True)

    seen: AwareDatetime
    """Up to this moment all slots are decided."""

    fired: tuple[tuple[AwareDatetime, AwareDatetime], ...] = ()
    """Stretches in which every slot was fired, first and last slot of each, ascending."""

    last: Firing | None = None
    missed: int = 0
    """Slots that were skipped, in all."""

    def has_fired(self, slot: datetime) -> bool:
        """Whether this slot was fired already."""
        return self._end_of_stretch(slot) is not None

    def dealt_with(self, now: datetime) -> datetime | None:
        """The moment up to which all slots are decided, seen from `now`; None if there is none.

        What was fired or decided later than now, by a clock that was ahead, does not count: its
        slots come again, and only the fired ones are skipped then. At None, write the time with
        `passing`.
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
            since: when the schedule was started; earlier slots are not missed.
        """
        begins = [self.dealt_with(now), since if since is not None and since <= now else None]
        known = [moment for moment in begins if moment is not None]
        return slots_between(timetable, max(known), now) if known else []

    def firing(self, firing: Firing, timetable: Timetable, missed: int) -> Self:
        """The state after a slot is fired, and `missed` others are skipped for it."""
        return self.model_copy(
            update={
                "fired": _with_slot(self.fired, firing.slot, timetable),
                "last": firing,
                "missed": self.missed + missed,
            }
        )

    def passing(self, slot: datetime, missed: int) -> Self:
        """The state after the slots up to this one are skipped."""
        return self.model_copy(update={"seen": slot, "missed": self.missed + missed})

    def next_after(self, timetable: Timetable, moment: datetime) -> datetime | None:
        """The first slot after a moment that is not yet fired."""
        slot = timetable.after(moment)
        while slot is not None and (last := self._end_of_stretch(slot)) is not None:
            slot = timetable.after(last)
        return slot

    def _end_of_stretch(self, slot: datetime) -> datetime | None:
        return next((last for first, last in self.fired if first <= slot <= last), None)


Stretches = tuple[tuple[datetime, datetime], ...]


def _with_slot(stretches: Stretches, slot: datetime, timetable: Timetable) -> Stretches:
    """The stretches with one more slot; neighbours on the timetable become one stretch."""
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
    while (
        len(merged) > MOST_STRETCHES
    ):  # a slot in the gap is then skipped: better than one fired twice
        merged[:2] = [(merged[0][0], merged[1][1])]
    return tuple(merged)
