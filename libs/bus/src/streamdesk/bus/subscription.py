"""A consumer of a group: takes entries, runs the handler, settles what came of it.

Four kinds of tasks share one `Hands`, the entries in hand:

    taker     takes as many entries as there is room for, highest class first, and takes over
              what others abandoned
    workers   run the handler, one message each
    settler   acks in batches, one round trip for all that ended since the last
    keeper    renews leases, trims what all groups have finished

Nothing that was taken is ever dropped: it is settled, or given back, or, when this process dies,
taken over by another consumer once its lease has run out.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from streamdesk.bus.backend import Backend, Entry, Held
from streamdesk.bus.config import BusConfig
from streamdesk.bus.dead_letters import error_chain
from streamdesk.bus.delivery import Delivery, Reader, outcome_of
from streamdesk.bus.envelope import FRAME_EVENTS
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.bus.layout import Layout
from streamdesk.bus.link import Link
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.bus.observer import BusObserver, Tracer
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)
Handler = Callable[[Message[E]], Awaitable[Outcome | None]]
State = Literal["starting", "running", "degraded", "draining", "stopped"]

LONGEST_SWEEP_SECONDS = 1.0
TRIM_SECONDS = 5.0
YIELD_EVERY = 8


@dataclass(slots=True)
class Hands(Generic[E]):
    """The entries in hand, from take to settlement."""

    held: dict[Held, Delivery[E]] = field(default_factory=dict)
    ready: asyncio.Queue[tuple[Delivery[E], Message[E]] | None] = field(
        default_factory=asyncio.Queue
    )
    ended: list[Delivery[E]] = field(default_factory=list)
    unsettled: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, delivery: Delivery[E]) -> None:
        """All members have an outcome: the settler's turn."""
        self.ended.append(delivery)
        self.unsettled.set()


