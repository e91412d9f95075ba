"""Watches whether the bus answers, and reports changes to every client."""

from streamdesk.runtime import Drain, logger
from streamdesk.websocket_gateway.adapters.event_source import EventSource
from streamdesk.websocket_gateway.adapters.metrics import GatewayMetrics
from streamdesk.websocket_gateway.application.open_connections import OpenConnections
from streamdesk.websocket_gateway.domain import protocol

log = logger(__name__)

WATCH_SECONDS = 1.0


class WatchBus:
    """Checks the bus once a second, and brings the counters of the sockets up to date.

    Args:
        source: the bus.
        connections: the open connections.
        metrics: records both.
    """

    def __init__(
        self, source: EventSource, connections: OpenConnections, metrics: GatewayMetrics
    ) -> None:
        self._source = source
        self._connections = connections
        self._metrics = metrics
        self._state: protocol.BusState = "ok"

    def state(self) -> protocol.BusState:
        """Whether the bus answered at the last check."""
        return self._state

    async def run(self, drain: Drain) -> None:
        """Check the bus until the drain."""
        while not await drain.sleep(WATCH_SECONDS):
            await self.check()

    async def check(self) -> None:
        """Check whether the bus answers, and report a change to every client."""
        state: protocol.BusState = "ok" if await self._source.reachable() else "degraded"
        self._metrics.bus_up(up=state == "ok")
        self._metrics.totals(self._connections.sent, self._connections.dropped)
        if state == self._state:
            return
        self._state = state
        reason = "" if state == "ok" else "Redis is unreachable; events resume when it answers"
        log.warning("state changed", state=state, connections=len(self._connections))
        self._connections.send_to_all(protocol.state(state, reason))
