"""The fetcher of a consumer: takes entries, opens them, and queues them for the workers."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from streamdesk.bus.backends.records import Entry, Recreated, Taken
from streamdesk.bus.consuming.breaker import Breaker
from streamdesk.bus.consuming.deliveries import Delivery, InFlight, Job
from streamdesk.bus.consuming.reader import Reader
from streamdesk.bus.consuming.subscription import Membership
from streamdesk.bus.consuming.workers import WorkerPool
from streamdesk.bus.envelope import FRAME_EVENTS
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)

LONGEST_SWEEP_SECONDS = 1.0


class Fetcher(Generic[E]):
    """One task of a consumer."""

    def __init__(
        self,
        membership: Membership[E],
        in_flight: InFlight[E],
        reader: Reader[E],
        breaker: Breaker,
        workers: WorkerPool[E],
        running: Callable[[], None],
    ) -> None:
        """Made by `GroupConsumer.run`; `running` is called when the group was reached."""
        self._member = membership
        self._topic = membership.topic
        self._topic_keys = membership.topic_keys
        self._group = membership.group
        self._consumer = membership.consumer
        self._dispatch = membership.dispatch
        self._backend = membership.tools.backend
        self._link = membership.tools.link
        self._observer = membership.tools.observer
        self._in_flight = in_flight
        self._reader = reader
        self._breaker = breaker
        self._workers = workers
        self._outages_seen = 0
        self._adopting = membership.dispatch.ordered
        self._adoption = ""
        """Of our last adoption of the shard; empty without shards."""
        self._sweep_seconds = min(LONGEST_SWEEP_SECONDS, membership.config.lease_seconds / 4)
        self._sweep_at = 0.0
        self._ahead: asyncio.Task[tuple[Taken | None, float]] | None = None
        self._ahead_count = 0
        self._running = running
        self._waiting: asyncio.Future[None] | None = None
        self._news = False
        """Whether something happened since the last take that the wait must not hide."""

    async def take_until(self, stop: asyncio.Event) -> None:
        """Take what there is room for, until the stop."""
        stopped = asyncio.create_task(stop.wait())
        stopped.add_done_callback(lambda _: self.interrupt())
        try:
            await self._until(stopped, self._link.call(self._ensure_group, stop=stop))
            while not stop.is_set():
                self._running()
                self._in_flight.freed.clear()
                await self._step(stop, stopped)
        except BusUnavailableError:
            if not stop.is_set():
                raise
        finally:
            stopped.cancel()
            if self._ahead is not None:  # what it brings is given back with all that is not held
                await asyncio.gather(self._ahead, return_exceptions=True)

    def interrupt(self) -> None:
        """End the wait for something to come: there is something else to look at."""
        self._news = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _step(self, stop: asyncio.Event, stopped: asyncio.Future[Any]) -> None:
        """Take something, or wait until something can be taken."""
        if self._ahead is not None:  # it has been asked for, so its entries may be ours already
            await self._take(0, stop)
            return
        pause, free = self._pause_seconds(), self._free()
        if pause > 0 or free <= 0:
            await self._until(stopped, self._idle(pause))
            return
        if self._adopting or (self._in_flight.dropped and self._dispatch.ordered):
            await self._adopt(free, stop, stopped)
            return
        # Abandoned entries come before new ones: they have waited a lease's time already.
        if time.monotonic() >= self._sweep_at:
            free -= await self._reclaim(free, stop)
        if free > 0 and not self._adopting:
            await self._take(free, stop)

    async def _adopt(self, free: int, stop: asyncio.Event, stopped: asyncio.Future[Any]) -> None:
        """In order: all that was handed out before comes before anything new.

        What the last owner of the shard left, what came with an answer that was lost, and what we
        let go when its lease ran out. First nothing may be in flight here. What was
        asked for before is given to no consumer from here on, whenever the server executes it.
        """
        if self._in_flight.held:
            await self._until(stopped, self._in_flight.freed.wait())
            return
        self._adopting = True
        self._in_flight.dropped = False
        self._outages_seen = self._link.outages
        adoption = secrets.token_hex(8)
        found, lease_until = await self._link.call(
            lambda: self._adopt_once(free, adoption), stop=stop
        )
        if found is None:
            await self._until(stopped, asyncio.sleep(self._sweep_seconds))
            return
        self._adoption = adoption
        self._accept(found, lease_until)
        self._adopting = bool(found)

    async def _adopt_once(self, count: int, adoption: str) -> tuple[list[Entry] | None, float]:
        """What was handed out before, and until when it is ours; None if the shard is not."""
        if not self._may_take():
            return None, 0.0
        lease_until, member = self._member.lease_from_now(), self._member
        found = await self._backend.adopt(
            self._topic_keys, self._group, self._consumer, member.dispatch.fence, adoption, count
        )
        return found, lease_until

    def _may_take(self) -> bool:
        """Whether the shard is ours, and will be when what we ask for is done."""
        return time.monotonic() < self._member.owner_until()

    def _pause_seconds(self) -> float:
        """How long nothing may be taken; 0 when something may be."""
        if not self._may_take():
            return self._sweep_seconds
        return self._breaker.pause_seconds(time.monotonic())

    async def _idle(self, pause_seconds: float) -> None:
        """Take nothing: until the pause is over, or else until there is room."""
        if pause_seconds > 0:
            await asyncio.sleep(pause_seconds)
        else:
            await self._in_flight.freed.wait()

    async def _until(self, stopped: asyncio.Future[Any], work: Awaitable[object]) -> None:
        """Wait for `work`, but not beyond the stop. Only for calls that take nothing."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
            await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BusUnavailableError):
            raise error

    async def _ensure_group(self) -> None:
        self._note_recreated(await self._backend.ensure_group(self._topic_keys, self._group))

    def _note_recreated(self, recreated: Sequence[Recreated]) -> None:
        for lost in recreated:
            self._observer.group_recreated(self._topic.name, self._group, lost.cursor)

    async def _take(self, free: int, stop: asyncio.Event) -> None:
        # A batch that was asked for ahead comes first: its entries are older than any new ones.
        asked, count = self._ahead, self._ahead_count or free
        self._ahead, self._ahead_count = None, 0
        self._news = False
        taken, lease_until = await (asked or self._ask(count, stop))
        if taken is None:  # the shard's lease ran out before the call was sent
            return
        self._note_recreated(taken.recreated)
        if taken.is_stale:  # another consumer has adopted the shard since: find out what is ours
            self._adopting = True
            return
        # The first answer after an outage: an earlier call may have been executed without one.
        if self._outages_seen != self._link.outages:
            if self._dispatch.ordered:
                self._adopting = True  # these may come after what a lost answer had
                return
            await self._give_back_lost_answers(taken.entries)
        # What is not accepted stays pending on the server, and comes back with the next adoption.
        if self._would_overtake():
            return
        if taken.entries:
            if len(taken.entries) == count:  # a full answer: there is probably more
                await self._ask_ahead(count, stop)
            self._accept(taken.entries, lease_until)
            return
        # Nothing is there. Wait no longer than until something else is due: the next sweep, the end
        # of the shard's lease, or a delayed message (a millisecond later, since times are rounded).
        until = min(self._sweep_at, self._member.owner_until())
        block_seconds = min(self._member.config.block_seconds, until - time.monotonic())
        if taken.next_due_ms is not None:
            block_seconds = min(block_seconds, (taken.next_due_ms + 1) / 1000)
        await self._wait(taken.last_ids, max(0.001, block_seconds), count)

    async def _ask(self, count: int, stop: asyncio.Event) -> tuple[Taken | None, float]:
        return await self._link.call(lambda: self._take_once(count), stop=stop)

    async def _take_once(self, count: int) -> tuple[Taken | None, float]:
        """What was taken, and until when it is ours; a shard may be lost during an outage."""
        if not self._may_take():
            return None, 0.0
        lease_until = self._member.lease_from_now()
        taken = await self._backend.take(
            self._topic_keys, self._group, self._consumer, count, adoption=self._adoption
        )
        return taken, lease_until

    async def _ask_ahead(self, arrived: int, stop: asyncio.Event) -> None:
        """Let the server prepare the next batch while this one is opened and handled."""
        if self._dispatch.batch is None or self._topic.mode != "entry":
            return
        count = min(self._room() - arrived, self._dispatch.batch)
        if count > 0:
            self._ahead_count = count
            self._ahead = asyncio.create_task(self._ask(count, stop))
            # One turn of the loop starts the task, the next one writes to the socket.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _wait(
        self,
        last_ids: list[str],
        block_seconds: float,
        free: int,
    ) -> None:
        """Wait for something to come; take it in the same call where the topic has one stream.

        Not of a shard: a read that the server executes late must take nothing.
        """
        if self._news:
            return
        block_ms = max(1, round(block_seconds * 1000))
        interrupted = self._waiting = asyncio.get_running_loop().create_future()
        if len(self._topic_keys.streams) > 1 or self._dispatch.ordered:
            wait = self._link.once(lambda: self._backend.wait(self._topic_keys, last_ids, block_ms))
            await self._until(interrupted, wait)
            return
        lease_until = self._member.lease_from_now()
        with contextlib.suppress(BusUnavailableError):  # the next take waits for the server
            entries = await self._link.once(
                lambda: self._backend.take_or_wait(
                    self._topic_keys, self._group, self._consumer, free, block_ms, interrupted
                )
            )
            self._accept(entries, lease_until)

    def _would_overtake(self) -> bool:
        """In order: whether something was let go while more was on its way; that comes first."""
        return self._dispatch.ordered and self._in_flight.dropped

    async def _give_back_lost_answers(self, taken: Sequence[Entry]) -> None:
        """After an outage: entries of a call whose answer was lost are ours without our knowing."""
        outages = self._link.outages
        held = [*self._in_flight.held, *(entry.held for entry in taken)]
        with contextlib.suppress(BusUnavailableError):
            await self._link.once(
                lambda: self._backend.release(
                    self._topic_keys, self._group, self._consumer, held, all_but=True
                )
            )
            self._outages_seen = outages

    def _accept(self, entries: list[Entry], lease_until: float) -> None:
        """Open what was taken and queue it for the workers."""
        opened: list[Delivery[E]] = []
        held, read = self._in_flight.held, self._reader.open
        # The hot loop: names that it needs are local.
        for entry in entries:
            if entry.held in held:
                continue  # reclaimed from ourselves while we still work on it
            delivery, dead = read(entry, lease_until)
            held[entry.held] = delivery
            for outcome in dead:
                self._observer.dead_lettered(self._topic.name, self._group, outcome.reason)
                self._workers.note_end(outcome.reason)
            opened.append(delivery)
        # Without events there is no work: unreadable entries, and retries of other groups.
        empty = [delivery for delivery in opened if not delivery.events]
        if empty:
            self._in_flight.end(empty)
        self._hand_out([delivery for delivery in opened if delivery.events])

    def _hand_out(self, deliveries: list[Delivery[E]]) -> None:
        if self._dispatch.handle_batch is not None:
            if deliveries:
                self._in_flight.queues[0].put_nowait(Job(deliveries))
            return
        for delivery in deliveries:
            single = (delivery,)
            for at, event in enumerate(delivery.events):
                key = self._topic.key_of(event) if self._dispatch.ordered else ""
                self._in_flight.queue_of(key).put_nowait(Job(single, at))

    def _free(self) -> int:
        """How many entries to take at once."""
        room, batch = self._room(), self._dispatch.batch
        return room if batch is None else min(room, batch)

    def _room(self) -> int:
        """How many more entries may be in flight. A frame counts for each of its events."""
        held, prefetch = self._in_flight.held, self._dispatch.prefetch
        if not self._breaker.is_closed:
            return 0 if held else 1  # one message shows whether the fault is over
        if self._topic.mode == "entry":
            return prefetch - len(held)
        events = sum(delivery.open for delivery in held.values())
        # How many events an entry has is known once it is opened: each is assumed to be a full
        # frame, but one is taken even when less than a frame's room is left.
        full = len(held) >= prefetch or events >= prefetch
        return 0 if full else 1 + (prefetch - events) // FRAME_EVENTS

    async def _reclaim(self, free: int, stop: asyncio.Event) -> int:
        """Take over what was not renewed for a lease's time; returns how many entries."""
        self._sweep_at = time.monotonic() + self._sweep_seconds
        call = self._link.call(lambda: self._reclaim_once(free), stop=stop)
        entries, lease_until = await call
        if len(entries) == free:
            self._sweep_at = 0.0  # there may be more: again as soon as there is room
        if self._dispatch.ordered:
            # What was held elsewhere comes before all that is in flight here.
            self._adopting = any(entry.held not in self._in_flight.held for entry in entries)
            return 0
        self._accept(entries, lease_until)
        return len(entries)

    async def _reclaim_once(self, count: int) -> tuple[list[Entry], float]:
        if not self._may_take():
            return [], 0.0
        lease_until = self._member.lease_from_now()
        idle_ms = round(self._member.config.lease_seconds * 1000)
        entries = await self._backend.reclaim(
            self._topic_keys, self._group, self._consumer, idle_ms, count, adoption=self._adoption
        )
        return entries, lease_until
