"""The gateway at work: events in from the bus, out to sockets; sends, sweeps, and the drain."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from uuid import uuid4

from starlette.websockets import WebSocket

from streamdesk.contracts.base import JsonObject
from streamdesk.contracts.channels import is_channel, with_parents
from streamdesk.runtime import Drain, exemplar, logger, metrics, span
from streamdesk.websocket_gateway.adapters.event_source import EventSource, SeenEvent
from streamdesk.websocket_gateway.adapters.sockets import ClientConnection
from streamdesk.websocket_gateway.domain import protocol
from streamdesk.websocket_gateway.domain.access import USER_PREFIX, ChannelAccess
from streamdesk.websocket_gateway.domain.closing import CloseCode
from streamdesk.websocket_gateway.domain.frames import EventFrame, frame, frame_of
from streamdesk.websocket_gateway.domain.history import ChannelHistory
from streamdesk.websocket_gateway.domain.hub import Hub
from streamdesk.websocket_gateway.domain.outbox import ClientOutbox
from streamdesk.websocket_gateway.errors import ProtocolError, SendError

log = logger("websocket-gateway")

EVENTS_A_TURN = 64  # routed before sockets and requests get their turn on the loop
WATCH_SECONDS = 1.0
State = Literal["ok", "degraded"]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of the gateway; see the settings of the same names."""

    queue_messages: int = 1_000
    queue_bytes: int = 1 << 20
    max_connections: int = 10_000
    max_channels: int = 128
    max_message_bytes: int = 65_536
    idle_timeout_seconds: float = 60.0
    sweep_seconds: float = 30.0
    stall_timeout_seconds: float = 10.0
    history_events: int = 200
    history_bars: int = 400
    history_seconds: float = 900.0


