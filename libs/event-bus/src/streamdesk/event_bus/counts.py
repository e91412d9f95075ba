"""Counts what passes over a bus, and passes it on to another observer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamdesk.bus import BusObserver, GroupLag
from streamdesk.event_bus.event_types import EventType

ACKNOWLEDGED = "ack"


@dataclass(frozen=True, slots=True)
class Statistics:
    """What happened to the events of one type, in this process, since it began.

    Attributes:
        published: written to the bus.
        consumed: handled, with any outcome; one that is retried counts each time.
        failed: of those, the ones that were not acknowledged.
        dead: dead-lettered, including events that could not be read.
    """

    published: int = 0
    consumed: int = 0
    failed: int = 0
    dead: int = 0

    def plus(self, **more: int) -> "Statistics":
        """The same with some figures raised."""
        return replace(self, **{name: getattr(self, name) + by for name, by in more.items()})


class EventCounts:
    """An observer that counts by event type and passes everything on to the next one.

    Args:
        then: the next observer.
    """

    def __init__(self, then: BusObserver) -> None:
        self._then = then
        self._type_of = {kind.topic.name: kind for kind in EventType}
        self._statistics = {kind: Statistics() for kind in EventType}

    def statistics(self) -> Mapping[EventType, Statistics]:
        """The figures now."""
        return dict(self._statistics)

    def _add(self, topic: str, **more: int) -> None:
        kind = self._type_of.get(topic)
        if kind is not None:
            self._statistics[kind] = self._statistics[kind].plus(**more)

    def published(self, topic: str, count: int) -> None:
        """Count, and pass on."""
        self._add(topic, published=count)
        self._then.published(topic, count)

    def consumed(
        self,
        topic: str,
        group: str,
        outcome: str,
        count: int,
        seconds: float,
        latency_seconds: float,
    ) -> None:
        """Count, and pass on."""
        self._add(topic, consumed=count, failed=0 if outcome == ACKNOWLEDGED else count)
        self._then.consumed(topic, group, outcome, count, seconds, latency_seconds)

    def dead_lettered(self, topic: str, group: str, reason: str) -> None:
        """Count, and pass on."""
        self._add(topic, dead=1)
        self._then.dead_lettered(topic, group, reason)

    def retried(self, topic: str, group: str) -> None:
        """Pass on."""
        self._then.retried(topic, group)

    def refused(self, topic: str) -> None:
        """Pass on."""
        self._then.refused(topic)

    def undecodable(self, topic: str, reason: str) -> None:
        """Pass on."""
        self._then.undecodable(topic, reason)

    def connection_lost(self, error: str) -> None:
        """Pass on."""
        self._then.connection_lost(error)

    def connection_restored(self, outage_seconds: float) -> None:
        """Pass on."""
        self._then.connection_restored(outage_seconds)

    def handler_failed(
        self, topic: str, group: str, event_id: str, error: BaseException, attempt: int, will: str
    ) -> None:
        """Pass on."""
        self._then.handler_failed(topic, group, event_id, error, attempt, will)

    def standing(self, lag: GroupLag) -> None:
        """Pass on."""
        self._then.standing(lag)

    def paused(self, topic: str, group: str, why: str) -> None:
        """Pass on."""
        self._then.paused(topic, group, why)

    def resumed(self, topic: str, group: str) -> None:
        """Pass on."""
        self._then.resumed(topic, group)

    def cap_reached(self, topic: str, stream: str, length: int, cap: int) -> None:
        """Pass on."""
        self._then.cap_reached(topic, stream, length, cap)

    def group_recreated(self, topic: str, group: str, cursor: str) -> None:
        """Pass on."""
        self._then.group_recreated(topic, group, cursor)
