"""An event as sockets carry it, encoded once for all of them."""

import json
from dataclasses import dataclass

from streamdesk.contracts.base import Event
from streamdesk.contracts.channels import channels_of
from streamdesk.contracts.events import (
    BarClosed,
    HamaChanged,
    PortfolioValued,
    StockIndicatorsCompleted,
    TaskProgressed,
)

_LIVE = '{"type":"event",'
_REPLAYED = '{"type":"event","replayed":true,'


@dataclass(frozen=True, slots=True)
class EventFrame:
    """One event, encoded and ready to be written.

    Args:
        channels: all channels that carry it, the most specific first, parents included.
        event: the event's type name.
        live: the text of the socket frame.
        size: bytes of `live` in UTF-8.
        conflate_key: identifies frames of which only the newest matters; when a socket's queue is
            full an older frame with the same key is dropped. None for an event that must not be
            dropped.
        is_state: the frame is valid until the next one with its key, which may not come for days.
            In a queue only that one replaces it, and a new subscriber is shown it at any age.
    """

    channels: tuple[str, ...]
    event: str
    live: str
    size: int
    conflate_key: str | None = None
    is_state: bool = False

    @property
    def replayed(self) -> str:
        """The same text, marked as one from before the subscription."""
        return _REPLAYED + self.live[len(_LIVE) :]


def frame_of(event: Event, *, event_id: str, at: str) -> EventFrame:
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
        is_state=isinstance(event, HamaChanged),
    )


def frame(
    channels: tuple[str, ...],
    event: str,
    data_json: str,
    *,
    event_id: str,
    at: str,
    conflate_key: str | None = None,
    is_state: bool = False,
) -> EventFrame:
    """Build a frame from a body that is JSON already."""
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
    return EventFrame(channels, event, live, len(live.encode()), conflate_key, is_state)


def _conflate_key(event: Event) -> str | None:
    """The key of events of which a newer one makes an older one obsolete."""
    if isinstance(event, BarClosed):
        return f"bar:{event.symbol}"
    if isinstance(event, PortfolioValued):
        return f"portfolio:{event.account}"
    if isinstance(event, HamaChanged):
        return f"hama:{event.symbol}:{event.preset}:{event.interval_seconds}"
    if isinstance(event, TaskProgressed):
        return f"progress:{event.task_id}"
    if isinstance(event, StockIndicatorsCompleted):
        # Thousands arrive within a second: they replace each other rather than displace bars.
        return f"stocks:{event.task_id}"
    return None
