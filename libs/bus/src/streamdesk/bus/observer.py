"""What the bus reports while it runs; metrics and logs are made of it elsewhere."""

# ruff: noqa: ARG002 - the arguments are for subclasses: the base ignores them

from typing import Protocol

from streamdesk.bus.watching.lag import GroupLag


class BusObserver(Protocol):
    """Is called with everything that happens; subclasses override what they need.

    It is called on the event loop: it must be quick and must not raise. It is also a protocol: a
    class that has all these methods fits without importing the bus.
    """

    def published(self, topic: str, count: int) -> None:
        """So many events are on the server."""
        return

    def consumed(
        self,
        topic: str,
        group: str,
        outcome: str,
        count: int,
        seconds: float,
        latency_seconds: float,
    ) -> None:
        """A handler ended after `seconds`, so long after the (oldest) event's publication.

        Called once for all events of a batch that ended alike; `count` says how many.
        """
        return

    def retried(self, topic: str, group: str) -> None:
        """A message will come again."""
        return

    def dead_lettered(self, topic: str, group: str, reason: str) -> None:
        """A message went to the dead letters."""
        return

    def refused(self, topic: str) -> None:
        """A publish was refused because the queue is full."""
        return

    def undecodable(self, topic: str, reason: str) -> None:
        """A reader without a group met an entry that it cannot read."""
        return

    def connection_lost(self, error: str) -> None:
        """The server stopped answering."""
        return

    def connection_restored(self, outage_seconds: float) -> None:
        """The server answers again."""
        return

    def handler_failed(
        self, topic: str, group: str, event_id: str, error: BaseException, attempt: int, will: str
    ) -> None:
        """A handler raised; `will` says what becomes of the message."""
        return

    def lag_measured(self, lag: GroupLag) -> None:
        """Where a group stands, every few seconds from each of its running consumers."""
        return

    def paused(self, topic: str, group: str, why: str) -> None:
        """A consumer stopped taking messages because most died."""
        return

    def resumed(self, topic: str, group: str) -> None:
        """It takes messages again."""
        return

    def displaced(
        self, topic: str, group: str, priority: int | None, by_priority: int | None
    ) -> None:
        """A full queue gave an unread message up for one of a higher class: a dead letter."""
        return

    def cap_reached(self, topic: str, stream: str, length: int, cap: int) -> None:
        """Publishes are refused because a stream holds too much that a group has not finished."""
        return

    def group_recreated(self, topic: str, group: str, cursor: str) -> None:
        """The server had lost a group; it was made again where it stood."""
        return


class Unobserved(BusObserver):
    """Ignores everything."""
