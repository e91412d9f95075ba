"""The bounded queue of one socket, and what happens when it is full.

- A frame with a conflate key (a bar, a valuation, a task's progress) takes the place of the oldest
  one waiting with the same key, or, when there is none, of the oldest that may go. Old prices help
  nobody.
- A state (a HAMA state) goes for a newer one of its own key only: the next may be long in coming.
- Any other frame takes the place of frames with a key that may go, the oldest first. When that does
  not make enough room the reader is too slow to be kept: it would miss orders without knowing.
- Frames replayed from the history do not count: they are shared, and the history bounds them. Only
  who asks for it over and over without reading meets a bound.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum

from streamdesk.websocket_gateway.domain.frames import EventFrame


class Offer(Enum):
    """What became of a text that was put into the queue."""

    QUEUED = "queued"
    CONFLATED = "conflated"
    """Queued, or left out itself; something with a conflate key was dropped."""
    OVERFLOW = "overflow"
    """Refused: nothing more could be dropped."""


MAX_REPLAYED = 50_000


@dataclass(slots=True)
class _Item:
    text: str | EventFrame  # a frame stands for its replayed text, which is made when it is written
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
        self._may_go: OrderedDict[int, None] = OrderedDict()
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
        """Queue a text of `size` bytes; see the module for what a full queue does."""
        before = self.dropped
        while not self._fits(size):
            if not self._drop_one(key):
                if key is None or is_state:
                    return Offer.OVERFLOW
                self.dropped += 1
                return Offer.CONFLATED
        self._append(_Item(text, size, key), may_go=not is_state)
        return Offer.QUEUED if self.dropped == before else Offer.CONFLATED

    def put_replay(self, frames: list[EventFrame]) -> Offer:
        """Queue frames of the history, outside the bounds of other texts."""
        if len(self) - self.messages + len(frames) > MAX_REPLAYED:
            return Offer.OVERFLOW
        for frame in frames:
            self._items[self._next] = _Item(frame, 0, None)
            self._next += 1
        return Offer.QUEUED

    def pop(self) -> str | None:
        """Take the oldest text; None when nothing waits."""
        if not self._items:
            return None
        number, item = self._items.popitem(last=False)
        if isinstance(item.text, EventFrame):
            return item.text.replayed
        self._account(number, item)
        return item.text

    def clear(self) -> None:
        """Forget everything that waits."""
        self._items.clear()
        self._by_key.clear()
        self._may_go.clear()
        self.messages = self.bytes = 0

    def _fits(self, size: int) -> bool:
        return self.messages < self._max_messages and self.bytes + size <= self._max_bytes

    def _append(self, item: _Item, *, may_go: bool) -> None:
        number = self._next
        self._next += 1
        self._items[number] = item
        self.messages += 1
        self.bytes += item.size
        if item.key is not None:
            self._by_key.setdefault(item.key, deque()).append(number)
            if may_go:
                self._may_go[number] = None

    def _drop_one(self, key: str | None) -> bool:
        same = self._by_key.get(key) if key is not None else None
        number = same[0] if same else next(iter(self._may_go), None)
        if number is None:
            return False
        self._account(number, self._items.pop(number))
        self.dropped += 1
        return True

    def _account(self, number: int, item: _Item) -> None:
        """Take an item that left the queue out of the books; it is the oldest of its key."""
        self.messages -= 1
        self.bytes -= item.size
        if item.key is not None:
            self._may_go.pop(number, None)
            numbers = self._by_key[item.key]
            numbers.popleft()
            if not numbers:
                del self._by_key[item.key]
