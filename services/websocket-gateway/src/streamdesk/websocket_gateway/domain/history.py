"""The recent events a new subscriber is shown, so that no screen starts empty.

There is one ring for each event type, and for bars one for each instrument. A subscriber of the
whole market gets the last bar of each instrument, a subscriber of one instrument its whole ring. Of
a state (`EventFrame.is_state`) the newest of each key is kept regardless of its age, because it is
still valid. The history fills a screen and does not replace recovery: a client that must have every
event reads the bus.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable

from streamdesk.contracts.channels import parent_of
from streamdesk.websocket_gateway.domain.frames import EventFrame

MARKET = "events:market"
_Entry = tuple[int, EventFrame]


class _Ring:
    """The newest frames up to a count and a size."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._bytes = 0
        self.entries: deque[_Entry] = deque()

    def add(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self._bytes += entry[1].size
        while len(self.entries) > self._max_frames or self._bytes > self._max_bytes:
            self._bytes -= self.entries.popleft()[1].size


class ChannelHistory:
    """Rings of recent frames.

    Args:
        events: frames kept of each event type.
        bars: bars kept of each instrument.
        ring_bytes: bytes a ring holds at most.
        max_rings: rings at most; the one without a new frame for longest is dropped.
        max_states: states at most; the one that changed longest ago is dropped.
    """

    def __init__(
        self,
        *,
        events: int,
        bars: int,
        ring_bytes: int = 1 << 20,
        max_rings: int = 1_000,
        max_states: int = 10_000,
    ) -> None:
        self._events = events
        self._bars = bars
        self._ring_bytes = ring_bytes
        self._max_rings = max_rings
        self._max_states = max_states
        self._states: OrderedDict[str, _Entry] = OrderedDict()
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._next = 0

    def __len__(self) -> int:
        return len(self._states) + sum(len(ring.entries) for ring in self._rings.values())

    def add(self, frame: EventFrame) -> None:
        """Remember a frame."""
        if frame.is_state and frame.conflate_key is not None:
            self._keep_state(frame.conflate_key, frame)
        else:
            self._keep_recent(frame)
        self._next += 1

    def _keep_state(self, key: str, frame: EventFrame) -> None:
        self._states[key] = (self._next, frame)
        self._states.move_to_end(key)
        if len(self._states) > self._max_states:
            self._states.popitem(last=False)

    def _keep_recent(self, frame: EventFrame) -> None:
        is_bar = MARKET in frame.channels
        name = frame.channels[0] if is_bar else frame.event
        ring = self._rings.get(name)
        if ring is None:
            ring = _Ring(self._bars if is_bar else self._events, self._ring_bytes)
            self._rings[name] = ring
        self._rings.move_to_end(name)
        ring.add((self._next, frame))
        if len(self._rings) > self._max_rings:
            self._rings.popitem(last=False)

    def replay(self, channels: Collection[str], already: Collection[str]) -> list[EventFrame]:
        """The frames that new subscriptions add, oldest first, each once.

        Args:
            channels: the channels subscribed now.
            already: channels subscribed before; their frames are not repeated.
        """
        wanted, known = set(channels), set(already)
        found = _newly_seen(self._states.values(), wanted, known)
        for name, ring in self._rings.items():
            if parent_of(name) == MARKET:
                found.extend(_of_instrument(name, ring, wanted, known))
            else:
                found.extend(_newly_seen(ring.entries, wanted, known))
        return [frame for _, frame in sorted(found, key=lambda entry: entry[0])]

    def recent(self, channel: str, limit: int) -> list[EventFrame]:
        """The newest frames of one channel, oldest first."""
        return self.replay((channel,), ())[-limit:]


def _newly_seen(entries: Iterable[_Entry], wanted: set[str], known: set[str]) -> list[_Entry]:
    return [
        entry
        for entry in entries
        if not wanted.isdisjoint(entry[1].channels) and known.isdisjoint(entry[1].channels)
    ]


def _of_instrument(
    channel: str, ring: _Ring, wanted: set[str], known: set[str]
) -> Collection[_Entry]:
    # Subscribers of the whole market would be flooded by the rings of all instruments, so they get
    # the last bar of each only.
    if channel in known or MARKET in known:
        # The parent replayed only the last bar: a subscriber of the instrument gets the others.
        return list(ring.entries)[:-1] if channel in wanted and channel not in known else ()
    if channel in wanted:
        return ring.entries
    return (ring.entries[-1],) if MARKET in wanted and ring.entries else ()
