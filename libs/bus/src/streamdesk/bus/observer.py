"""What the bus reports while it works; metrics and logs are somebody else's job."""

from typing import Protocol

from streamdesk.bus.watching.lag import GroupLag


class BusObserver(Protocol):
    """Told of everything that happens. Called on the event loop: must be quick, must not raise."""

    def published(self, topic: str, count: int) -> None:
        """So many events are on the server."""

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

    def retried(self, topic: str, group: str) -> None:
        """A message will come again."""

    def dead_lettered(self, topic: str, group: str, reason: str) -> None:
        """A message went to the dead letters."""

    def refused(self, topic: str) -> None:
        """A publish was refused because the queue is full."""

    def undecodable(self, topic: str, reason: str) -> None:
        """A reader without a group met an entry that it cannot read."""

    def connection_lost(self, error: str) -> None:
        """The server stopped answering."""

    def connection_restored(self, outage_seconds: float) -> None:
        """The server answers again."""

    def handler_failed(
        self, topic: str, group: str, event_id: str, error: BaseException, attempt: int, will: str
    ) -> None:
        """A handler raised; `will` says what becomes of the message."""

    def standing(self, lag: GroupLag) -> None:
        """Where a group stands, every few seconds from each of its running consumers."""

    def paused(self, topic: str, group: str, why: str) -> None:
        """A consumer stopped taking messages because most died."""

    def resumed(self, topic: str, group: str) -> None:
        """It takes messages again."""

    def cap_reached(self, topic: str, stream: str, length: int, cap: int) -> None:
        """Publishes are refused because a stream holds too much that a group has not finished."""

    def group_recreated(self, topic: str, group: str, cursor: str) -> None:
        """The server had lost a group; it was made again where it stood."""


class Unobserved:
    """Does nothing with what it is told."""

    def published(self, topic: str, count: int) -> None:
        """Ignore."""

    def consumed(
        self,
        topic: str,
        group: str,
        outcome: str,
        count: int,
        seconds: float,
        latency_seconds: float,
    ) -> None:
        """Ignore."""

    def retried(self, topic: str, group: str) -> None:
        """Ignore."""

    def dead_lettered(self, topic: str, group: str, reason: str) -> None:
        """Ignore."""

    def refused(self, topic: str) -> None:
        """Ignore."""

    def undecodable(self, topic: str, reason: str) -> None:
        """Ignore."""

    def connection_lost(self, error: str) -> None:
        """Ignore."""

    def connection_restored(self, outage_seconds: float) -> None:
        """Ignore."""

    def handler_failed(
        self, topic: str, group: str, event_id: str, error: BaseException, attempt: int, will: str
    ) -> None:
        """Ignore."""

    def standing(self, lag: GroupLag) -> None:
        """Ignore."""

    def paused(self, topic: str, group: str, why: str) -> None:
        """Ignore."""

    def resumed(self, topic: str, group: str) -> None:
        """Ignore."""

    def cap_reached(self, topic: str, stream: str, length: int, cap: int) -> None:
        """Ignore."""

    def group_recreated(self, topic: str, group: str, cursor: str) -> None:
        """Ignore."""