class Gateway:
    """Sends to channels, users and connections, and keeps the sockets.

    Args:
        source: the bus.
        limits: bounds.
        now: monotonic seconds.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        source: EventSource,
        limits: ConnectionLimits,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits
        self.state: State = "ok"
        self._source = source
        self._now = now
        self._wall = wall
        self._hub = Hub(limits.max_channels)
        self._history = ChannelHistory(events=limits.history_events, bars=limits.history_bars)
        self._connections: dict[str, ClientConnection] = {}
        metrics.GW_CONNECTIONS.set(0)
        self._closed: Counter[int] = Counter()
        self._past_sent = self._past_dropped = self._accepted = 0
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._started = now()
        self._started_wall = wall()
        self._reported_sent = self._reported_dropped = 0

    # -- sends --------------------------------------------------------------------------------

    def send_to_channel(self, channel: str, event: str, data: JsonObject) -> int:
        """Send an event to all who listen to a channel or its parent.

        Returns:
            How many connections of this process get it.

        Raises:
            SendError: there is no such channel.
        """
        if not is_channel(channel):
            raise SendError("unknown-channel", f"there is no channel {channel!r}", status=404)
        return self._hub.route(self._made(with_parents((channel,)), event, data))

    def send_to_user(self, user: str, event: str, data: JsonObject) -> int:
        """Send an event to all connections of a user; returns how many there are here.

        Raises:
            SendError: no user can be called so.
        """
        return self.send_to_channel(f"{USER_PREFIX}{user}", event, data)

    def send_to_connection(self, connection_id: str, event: str, data: JsonObject) -> int:
        """Send an event to one connection.

        Raises:
            SendError: it is not connected here.
        """
        recipient = self._hub.get(connection_id)
        if recipient is None:
            raise SendError(
                "unknown-connection", f"no connection {connection_id!r} here", status=404
            )
        recipient.offer(self._made((), event, data))
        return 1

    def _made(self, channels: tuple[str, ...], event: str, data: JsonObject) -> EventFrame:
        body = protocol.encode(data)
        return frame(channels, event, body, event_id=str(uuid4()), at=self._timestamp())

    # -- sockets ------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether no further connection is taken."""
        return self._draining or len(self._connections) >= self.limits.max_connections

    async def serve(
        self, socket: WebSocket, access: ChannelAccess, channels: tuple[str, ...]
    ) -> None:
        """Serve an accepted socket until it ends."""
        limits = self.limits
        connection = ClientConnection(
            socket,
            uuid4().hex,
            access,
            ClientOutbox(limits.queue_messages, limits.queue_bytes),
            now=self._now,
            stall_seconds=limits.stall_timeout_seconds,
        )
        self._welcome(connection, channels)
        code = 1006
        try:
            code = await connection.run(partial(self._on_message, connection))
        finally:
            self._farewell(connection, code)

    def _welcome(self, connection: ClientConnection, channels: tuple[str, ...]) -> None:
        self._connections[connection.id] = connection
        self._empty.clear()
        self._accepted += 1
        metrics.GW_CONNECTIONS.set(len(self._connections))
        self._hub.connect(connection)
        connection.tell(
            protocol.hello(
                connection=connection.id,
                user=connection.access.user,
                state_name=self.state,
                channels=self._hub.channels_of(connection.id),
                limits={
                    "channels": self.limits.max_channels,
                    "message_bytes": self.limits.max_message_bytes,
                    "idle_timeout_seconds": self.limits.idle_timeout_seconds,
                },
                at=self._timestamp(),
            )
        )
        if channels:
            self._subscribe(connection, channels, None)
        if self._draining:
            connection.close(CloseCode.SHUTDOWN, "the gateway is going down")

    def _farewell(self, connection: ClientConnection, code: int) -> None:
        self._hub.disconnect(connection.id)
        del self._connections[connection.id]
        if not self._connections:
            self._empty.set()
        self._closed[code] += 1
        self._past_sent += connection.sent
        self._past_dropped += connection.outbox.dropped
        metrics.GW_CONNECTIONS.set(len(self._connections))
        metrics.GW_DISCONNECTS.labels(str(code) if code in tuple(CloseCode) else "peer").inc()
        if code == CloseCode.SLOW_CONSUMER:
            log.warning("slow reader closed", connection=connection.id, sent=connection.sent)

    def _on_message(self, connection: ClientConnection, text: str | bytes) -> None:
        try:
            message = protocol.parse(text)
        except ProtocolError as error:
            connection.tell(protocol.error(error.code, str(error), error.message_id))
            return
        if message.type == "heartbeat":
            connection.tell(protocol.heartbeat(self._timestamp(), message.message_id))
        elif message.type == "subscribe":
            self._subscribe(connection, message.channels, message.message_id)
        else:
            reply = self._hub.unsubscribe(connection, message.channels)
            connection.tell(protocol.channels_reply("unsubscribed", reply, message.message_id))

    def _subscribe(
        self, connection: ClientConnection, channels: tuple[str, ...], message_id: str | int | None
    ) -> None:
        before = self._hub.channels_of(connection.id)
        reply = self._hub.subscribe(connection, channels)
        connection.tell(protocol.channels_reply("subscribed", reply, message_id))
        connection.replay(self._history.replay(reply.accepted, before))

    # -- works --------------------------------------------------------------------------------

    async def pump(self, drain: Drain) -> None:
        """Route every event of the bus until the drain."""
        count = 0
        async for seen in self._source.events(self.limits.history_seconds, drain.requested):
            if seen.cause and self._is_new(seen):
                with _routing(seen):
                    self._route(seen)
            else:
                self._route(seen)
            count += 1
            if count % EVENTS_A_TURN == 0:
                await asyncio.sleep(0)

    def _route(self, seen: SeenEvent) -> None:
        made = frame_of(seen.event, event_id=seen.id, at=_rfc3339(seen.published_at))
        self._history.add(made)
        self._hub.route(made)
        metrics.GW_EVENTS.labels(made.event).inc()
        if self._is_new(seen):
            late = max(0.0, self._wall() - seen.published_at.timestamp())
            metrics.GW_DELIVERY_LAG.observe(late, exemplar())

    def _is_new(self, seen: SeenEvent) -> bool:
        """Whether it is no history: what was published before the start is not late."""
        return seen.published_at.timestamp() >= self._started_wall

    async def watch(self, drain: Drain) -> None:
        """Tell everyone when the bus goes away and when it is back."""
        while not await drain.sleep(WATCH_SECONDS):
            await self.look()

    async def look(self) -> None:
        """See whether the bus answers, and tell everyone if that has changed."""
        state: State = "ok" if await self._source.reachable() else "degraded"
        metrics.GW_BUS_UP.set(state == "ok")
        self._report()
        if state == self.state:
            return
        self.state = state
        reason = "" if state == "ok" else "redis is out of reach; events resume when it is back"
        log.warning("state changed", state=state, connections=len(self._connections))
        text = protocol.state(state, reason)
        for connection in list(self._connections.values()):
            connection.tell(text)

    async def sweep(self, drain: Drain) -> None:
        """Close idle and expired connections until the drain."""
        while not await drain.sleep(self.limits.sweep_seconds):
            self.sweep_once()

    def sweep_once(self) -> None:
        """Close what is idle or expired now."""
        now, wall = self._now(), self._wall()
        for connection in list(self._connections.values()):
            if connection.access.expired(wall):
                connection.close(CloseCode.TOKEN_EXPIRED, "the token is expired")
            elif now - connection.last_heard > self.limits.idle_timeout_seconds:
                seconds = self.limits.idle_timeout_seconds
                connection.close(CloseCode.IDLE, f"nothing was heard for {seconds:g} s")

    async def close_all(self, timeout_seconds: float) -> None:
        """Take no more connections, close all with 4001, and wait until they are gone."""
        self._draining = True
        for connection in list(self._connections.values()):
            connection.close(CloseCode.SHUTDOWN, "the gateway is going down")
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            log.warning("sockets did not close in time", connections=len(self._connections))

    def _report(self) -> None:
        """Bring the counters of what sockets did up to date."""
        sent, dropped = self._sent(), self._dropped()
        metrics.GW_MESSAGES_SENT.inc(sent - self._reported_sent)
        metrics.GW_DROPPED.labels("conflate").inc(dropped - self._reported_dropped)
        self._reported_sent, self._reported_dropped = sent, dropped

    def _sent(self) -> int:
        return self._past_sent + sum(c.sent for c in self._connections.values())

    def _dropped(self) -> int:
        return self._past_dropped + sum(c.outbox.dropped for c in self._connections.values())

    # -- views --------------------------------------------------------------------------------

    def stats(self) -> JsonObject:
        """Figures of this process, for /ws/stats."""
        open_now = self._connections.values()
        return {
            "state": self.state,
            "uptime_seconds": round(self._now() - self._started, 1),
            "connections": len(self._connections),
            "accepted": self._accepted,
            "users": self._hub.users(),
            "channels": len(self._hub.channels()),
            "subscriptions": self._hub.subscriptions,
            "sent": self._sent(),
            "dropped": self._dropped(),
            "queued_messages": sum(len(c.outbox) for c in open_now),
            "queued_bytes": sum(c.outbox.bytes for c in open_now),
            "closed": {str(code): count for code, count in sorted(self._closed.items())},
            "events": dict(sorted(self._hub.routed.items())),
            "history": len(self._history),
        }

    def channels(self) -> dict[str, int]:
        """Channels with subscribers, and how many, for /ws/channels."""
        return self._hub.channels()

    def _timestamp(self) -> str:
        return _rfc3339(datetime.fromtimestamp(self._wall(), UTC))


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
    return span(name, kind="consumer", parent=seen.cause, attributes=attributes)


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
