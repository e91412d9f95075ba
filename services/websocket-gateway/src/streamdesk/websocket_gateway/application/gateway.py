"""The gateway's use cases together, and the figures over all of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from streamdesk.contracts.base import JsonObject
from streamdesk.websocket_gateway.application.follow_events import FollowEvents
from streamdesk.websocket_gateway.application.open_connections import OpenConnections
from streamdesk.websocket_gateway.application.send_events import SendEvents
from streamdesk.websocket_gateway.application.serve_connection import ServeConnection
from streamdesk.websocket_gateway.application.watch_bus import WatchBus
from streamdesk.websocket_gateway.domain.history import ChannelHistory
from streamdesk.websocket_gateway.domain.hub import Hub


@dataclass(slots=True)
class Gateway:
    """The use cases over one source of events.

    Args:
        hub: the subscriptions.
        history: the recent events.
        connections: the open connections.
        serve: serves sockets.
        follow: routes the events of the bus.
        watch: watches the bus.
        send: sends events of clients.
        now: monotonic seconds.
    """

    hub: Hub
    history: ChannelHistory
    connections: OpenConnections
    serve: ServeConnection
    follow: FollowEvents
    watch: WatchBus
    send: SendEvents
    now: Callable[[], float] = time.monotonic
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.now()

    def stats(self) -> JsonObject:
        """Figures of this process, for /ws/stats."""
        open_now = list(self.connections)
        return {
            "state": self.watch.state(),
            "uptime_seconds": round(self.now() - self._started, 1),
            "connections": len(self.connections),
            "accepted": self.connections.accepted,
            "users": self.hub.users(),
            "channels": len(self.hub.channels()),
            "subscriptions": self.hub.subscriptions,
            "sent": self.connections.sent,
            "dropped": self.connections.dropped,
            "queued_messages": sum(len(c.outbox) for c in open_now),
            "queued_bytes": sum(c.outbox.bytes for c in open_now),
            "closed": {str(code): count for code, count in sorted(self.connections.closed.items())},
            "events": dict(sorted(self.hub.routed.items())),
            "history": len(self.history),
        }
