"""What the bus reports while it works; metrics and logs are somebody else's job."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class BusObserver(Protocol):
    """Told of everything that happens. Called on the event loop: must be quick, must not raise."""

    def published(self, topic: str, count: int) -> None:
        """So many events are on the server."""

    def consumed(
        self, topic: str, group: str, outcome: str, seconds: float, latency_seconds: float
    ) -> None:
        """A handler ended after `seconds`, `latency_seconds` after the event's publication."""

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


class Tracer(Protocol):
    """Carries the trace across the bus."""

    def inject(self) -> str:
        """The current span as a W3C traceparent, empty when there is none."""

    def span(self, name: str, traceparent: str) -> AbstractContextManager[object]:
        """A span that continues `traceparent`, current inside the context."""


class Unobserved:
    """Does nothing with what it is told."""

    def published(self, topic: str, count: int) -> None:
        """Ignore."""

    def consumed(
        self, topic: str, group: str, outcome: str, seconds: float, latency_seconds: float
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


class Untraced:
    """Carries no trace."""

    def inject(self) -> str:
        """No trace."""
        return ""

    def span(self, name: str, traceparent: str) -> AbstractContextManager[object]:  # noqa: ARG002 - the protocol's signature
        """No span."""
        return nullcontext()
