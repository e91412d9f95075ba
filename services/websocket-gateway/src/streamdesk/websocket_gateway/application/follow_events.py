"""Follows the events of the bus and routes them to the sockets."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from opentelemetry.trace import SpanKind

from streamdesk.runtime import Drain, span
from streamdesk.websocket_gateway.adapters.event_source import EventSource, SeenEvent
from streamdesk.websocket_gateway.adapters.metrics import GatewayMetrics
from streamdesk.websocket_gateway.domain import protocol
from streamdesk.websocket_gateway.domain.frames import frame_of
from streamdesk.websocket_gateway.domain.history import ChannelHistory
from streamdesk.websocket_gateway.domain.hub import Hub

EVENTS_A_TURN = 64  # routed before sockets and requests get their turn on the loop


class FollowEvents:
    """Routes every event of the bus.

    Args:
        source: the bus.
        hub: the subscriptions.
        history: remembers the recent events.
        metrics: counts the events and how late they are.
        history_seconds: how far back the bus is read at the start.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        source: EventSource,
        hub: Hub,
        history: ChannelHistory,
        metrics: GatewayMetrics,
        *,
        history_seconds: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._hub = hub
        self._history = history
        self._metrics = metrics
        self._history_seconds = history_seconds
        self._wall = wall
        self._started = wall()

    async def run(self, drain: Drain) -> None:
        """Route events until the drain."""
        count = 0
        async for seen in self._source.events(self._history_seconds, drain.requested):
            if seen.cause and self._is_new(seen):
                with _routing(seen):
                    self._route(seen)
            else:
                self._route(seen)
            count += 1
            if count % EVENTS_A_TURN == 0:
                await asyncio.sleep(0)

    def _route(self, seen: SeenEvent) -> None:
        made = frame_of(seen.event, event_id=seen.id, at=protocol.rfc3339(seen.published_at))
        self._history.add(made)
        self._hub.route(made)
        self._metrics.routed(made.event)
        if self._is_new(seen):
            self._metrics.delivered(max(0.0, self._wall() - seen.published_at.timestamp()))

    def _is_new(self, seen: SeenEvent) -> bool:
        """Whether it was published after the start: older ones are history, and not late."""
        return seen.published_at.timestamp() >= self._started


def _routing(seen: SeenEvent) -> AbstractContextManager[object]:
    """The span of an event on its way to the sockets; it ends its publisher's trace."""
    attributes = {
        "messaging.system": "redis",
        "messaging.destination.name": seen.topic,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": seen.id,
    }
    name = f"process {seen.topic}"
    return span(name, kind=SpanKind.CONSUMER, parent=seen.cause, attributes=attributes)