class Subscription(Generic[E]):
    """One consumer. `run` it; it stops when its event is set."""

    def __init__(
        self,
        *,
        topic: Topic[E],
        layout: Layout,
        group: str,
        handler: Handler[E],
        backend: Backend,
        link: Link,
        config: BusConfig,
        consumer: str,
        observer: BusObserver,
        tracer: Tracer,
        prefetch: int,
        concurrency: int,
    ) -> None:
        """Made by `Bus.subscribe`."""
        self._topic = topic
        self._layout = layout
        self._group = group
        self._handler = handler
        self._backend = backend
        self._link = link
        self._config = config
        self.consumer = consumer
        self._observer = observer
        self._tracer = tracer
        self._prefetch = prefetch
        self._concurrency = concurrency
        self._reader = Reader(topic, layout, group, consumer, config.retry, config.max_deliveries)
        self._hands: Hands[E] = Hands()
        self._state: State = "starting"
        self._outages_seen = 0
        self._closing = False
        self._sweep_seconds = min(LONGEST_SWEEP_SECONDS, config.lease_seconds / 4)
        self._sweep_at = 0.0

    @property
    def state(self) -> State:
        """`degraded` while the server is away."""
        if self._state == "running" and not self._link.connected:
            return "degraded"
        return self._state

    @property
    def in_hand(self) -> int:
        """Entries taken and not settled yet."""
        return len(self._hands.held)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then finish what is in work and give back the rest."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]
        settler = asyncio.create_task(self._settle_until_closing())
        keeper = asyncio.create_task(self._keep_for_ever())
        taker = asyncio.create_task(self._take_until(stop))
        tasks = [*workers, settler, keeper, taker]
        try:
            # A task that ends before the taker has failed: its error is ours.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain(workers, settler)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._state = "stopped"

    async def _take_until(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        try:
            await self._until(stopped, self._link.call(self._ensure_group, stop=stop))
            while not stop.is_set():
                self._state = "running"
                self._hands.freed.clear()
                free = self._room()
                if free <= 0:
                    await self._until(stopped, self._hands.freed.wait())
                    continue
                if time.monotonic() >= self._sweep_at:
                    free -= await self._reclaim(free, stop)
                if free > 0:
                    await self._take(free, stop, stopped)
        except BusUnavailableError:
            if not stop.is_set():
                raise
        finally:
            stopped.cancel()

    async def _until(self, stopped: asyncio.Task[Literal[True]], work: Awaitable[object]) -> None:
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
        await self._backend.ensure_group(self._layout, self._group)

    async def _take(
        self, free: int, stop: asyncio.Event, stopped: asyncio.Task[Literal[True]]
    ) -> None:
        taken = await self._link.call(
            lambda: self._backend.take(self._layout, self._group, self.consumer, free), stop=stop
        )
        if self._outages_seen != self._link.outages:
            await self._give_back_lost_answers()
        if taken.entries:
            for entry in taken.entries:
                self._accept(entry)
            return
        block_ms = round(self._config.block_seconds * 1000)
        if taken.next_due_ms is not None:
            block_ms = min(block_ms, taken.next_due_ms + 1)
        wait = self._link.once(lambda: self._backend.wait(self._layout, taken.last_ids, block_ms))
        await self._until(stopped, wait)

    async def _give_back_lost_answers(self) -> None:
        """After an outage: entries of a call whose answer was lost are ours without our knowing."""
        outages = self._link.outages
        held = list(self._hands.held)
        with contextlib.suppress(BusUnavailableError):
            await self._link.once(
                lambda: self._backend.release(
                    self._layout, self._group, self.consumer, held, all_but=True
                )
            )
            self._outages_seen = outages

    def _accept(self, entry: Entry) -> None:
        if entry.held in self._hands.held:
            return  # reclaimed from ourselves while we still work on it
        delivery, dead = self._reader.open(entry)
        self._hands.held[entry.held] = delivery
        for outcome in dead:
            self._observer.dead_lettered(self._topic.name, self._group, outcome.reason)
        for message in delivery.messages:
            self._hands.ready.put_nowait((delivery, message))
        if not delivery.messages:
            self._hands.end(delivery)

    async def _work(self) -> None:
        """Handle one message after the other, and let the loop turn in between.

        A handler that never waits would otherwise keep everybody else from running, the renewal
        of its own lease included.
        """
        handled = 0
        while (item := await self._hands.ready.get()) is not None:
            delivery, message = item
            delivery.begun = True
            await self._handle(delivery, message)
            delivery.open -= 1
            if delivery.open == 0:
                self._hands.end(delivery)
            handled += 1
            if handled % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _handle(self, delivery: Delivery[E], message: Message[E]) -> None:
        started = time.perf_counter()
        errors: tuple[str, ...] = ()
        failure: Exception | None = None
        outcome: Outcome
        try:
            with self._tracer.span(
                f"{self._topic.name} process", message.trace_context.get("traceparent", "")
            ):
                outcome = await self._handler(message) or Ack()
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is about its message
            failure, outcome = error, outcome_of(error)
            errors = error_chain(error)
        outcome = self._reader.settle(delivery, message, outcome, errors)
        self._report(message, outcome, failure, time.perf_counter() - started)

    def _report(
        self, message: Message[E], outcome: Outcome, failure: Exception | None, seconds: float
    ) -> None:
        topic, group, observer = self._topic.name, self._group, self._observer
        word = type(outcome).__name__.lower()
        latency = (datetime.now(UTC) - message.published_at).total_seconds()
        observer.consumed(topic, group, word, seconds, max(0.0, latency))
        if failure is not None:
            observer.handler_failed(topic, group, message.id, failure, message.attempt, word)
        if isinstance(outcome, Retry):
            observer.retried(topic, group)
        if isinstance(outcome, Dead):
            observer.dead_lettered(topic, group, outcome.reason)

    async def _settle_until_closing(self) -> None:
        while not self._closing or self._hands.ended:
            await self._hands.unsettled.wait()
            await self._settle()

    async def _settle(self) -> None:
        """Settle all that ended, until the server has confirmed it."""
        self._hands.unsettled.clear()
        batch, self._hands.ended = self._hands.ended, []
        if not batch:
            return
        acks = [delivery.entry.held for delivery in batch if not delivery.steps]
        failures = [failure for delivery in batch if (failure := delivery.failure)]
        # Acks may be repeated; a failure that was written already is not ours any more.
        await self._link.call(
            lambda: self._backend.settle(self._layout, self._group, self.consumer, acks, failures)
        )
        for delivery in batch:
            self._hands.held.pop(delivery.entry.held, None)
        self._hands.freed.set()

    async def _keep_for_ever(self) -> None:
        renew_seconds = self._config.lease_seconds / 4
        trim_at = 0.0
        while True:
            await asyncio.sleep(min(TRIM_SECONDS, renew_seconds))
            # When the server is away the taker waits for it; the next round tries again.
            with contextlib.suppress(BusUnavailableError):
                if self._hands.held:  # asking nothing would count as an answer
                    await self._link.once(self._renew)
                if time.monotonic() >= trim_at:
                    await self._link.once(self._trim)
                    trim_at = time.monotonic() + TRIM_SECONDS

    async def _trim(self) -> None:
        """Drop what all groups have finished, in steps, so that no call holds the server long."""
        while await self._backend.trim(self._layout, self._topic.keep):
            pass

    async def _renew(self) -> None:
        held = list(self._hands.held)
        lost = await self._backend.renew(self._layout, self._group, self.consumer, held)
        for item in lost:
            delivery = self._hands.held.get(item)
            for message in delivery.messages if delivery else ():
                message.lease_lost = True

    def _room(self) -> int:
        """How many more entries may be in hand. A frame counts for each of its events."""
        if self._topic.mode == "entry":
            return self._prefetch - len(self._hands.held)
        events = sum(delivery.open for delivery in self._hands.held.values())
        full = len(self._hands.held) >= self._prefetch or events >= self._prefetch
        return 0 if full else 1 + (self._prefetch - events) // FRAME_EVENTS

    async def _reclaim(self, free: int, stop: asyncio.Event) -> int:
        """Take over what nobody renewed for a lease's time; returns how many entries."""
        self._sweep_at = time.monotonic() + self._sweep_seconds
        idle_ms = round(self._config.lease_seconds * 1000)
        entries = await self._link.call(
            lambda: self._backend.reclaim(self._layout, self._group, self.consumer, idle_ms, free),
            stop=stop,
        )
        for entry in entries:
            self._accept(entry)
        return len(entries)

    async def _drain(self, workers: list[asyncio.Task[None]], settler: asyncio.Task[None]) -> None:
        """Finish what is in work, settle, give back the rest, and leave the group."""
        self._state = "draining"
        deadline = time.monotonic() + self._config.drain_seconds
        self._empty_ready()
        for _ in workers:
            self._hands.ready.put_nowait(None)
        _, late = await asyncio.wait(workers, timeout=self._config.drain_seconds)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._closing = True
        self._hands.unsettled.set()
        left = max(1.0, deadline - time.monotonic())
        await asyncio.wait([settler], timeout=left)
        with contextlib.suppress(BusUnavailableError):
            await self._link.call(self._leave, timeout_seconds=left)

    def _empty_ready(self) -> None:
        """Forget entries that no worker has begun; `_leave` gives them back."""
        queued = [self._hands.ready.get_nowait() for _ in range(self._hands.ready.qsize())]
        for item in queued:
            if item and item[0].begun:
                self._hands.ready.put_nowait(item)
            elif item:
                self._hands.held.pop(item[0].entry.held, None)

    async def _leave(self) -> None:
        await self._backend.release(self._layout, self._group, self.consumer, [], all_but=True)
        await self._backend.forget(self._layout, self._group, self.consumer)
