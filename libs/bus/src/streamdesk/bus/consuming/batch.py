"""Several messages for one call of a handler."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar, overload

from streamdesk.bus.consuming.delivery import Delivery
from streamdesk.bus.message import Message
from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)


class Batch(Sequence[Message[E]], Generic[E]):
    """The messages of one or several entries, in their order.

    `events` is all that most handlers need, and cheap; a message with id, key and the rest is made
    when it is asked for by its position.
    """

    def __init__(
        self,
        deliveries: Sequence[Delivery[E]],
        message: Callable[[Delivery[E], int], Message[E]],
    ) -> None:
        """Made by the subscription.

        Args:
            deliveries: the entries, opened.
            message: makes the message of an entry's event.
        """
        self.deliveries = deliveries
        self.events: list[E] = [event for delivery in deliveries for event in delivery.events]
        self._message = message
        self._ends: list[int] | None = None
        self._made: dict[int, Message[E]] = {}

    def __len__(self) -> int:
        return len(self.events)

    @overload
    def __getitem__(self, index: int) -> Message[E]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Message[E]]: ...

    def __getitem__(self, index: int | slice) -> Message[E] | list[Message[E]]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if at not in self._made:
            delivery, place = self.place(at)
            self._made[at] = self._message(delivery, place)
        return self._made[at]

    def __iter__(self) -> Iterator[Message[E]]:
        return (self[at] for at in range(len(self)))

    def place(self, at: int) -> tuple[Delivery[E], int]:
        """Whose event it is, and its position there."""
        if self._ends is None:
            self._ends = list(accumulate(len(delivery.events) for delivery in self.deliveries))
        number = bisect_right(self._ends, at)
        before = self._ends[number - 1] if number else 0
        return self.deliveries[number], at - before
