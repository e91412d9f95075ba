"""The sockets that are open: room for more, idle and expired ones, and the shutdown."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streamdesk.runtime import Drain, logger
from streamdesk.websocket_gateway.adapters.metrics import GatewayMetrics
from streamdesk.websocket_gateway.adapters.sockets import ClientConnection
from streamdesk.websocket_gateway.domain.closing import CloseCode

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of connections; see the settings of the same names."""

    queue_messages: int = 1_000
    queue_bytes: int = 1 << 20
    max_connections: int = 10_000
    max_channels: int = 128
    max_message_bytes: int = 65_536
    idle_timeout_seconds: float = 60.0
    sweep_seconds: float = 30.0
    stall_timeout_seconds: float = 10.0


class OpenConnections:
    """The open connections, and totals that include the closed ones.

    Args:
        limits: bounds.
        metrics: counts them.
        now: monotonic seconds.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        metrics: GatewayMetrics,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits
        self.draining = False
        """Whether all are being closed and no more are accepted."""
        self.accepted = 0
        """Connections since the start."""
        self.closed: Counter[int] = Counter()
        """Closed connections since the start, by close code."""
        self._metrics = metrics
        self._now = now
        self._wall = wall
        self._open: dict[str, ClientConnection] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed_sent = self._closed_dropped = 0

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[ClientConnection]:
        # A copy: what is done with a connection may end it, or another.
        return iter(list(self._open.values()))

    @property
    def full(self) -> bool:
        """Whether no further connection is accepted."""
        return self.draining or len(self._open) >= self.limits.max_connections

    @property
    def sent(self) -> int:
        """Texts written since the start."""
        return self._closed_sent + sum(c.sent for c in self._open.values())

    @property
    def dropped(self) -> int:
        """Frames dropped for newer ones since the start."""
        return self._closed_dropped + sum(c.outbox.dropped for c in self._open.values())

    def add(self, connection: ClientConnection) -> None:
        """Count a connection as open."""
        self._open[connection.id] = connection
        self._empty.clear()
        self.accepted += 1
        self._metrics.connections(len(self._open))

    def remove(self, connection: ClientConnection, code: int) -> None:
        """Count a connection as closed with this code."""
        del self._open[connection.id]
        if not self._open:
            self._empty.set()
        self.closed[code] += 1
        self._closed_sent += connection.sent
        self._closed_dropped += connection.outbox.dropped
        self._metrics.connections(len(self._open))
        self._metrics.disconnected(code)
        if code == CloseCode.SLOW_CONSUMER:
            log.warning("slow reader closed", connection=connection.id, sent=connection.sent)

    def send_to_all(self, text: str) -> None:
        """Queue a message that is not an event for every connection."""
        for connection in self:
            connection.send(text)

    async def sweep(self, drain: Drain) -> None:
        """Close idle and expired connections until the drain."""
        while not await drain.sleep(self.limits.sweep_seconds):
            self.sweep_once()

    def sweep_once(self) -> None:
        """Close what is idle or expired now."""
        now, wall = self._now(), self._wall()
        for connection in self:
            if connection.access.expired(wall):
                connection.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
            elif now - connection.last_heard > self.limits.idle_timeout_seconds:
                seconds = self.limits.idle_timeout_seconds
                connection.close(CloseCode.IDLE, f"nothing was received for {seconds:g} s")

    async def close_all(self, timeout_seconds: float) -> None:
        """Accept no more connections, close all with 4001, and wait until they have ended."""
        self.draining = True
        for connection in self:
            connection.close(CloseCode.SHUTDOWN, "the gateway is shutting down")
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            log.warning("sockets did not close in time", connections=len(self._open))
