"""Serves one client from its greeting to its end."""

import time
from collections.abc import Callable
from functools import partial

from starlette.websockets import WebSocket

from streamdesk.websocket_gateway.adapters.sockets import ClientConnection
from streamdesk.websocket_gateway.application.open_connections import OpenConnections
from streamdesk.websocket_gateway.domain import protocol
from streamdesk.websocket_gateway.domain.access import ChannelAccess
from streamdesk.websocket_gateway.domain.closing import CloseCode
from streamdesk.websocket_gateway.domain.history import ChannelHistory
from streamdesk.websocket_gateway.domain.hub import Hub
from streamdesk.websocket_gateway.errors import ProtocolError

_ABNORMAL = 1006  # RFC 6455: the connection ended without a close frame


class ServeConnection:
    """Serves accepted sockets.

    Args:
        open_connection: makes the connection of an accepted socket.
        connections: the open connections.
        hub: the subscriptions.
        history: the recent events a new subscriber is shown.
        bus_state: whether the bus answers, as last seen.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        open_connection: Callable[[WebSocket, ChannelAccess], ClientConnection],
        connections: OpenConnections,
        hub: Hub,
        history: ChannelHistory,
        *,
        bus_state: Callable[[], protocol.BusState],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._open_connection = open_connection
        self._connections = connections
        self._hub = hub
        self._history = history
        self._bus_state = bus_state
        self._wall = wall

    async def run(
        self, socket: WebSocket, access: ChannelAccess, channels: tuple[str, ...]
    ) -> None:
        """Serve an accepted socket until it ends.

        Args:
            socket: the socket.
            access: what its token allows.
            channels: what it subscribes from the start.
        """
        connection = self._open_connection(socket, access)
        self._welcome(connection, channels)
        code = _ABNORMAL
        try:
            code = await connection.run(partial(self._on_message, connection))
        finally:
            self._hub.disconnect(connection.id)
            self._connections.remove(connection, code)

    def _welcome(self, connection: ClientConnection, channels: tuple[str, ...]) -> None:
        self._connections.add(connection)
        self._hub.connect(connection)
        limits = self._connections.limits
        connection.send(
            protocol.hello(
                connection=connection.id,
                user=connection.access.user,
                state_name=self._bus_state(),
                channels=self._hub.channels_of(connection.id),
                limits={
                    "channels": limits.max_channels,
                    "message_bytes": limits.max_message_bytes,
                    "idle_timeout_seconds": limits.idle_timeout_seconds,
                },
                at=protocol.timestamp(self._wall()),
            )
        )
        if channels:
            self._subscribe(connection, channels, None)
        if self._connections.draining:
            # The shutdown began between the handshake and here, and has not seen this connection.
            connection.close(CloseCode.SHUTDOWN, "the gateway is shutting down")

    def _on_message(self, connection: ClientConnection, text: str | bytes) -> None:
        try:
            message = protocol.parse(text)
        except ProtocolError as error:
            connection.send(protocol.error(error.code, str(error), error.message_id))
            return
        if message.type == "heartbeat":
            at = protocol.timestamp(self._wall())
            connection.send(protocol.heartbeat(at, message.message_id))
        elif message.type == "subscribe":
            self._subscribe(connection, message.channels, message.message_id)
        else:
            reply = self._hub.unsubscribe(connection, message.channels)
            connection.send(protocol.channels_reply("unsubscribed", reply, message.message_id))

    def _subscribe(
        self, connection: ClientConnection, channels: tuple[str, ...], message_id: str | int | None
    ) -> None:
        # Read before subscribing: the history leaves out what these channels have already replayed.
        before = self._hub.channels_of(connection.id)
        reply = self._hub.subscribe(connection, channels)
        connection.send(protocol.channels_reply("subscribed", reply, message_id))
        connection.replay(self._history.replay(reply.accepted, before))
