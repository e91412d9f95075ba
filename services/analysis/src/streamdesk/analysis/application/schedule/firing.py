"""The interface between the runner of a schedule and the actions that it runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from streamdesk.analysis.domain.slots import SlotState


@dataclass(frozen=True, slots=True)
class Fire:
    """A slot that is fired, as its action gets it.

    Args:
        id: the same for every attempt at this slot, and for no other slot.
        slot: its start.
        attempt: 1; more if processes that began it died.
    """

    id: str
    slot: datetime
    attempt: int


Action = Callable[[Fire], Awaitable[str]]
"""What a slot does; returns its outcome in words. It may be called again after a crash."""


@dataclass(frozen=True, slots=True)
class SchedulePace:
    """How quickly a runner reacts.

    Args:
        beat_seconds: time between two looks; a slot is also looked at when it begins.
        grace_seconds: how late a slot may be fired and still be on time.
        finish_seconds: how long a stop waits for the action in progress.
    """

    beat_seconds: float = 2.0
    grace_seconds: float = 60.0
    finish_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class ScheduleSnapshot:
    """A schedule at one moment.

    Args:
        running: whether slots are fired.
        leader: whether this process fires them.
        known: whether this was read now; otherwise it is what was read last.
        state: the slots so far; None before the first look of any process.
    """

    running: bool
    leader: bool
    known: bool
    state: SlotState | None
