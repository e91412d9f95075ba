"""What runners of schedules, and those who use them, tell each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from streamdesk.analysis.domain.slots import SlotState


@dataclass(frozen=True, slots=True)
class Fire:
    """What a fire is told.

    Args:
        id: the same for every attempt at this slot, and for no other slot.
        slot: its start.
        attempt: 1, or more when another process began it and died.
    """

    id: str
    slot: datetime
    attempt: int


Action = Callable[[Fire], Awaitable[str]]
"""The work of a slot; returns its outcome for people. It may come again after a crash."""


@dataclass(frozen=True, slots=True)
class SchedulePace:
    """How quickly a runner reacts.

    Args:
        beat_seconds: from look to look; slots are also looked at when they begin.
        grace_seconds: how late a slot may be fired and still be on time.
        finish_seconds: how long a stop waits for the work under way.
    """

    beat_seconds: float = 2.0
    grace_seconds: float = 60.0
    finish_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class ScheduleSnapshot:
    """Where a schedule stands.

    Args:
        running: whether slots are fired.
        leader: whether this process fires them.
        known: whether that could be read now; if not, it is what was read last.
        state: the slots so far; None before the first look of any process.
    """

    running: bool
    leader: bool
    known: bool
    state: SlotState | None
