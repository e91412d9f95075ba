"""Where a group stands, as callers see it."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.bus.backends.records import ConsumerState, GroupState, StreamLag

ACTIVE_SECONDS = 10.0
"""A consumer that was seen within this time counts as active.

One that runs names itself to the server at least every second while it has room for more, and at
least every five seconds while it has no room: that is how often it renews its leases.
"""


@dataclass(frozen=True, slots=True)
class ConsumerHealth:
    """What the server knows of one consumer of a group.

    Attributes:
        name: `<service>-<instance>-<random>`.
        pending: entries that it holds.
        idle_seconds: time since it last took, renewed or looked for entries.
        active: it was seen within ACTIVE_SECONDS; what an inactive one holds goes to another when
            its lease has run out.
    """

    name: str
    pending: int
    idle_seconds: float
    active: bool


@dataclass(frozen=True, slots=True)
class GroupLag:
    """Where one group stands on one topic, summed over the topic's classes or shards.

    Attributes:
        topic: name of the topic.
        group: name of the group; empty for a topic without groups.
        waiting: entries the group was not given yet.
        pending: entries that its consumers hold.
        delayed: messages that wait for their retry, and events published for later.
        dead: dead letters of the topic.
        oldest_pending_seconds: age of the oldest pending entry, since it was published.
        consumers: names known to the group.
        length: entries on the topic's streams.
        added: entries ever added to them.
        active_consumers: those of them that run, as far as the server knows.
        streams: the same for each stream, highest class first.
    """

    topic: str
    group: str
    waiting: int
    pending: int
    delayed: int
    dead: int
    oldest_pending_seconds: float | None
    consumers: int
    length: int
    added: int
    active_consumers: int = 0
    streams: tuple[StreamLag, ...] = ()


def group_lag(
    topic: str, group: str, states: Sequence[GroupState], dead: int, now_ms: int
) -> GroupLag:
    """The sum of what the server says.

    Args:
        topic: its name.
        group: its name; empty for none.
        states: one for each part of the topic.
        dead: dead letters of the topic.
        now_ms: the server's time.
    """
    streams = tuple(stream for state in states for stream in state.streams)
    health = consumer_health([row for state in states for row in state.consumers])
    return GroupLag(
        topic=topic,
        group=group,
        # Without a group nothing is waited for: the server would count the whole stream.
        waiting=sum(stream.waiting for stream in streams) if group else 0,
        pending=sum(stream.pending for stream in streams),
        delayed=sum(state.delayed for state in states),
        dead=dead,
        oldest_pending_seconds=_oldest_pending_seconds(states, now_ms),
        consumers=len(health),
        length=sum(stream.length for stream in streams),
        added=sum(state.added for state in states),
        active_consumers=sum(consumer.active for consumer in health),
        streams=streams,
    )


def _oldest_pending_seconds(states: Sequence[GroupState], now_ms: int) -> float | None:
    """The age of the oldest pending entry of all parts; None where nothing is pending."""
    times = [s.oldest_pending_ms for s in states if s.oldest_pending_ms is not None]
    # An entry's id can be ahead of the server's clock after a failover to a slower one.
    return max(0, now_ms - min(times)) / 1000 if times else None


def consumer_health(rows: Sequence[ConsumerState]) -> list[ConsumerHealth]:
    """One row a name, by name: a consumer is known to each stream that it took from."""
    by_name: dict[str, list[ConsumerState]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    idle = {name: min(row.idle_ms for row in same) / 1000 for name, same in by_name.items()}
    return [
        ConsumerHealth(
            name=name,
            pending=sum(row.pending for row in by_name[name]),
            idle_seconds=idle[name],
            active=idle[name] < ACTIVE_SECONDS,
        )
        for name in sorted(by_name)
    ]
