"""Counts what passes over a bus, and passes it on to another observer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamdesk.bus import BusObserver
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


class EventCounts(BusObserver):
    """An observer that counts by event type and passes everything on to the next one.

    Args:
        then: the next observer; each of its methods is called with what this one is called with.
    """

    def __init__(self, then: BusObserver) -> None:
        self._then = then
        self._type_of = {kind.topic.name: kind for kind in EventType}
        self._statistics = {kind: Statistics() for kind in EventType}
        for name, method in vars(BusObserver).items():
            if callable(method) and not name.startswith("_") and name not in vars(EventCounts):
                setattr(self, name, getattr(then, name))  # not counted: the next one's, directly

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
