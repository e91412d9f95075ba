"""An event as the socket carries it, encoded once however many sockets there are."""

import json
from dataclasses import dataclass

from streamdesk.contracts.base import Event
from streamdesk.contracts.channels import channels_of
from streamdesk.contracts.events import BarClosed, PortfolioValued

_LIVE = '{"type":"event",'
_REPLAYED = '{"type":"event","replayed":true,'


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, ready to be written.

    Args:
        channels: all it is seen on, the most specific first, parents included.
        event: the event's type name.
        live: the text of the socket frame.
        size: bytes of `live` in UTF-8.
        conflate_key: what it is the newest state of; when a socket's queue is full an older frame
            with the same key makes room. None for an event that must not be dropped.
    """

    channels: tuple[str, ...]
    event: str
    live: str
    size: int
    conflate_key: str | None = None

    @property
    def replayed(self) -> str:
        """The same text, marked as one from before the subscription."""
        return _REPLAYED + self.live[len(_LIVE) :]


def frame_of(event: Event, *, event_id: str, at: str) -> Frame:
    """Encode an event of the bus.

    Args:
        event: what happened.
        event_id: its id on the bus, the same however often it is delivered.
        at: when it was published, RFC 3339.
    """
    return frame(
        channels_of(event),
        event.type_name(),
        event.model_dump_json(),
        event_id=event_id,
        at=at,
        conflate_key=_conflate_key(event),
    )


def frame(
    channels: tuple[str, ...],
    event: str,
    data_json: str,
    *,
    event_id: str,
    at: str,
    conflate_key: str | None = None,
) -> Frame:
    """Put a frame together from a body that is JSON already."""
    head = json.dumps(
        {
            "channel": channels[0] if channels else None,
            "channels": channels,
            "event": event,
            "id": event_id,
            "at": at,
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )
    live = f'{_LIVE}{head[1:-1]},"data":{data_json}}}'
    return Frame(channels, event, live, len(live.encode()), conflate_key)


def _conflate_key(event: Event) -> str | None:
    """A newer bar or valuation says all that an older one of the same thing would."""
    if isinstance(event, BarClosed):
        return f"bar:{event.symbol}"
    if isinstance(event, PortfolioValued):
        return f"portfolio:{event.account}"
    return None
