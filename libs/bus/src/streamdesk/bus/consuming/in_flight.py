"""The entries a consumer has in hand, from take to settlement."""

import asyncio
import zlib
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from streamdesk.bus.consuming.delivery import Delivery
from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)


class Job(Generic[E]):
    """What one worker does next: some deliveries as a batch, or one event of one delivery."""

    __slots__ = ("at", "deliveries")

    def __init__(self, deliveries: Sequence[Delivery[E]], at: int | None = None) -> None:
        """Made by the taker.

        Args:
            deliveries: whose events.
            at: position of the one event of the one delivery that is meant; None for all of all.
        """
        self.deliveries = deliveries
        self.at = at


class Hands(Generic[E]):
    """Shared by the tasks of one subscription."""

    def __init__(self, lanes: int) -> None:
        """Empty hands.

        Args:
            lanes: queues of jobs. All workers share one, unless events of a key must stay in
                order: then each worker has its own, and a key always goes to the same.
        """
        self.held: dict[tuple[int, str], Delivery[E]] = {}
        self.lanes: list[asyncio.Queue[Job[E] | None]] = [asyncio.Queue() for _ in range(lanes)]
        self.ended: list[Delivery[E]] = []
        self.unsettled = asyncio.Event()
        self.freed = asyncio.Event()
        self.dropped = False
        """Whether something was let go whose lease had run out."""

    def lane_of(self, key: str) -> asyncio.Queue[Job[E] | None]:
        """The queue for events of this key."""
        if len(self.lanes) == 1:
            return self.lanes[0]
        return self.lanes[zlib.crc32(key.encode()) % len(self.lanes)]

    def end(self, deliveries: Iterable[Delivery[E]]) -> None:
        """All events of these have an outcome: the settler's turn."""
        self.ended.extend(deliveries)
        self.unsettled.set()

    def forget(self, deliveries: Iterable[Delivery[E]]) -> None:
        """These are not in hand any more."""
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
        """Let go of all that no worker has begun, so that nothing overtakes what comes again."""
        for job in self.take_unbegun():
            self.drop(job.deliveries)

    def take_unbegun(self) -> list[Job[E]]:
        """Take the jobs that no worker has begun out of the lanes; the rest keeps its order."""
        unbegun: list[Job[E]] = []
        for lane in self.lanes:
            for _ in range(lane.qsize()):
                job = lane.get_nowait()
                if job is None or all(delivery.begun for delivery in job.deliveries):
                    lane.put_nowait(job)
                else:
                    unbegun.append(job)
        return unbegun
