"""The bounded queue of one socket, and its rules when full.

- A frame with a conflate key (a bar, a valuation, a task's progress) replaces the oldest queued
  frame with the same key or, without one, the oldest droppable frame: an old price is worthless
  once a newer one is known.
- A state (a HAMA state) is dropped only for a newer one with its key: no other may come for
  days.
- Any other frame replaces droppable frames, the oldest first. When that does not free enough room
  the connection is closed: the reader is too slow and would miss orders without noticing.
- Frames replayed from the history do not count: all queues share them, and the history bounds them.
  Only a client that subscribes again and again without reading reaches their own bound.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum

from streamdesk.websocket_gateway.domain.frames import EventFrame


class Offer(Enum):
    """What became of a text that was put into the queue."""

    QUEUED = "queued"
    CONFLATED = "conflated"
    """Queued or not; a frame with a conflate key was dropped, which may be this one."""
    OVERFLOW = "overflow"
    """Refused: nothing more could be dropped."""


MAX_REPLAYED = 50_000


@dataclass(slots=True)
class _Item:
    # A frame stands for its replayed text, which is built when it is written.
    text: str | EventFrame
    size: int
    key: str | None


class ClientOutbox:
    """Texts waiting to be written to one socket, oldest first.

    Args:
        max_messages: texts waiting at most.
        max_bytes: bytes waiting at most.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._items: OrderedDict[int, _Item] = OrderedDict()
        self._by_key: dict[str, deque[int]] = {}
        self._droppable: OrderedDict[int, None] = OrderedDict()
        self._next = 0
        self.messages = 0
        """Texts waiting, without the replayed."""
        self.bytes = 0
        """Bytes waiting, without the replayed."""
        self.dropped = 0
        """Frames dropped for newer ones so far."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, text: str, size: int, key: str | None = None, *, is_state: bool = False) -> Offer:
        """Queue a text of `size` bytes; the module describes what a full queue does."""
        before = self.dropped
        while not self._fits(size):
            if not self._drop_one(key):
                # Nothing droppable is left. A conflatable frame is worth no closed connection: it
                # is the one that is left out. Events and states must arrive.
                if key is None or is_state:
                    return Offer.OVERFLOW
                self.dropped += 1
                return Offer.CONFLATED
        self._append(_Item(text, size, key), droppable=not is_state)
        return Offer.QUEUED if self.dropped == before else Offer.CONFLATED

    def put_replay(self, frames: list[EventFrame]) -> Offer:
        """Queue frames of the history; they have a bound of their own."""
        if len(self) - self.messages + len(frames) > MAX_REPLAYED:
            return Offer.OVERFLOW
        for frame in frames:
            self._items[self._next] = _Item(frame, 0, None)
            self._next += 1
        return Offer.QUEUED

    def pop(self) -> str | None:
        """Remove and return the oldest text; None when the queue is empty."""
        if not self._items:
            return None
        number, item = self._items.popitem(last=False)
        if isinstance(item.text, EventFrame):
            return item.text.replayed
        self._subtract(number, item)
        return item.text

    def clear(self) -> None:
        """Drop all texts."""
        self._items.clear()
        self._by_key.clear()
        self._droppable.clear()
        self.messages = self.bytes = 0

    def _fits(self, size: int) -> bool:
        return self.messages < self._max_messages and self.bytes + size <= self._max_bytes

    def _append(self, item: _Item, *, droppable: bool) -> None:
        number = self._next
        self._next += 1
        self._items[number] = item
        self.messages += 1
        self.bytes += item.size
        if item.key is not None:
            self._by_key.setdefault(item.key, deque()).append(number)
            if droppable:
                self._droppable[number] = None

    def _drop_one(self, key: str | None) -> bool:
        # First one with the same key, even a state: the new frame makes exactly that one obsolete.
        same = self._by_key.get(key) if key is not None else None
        number = same[0] if same else next(iter(self._droppable), None)
        if number is None:
            return False
        self._subtract(number, self._items.pop(number))
        self.dropped += 1
        return True

    def _subtract(self, number: int, item: _Item) -> None:
        """Subtract an item that left the queue from the totals; it is the oldest with its key."""
        self.messages -= 1
        self.bytes -= item.size
        if item.key is not None:
            self._droppable.pop(number, None)
            numbers = self._by_key[item.key]
            numbers.popleft()
            if not numbers:
                del self._by_key[item.key]
