"""The gateway's Prometheus metrics, in the words of the gateway."""

from streamdesk.runtime import exemplar, metrics
from streamdesk.websocket_gateway.domain.closing import CloseCode


class GatewayMetrics:
    """Records what the gateway does.

    Sockets count what they send and drop themselves; `totals` adds to the counters what has grown
    since the last call.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._dropped = 0
        self.connections(0)

    def connections(self, count: int) -> None:
        """Record how many sockets are open."""
        metrics.GW_CONNECTIONS.set(count)

    def disconnected(self, code: int) -> None:
        """Record the end of a socket; codes of clients are arbitrary and share one label."""
        metrics.GW_DISCONNECTS.labels(str(code) if code in tuple(CloseCode) else "peer").inc()

    def routed(self, event: str) -> None:
        """Record an event of the bus that was routed to its channels."""
        metrics.GW_EVENTS.labels(event).inc()

    def delivered(self, late_seconds: float) -> None:
        """Record the time from the publication of an event until it was queued for sockets."""
        metrics.GW_DELIVERY_LAG.observe(late_seconds, exemplar())

    def bus_up(self, *, up: bool) -> None:
        """Record whether the bus answers."""
        metrics.GW_BUS_UP.set(up)

    def totals(self, sent: int, dropped: int) -> None:
        """Record how many texts were sent and dropped since the start."""
        metrics.GW_MESSAGES_SENT.inc(sent - self._sent)
        metrics.GW_DROPPED.labels("conflate").inc(dropped - self._dropped)
        self._sent, self._dropped = sent, dropped
