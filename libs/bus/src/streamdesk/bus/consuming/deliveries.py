"""Entries in flight: what was taken, its events, and the queues in which it waits for a worker."""

import asyncio
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from streamdesk.bus.backends.records import Entry, Failure, Step
from streamdesk.bus.message import Message
from streamdesk.contracts.base import Event

if TYPE_CHECKING:
    from streamdesk.bus.envelope import Envelope

E = TypeVar("E", bound=Event)


class Delivery(Generic[E]):
    """An entry in flight, its events, and what became of them so far."""

    __slots__ = (
        "entry",
        "envelope",
        "events",
        "lease_lost",
        "lease_until",
        "messages",
        "open",
        "places",
        "started",
        "steps",
    )  # fmt: skip

    def __init__(self, entry: Entry, lease_until: float = 0.0) -> None:
        """Nothing is decoded yet.

        Args:
            entry: what was taken.
            lease_until: monotonic time at which another consumer may have it.
        """
        self.entry = entry
        self.lease_until = lease_until
        self.envelope: Envelope | None = None
        self.events: Sequence[E] = ()
        self.places: list[int] | None = None
        """Position in its frame of each event, where some members could not be read."""
        self.open = 0
        self.started = False
        self.lease_lost = False
        self.messages: Sequence[Message[E]] = ()
        self.steps: Sequence[Step] = ()

    def is_ours(self, now: float) -> bool:
        """Whether no other consumer can have it at this monotonic time."""
        return self.lease_until > now and not self.lease_lost

    def lose(self) -> None:
        """Note that another consumer has it, also on the messages that are being handled."""
        self.lease_lost = True
        for message in self.messages:
            message.lease_lost = True

    @property
    def failure(self) -> Failure:
        """What must be written before the ack."""
        return Failure(self.entry.held, tuple(self.steps))


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


class Job(Generic[E]):
    """What one worker does next: some deliveries as a batch, or one event of one delivery."""

    __slots__ = ("at", "deliveries")

    def __init__(self, deliveries: Sequence[Delivery[E]], at: int | None = None) -> None:
        """Made by the fetcher.

        Args:
            deliveries: whose events.
            at: position of the one event of the one delivery that is meant; None for all of all.
        """
        self.deliveries = deliveries
        self.at = at


class InFlight(Generic[E]):
    """Shared by the tasks of one subscription."""

    def __init__(self, queues: int) -> None:
        """Nothing is in flight.

        Args:
            queues: queues of jobs. All workers share one, unless events of a key must stay in
                order: then each worker has its own, and a key always goes to the same.
        """
        self.held: dict[tuple[int, str], Delivery[E]] = {}
        self.queues: list[asyncio.Queue[Job[E] | None]] = [asyncio.Queue() for _ in range(queues)]
        self.ended: list[Delivery[E]] = []
        self.unsettled = asyncio.Event()
        self.freed = asyncio.Event()
        self.dropped = False
        """Whether something was let go whose lease had run out."""

    def queue_of(self, key: str) -> asyncio.Queue[Job[E] | None]:
        """The queue for events of this key."""
        if len(self.queues) == 1:
            return self.queues[0]
        return self.queues[zlib.crc32(key.encode()) % len(self.queues)]

    def end(self, deliveries: Iterable[Delivery[E]]) -> None:
        """All events of these have an outcome: the settler's turn."""
        self.ended.extend(deliveries)
        self.unsettled.set()

    def forget(self, deliveries: Iterable[Delivery[E]]) -> None:
        """These are not in flight any more."""
        for delivery in deliveries:
            self.held.pop(delivery.entry.held, None)
        self.freed.set()

    def drop(self, deliveries: Iterable[Delivery[E]]) -> None:
        """Let go of what others may have by now; unless they do, it is taken again."""
        dropped = list(deliveries)
        if dropped:
            self.dropped = True
            self.forget(dropped)

    def drop_waiting(self) -> None:
        """Let go of all that no worker has started, so that nothing overtakes what comes again."""
        for job in self.remove_unstarted():
            self.drop(job.deliveries)

    def remove_unstarted(self) -> list[Job[E]]:
        """Take the jobs that no worker has started out of the queues; the rest keeps its order."""
        unbegun: list[Job[E]] = []
        for queue in self.queues:
            for _ in range(queue.qsize()):
                job = queue.get_nowait()
                if job is None or all(delivery.started for delivery in job.deliveries):
                    queue.put_nowait(job)
                else:
                    unbegun.append(job)
        return unbegun
