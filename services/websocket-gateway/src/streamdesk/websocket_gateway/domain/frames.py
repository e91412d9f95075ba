"""An event as the socket carries it, encoded once however many sockets there are."""

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
    """One event, ready to be written.

    Args:
        channels: all it is seen on, the most specific first, parents included.
        event: the event's type name.
        live: the text of the socket frame.
        size: bytes of `live` in UTF-8.
        conflate_key: what it is the newest of; when a socket's queue is full an older frame with
            the same key makes room. None for an event that must not be dropped.
        is_state: it holds until the next of its key, which may be long in coming: only that one
            takes its place in a queue, and a new subscriber is shown the newest, however old.
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
    return EventFrame(channels, event, live, len(live.encode()), conflate_key, is_state)


def _conflate_key(event: Event) -> str | None:
    """A newer one of the same key says all that matters of an older one."""
    if isinstance(event, BarClosed):
        return f"bar:{event.symbol}"
    if isinstance(event, PortfolioValued):
        return f"portfolio:{event.account}"
    if isinstance(event, HamaChanged):
        return f"hama:{event.symbol}:{event.preset}:{event.interval_seconds}"
    if isinstance(event, TaskProgressed):
        return f"progress:{event.task_id}"
    if isinstance(event, StockIndicatorsCompleted):
        # Thousands come at once: they make room for each other, so that bars need not.
        return f"stocks:{event.task_id}"
    return None
