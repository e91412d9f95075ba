"""The health of the event bus, by type and group."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamdesk.bus import GroupLag
from streamdesk.event_bus.event_types import EventType


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """One group of consumers.

    Attributes:
        group: its name.
        active_consumers: those that are alive.
        waiting: entries not delivered to it yet.
        pending: entries delivered and not acknowledged.
        delayed: messages waiting for their time.
        oldest_pending_seconds: age of the oldest pending entry; None without any.
    """

    group: str
    active_consumers: int
    waiting: int
    pending: int
    delayed: int
    oldest_pending_seconds: float | None


@dataclass(frozen=True, slots=True)
class TypeHealth:
    """One type of events.

    Attributes:
        added: entries ever written.
        length: entries on the server.
        dead: dead letters.
        groups: the groups that read it; empty where all readers only watch.
    """

    added: int
    length: int
    dead: int
    groups: tuple[GroupHealth, ...]


@dataclass(frozen=True, slots=True)
class BusHealth:
    """The event bus as a whole.

    Attributes:
        connected: the server answers.
        types: each type; empty while the server does not answer.
    """

    connected: bool
    types: Mapping[EventType, TypeHealth]


def type_health(rows: list[GroupLag]) -> TypeHealth:
    """The health of a topic from the bus's rows, one for each group."""
    first = rows[0]
    return TypeHealth(
        added=first.added,
        length=first.length,
        dead=first.dead,
        groups=tuple(
            GroupHealth(
                group=row.group,
                active_consumers=row.active_consumers,
                waiting=row.waiting,
                pending=row.pending,
                delayed=row.delayed,
                oldest_pending_seconds=row.oldest_pending_seconds,
            )
            for row in rows
            if row.group
        ),
    )
