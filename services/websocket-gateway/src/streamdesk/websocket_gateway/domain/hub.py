"""The subscriptions: which connections listen to which channels.

A frame names all its channels, parents included (contracts.channels), so routing only looks names
up. A connection gets a frame once, even if it has subscribed several of its channels.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from streamdesk.contracts.channels import canonical_channel, is_channel
from streamdesk.websocket_gateway.domain.access import USER_PREFIX, ChannelAccess
from streamdesk.websocket_gateway.domain.frames import EventFrame
from streamdesk.websocket_gateway.domain.protocol import ChannelRefusal, ChannelsReply


class Recipient(Protocol):
    """A connection, as the hub sees it."""

    @property
    def id(self) -> str:
        """Unique id of the connection."""
        ...

    @property
    def access(self) -> ChannelAccess:
        """The channels it may see."""
        ...

    def offer(self, frame: EventFrame) -> None:
        """Queue a frame; never blocks, never raises."""
        ...


class Hub:
    """Connections and their channels.

    Args:
        max_channels: channels one connection may have.
    """

    def __init__(self, max_channels: int) -> None:
        self._max_channels = max_channels
        self._recipients: dict[str, Recipient] = {}
        self._channels_of: dict[str, dict[str, None]] = {}
        self._by_channel: dict[str, dict[str, Recipient]] = {}
        self.routed: Counter[str] = Counter()
        """Frames routed so far, by event type."""

    def __len__(self) -> int:
        return len(self._recipients)

    @property
    def connections(self) -> list[Recipient]:
        """The open connections."""
        return list(self._recipients.values())

    @property
    def subscriptions(self) -> int:
        """Channels subscribed, summed over connections."""
        return sum(len(channels) for channels in self._channels_of.values())

    def channels(self) -> dict[str, int]:
        """Channels with subscribers and how many; private channels only as their sum."""
        counts: Counter[str] = Counter()
        for name, recipients in self._by_channel.items():
            counts["user:*" if name.startswith(USER_PREFIX) else name] += len(recipients)
        return dict(sorted(counts.items()))

    def users(self) -> int:
        """How many distinct users are connected."""
        return len({r.access.user for r in self._recipients.values()} - {None})

    def channels_of(self, connection_id: str) -> tuple[str, ...]:
        """The channels of a connection, in the order of subscription."""
        return tuple(self._channels_of.get(connection_id, ()))

    def get(self, connection_id: str) -> Recipient | None:
        """The connection of this id, if it is here."""
        return self._recipients.get(connection_id)

    def connect(self, recipient: Recipient) -> None:
        """Add a connection; it listens to its user's private channel from the start."""
        self._recipients[recipient.id] = recipient
        self._channels_of[recipient.id] = {}
        if recipient.access.own_channel is not None:
            self._add(recipient, recipient.access.own_channel)

    def disconnect(self, connection_id: str) -> None:
        """Forget a connection and all its channels."""
        for channel in list(self._channels_of.pop(connection_id, ())):
            self._forget(connection_id, channel)
        self._recipients.pop(connection_id, None)

    def subscribe(self, recipient: Recipient, channels: Iterable[str]) -> ChannelsReply:
        """Subscribe the allowed channels; one that is subscribed already is accepted again.

        The reply has those of instruments under their one spelling.
        """
        accepted, refused = [], []
        for channel in map(canonical_channel, channels):
            refusal = self._refusal(recipient, channel)
            if refusal is None:
                self._add(recipient, channel)
                accepted.append(channel)
            else:
                refused.append(refusal)
        return ChannelsReply(tuple(accepted), tuple(refused))

    def unsubscribe(self, recipient: Recipient, channels: Iterable[str]) -> ChannelsReply:
        """Unsubscribe channels; one that is not subscribed is refused, the others are dropped."""
        accepted, refused = [], []
        subscribed = self._channels_of[recipient.id]
        for channel in map(canonical_channel, channels):
            if channel in subscribed:
                del subscribed[channel]
                self._forget(recipient.id, channel)
                accepted.append(channel)
            else:
                refused.append(
                    ChannelRefusal(channel, "not-subscribed", "this channel is not subscribed")
                )
        return ChannelsReply(tuple(accepted), tuple(refused))

    def route(self, frame: EventFrame) -> int:
        """Offer a frame to all subscribers of any of its channels; returns how many there are."""
        self.routed[frame.event] += 1
        targets: dict[str, Recipient] = {}
        for channel in frame.channels:
            targets.update(self._by_channel.get(channel, {}))
        for recipient in targets.values():
            recipient.offer(frame)
        return len(targets)

    def _refusal(self, recipient: Recipient, channel: str) -> ChannelRefusal | None:
        subscribed = self._channels_of[recipient.id]
        if not is_channel(channel):
            return ChannelRefusal(channel, "unknown-channel", "there is no channel of this name")
        if not recipient.access.may_see(channel):
            return ChannelRefusal(
                channel, "forbidden-channel", "the token does not allow this channel"
            )
        if channel not in subscribed and len(subscribed) >= self._max_channels:
            return ChannelRefusal(
                channel, "too-many-channels", f"a connection has {self._max_channels} at most"
            )
        return None

    def _add(self, recipient: Recipient, channel: str) -> None:
        self._channels_of[recipient.id][channel] = None
        self._by_channel.setdefault(channel, {})[recipient.id] = recipient

    def _forget(self, connection_id: str, channel: str) -> None:
        recipients = self._by_channel[channel]
        del recipients[connection_id]
        if not recipients:
            del self._by_channel[channel]
