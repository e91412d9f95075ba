"""Sends events of clients to channels, users and connections, without the bus."""

import time
from collections.abc import Callable
from uuid import uuid4

from streamdesk.contracts.base import JsonObject
from streamdesk.contracts.channels import canonical_channel, is_channel, with_parents
from streamdesk.websocket_gateway.domain import protocol
from streamdesk.websocket_gateway.domain.access import USER_PREFIX
from streamdesk.websocket_gateway.domain.frames import EventFrame, frame
from streamdesk.websocket_gateway.domain.hub import Hub
from streamdesk.websocket_gateway.errors import SendError


class SendEvents:
    """Sends events to the connections of this process.

    Args:
        hub: the subscriptions.
        wall: seconds since the epoch.
    """

    def __init__(self, hub: Hub, wall: Callable[[], float] = time.time) -> None:
        self._hub = hub
        self._wall = wall

    def to_channel(self, channel: str, event: str, data: JsonObject) -> int:
        """Send an event to all subscribers of a channel or its parent.

        Returns:
            How many connections of this process receive it.

        Raises:
            SendError: there is no such channel.
        """
        if not is_channel(channel):
            raise SendError("unknown-channel", f"there is no channel {channel!r}", status=404)
        channels = with_parents((canonical_channel(channel),))
        return self._hub.route(self._made(channels, event, data))

    def to_user(self, user: str, event: str, data: JsonObject) -> int:
        """Send an event to all connections of a user; returns how many there are here.

        Raises:
            SendError: the name cannot be that of a user.
        """
        return self.to_channel(f"{USER_PREFIX}{user}", event, data)

    def to_connection(self, connection_id: str, event: str, data: JsonObject) -> int:
        """Send an event to one connection; returns 1.

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
        at = protocol.timestamp(self._wall())
        return frame(channels, event, protocol.encode(data), event_id=str(uuid4()), at=at)
