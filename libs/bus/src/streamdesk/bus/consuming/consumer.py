"""A consumer of a group: takes entries, has them handled, settles what came of it.

Four kinds of tasks share one `InFlight`, the entries in flight:

    fetcher   takes as many entries as there is room for, highest class first, and takes over
              what others abandoned (`fetcher.py`)
    workers   run the handler (`workers.py`)
    settler   acks in batches, one round trip for all that ended since the last
    keeper    renews leases, trims what all groups have finished, reports the lag

Nothing that was taken is ever dropped: it is settled, or given back, or, when this process dies,
taken over by another consumer once its lease has run out.
"""

import asyncio
import contextlib
import time
from typing import Generic, TypeVar

from streamdesk.bus.backends.records import Held
from streamdesk.bus.consuming.breaker import Breaker
from streamdesk.bus.consuming.deliveries import Delivery, InFlight
from streamdesk.bus.consuming.fetcher import Fetcher
from streamdesk.bus.consuming.reader import Reader
from streamdesk.bus.consuming.subscription import Membership, State
from streamdesk.bus.consuming.workers import WorkerPool
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)

TRIM_SECONDS = 5.0
FULL_SECONDS = 0.5
"""Wait before failures that a full server refused are written again."""


class GroupConsumer(Generic[E]):
    """A `Subscription` to a topic, or to one shard of it."""

    def __init__(self, membership: Membership[E]) -> None:
        """Made by `Bus.subscribe`."""
        self._member = membership
        self._topic_keys = membership.topic_keys
        self._group = membership.group
        self.consumer = membership.consumer
        self._config = membership.config
        self._backend = membership.tools.backend
        self._link = membership.tools.link
        dispatch = membership.dispatch
        self._in_flight: InFlight[E] = InFlight(dispatch.concurrency if dispatch.ordered else 1)
        self._breaker = Breaker(membership.config.breaker)
        self._state: State = "starting"
        self._closing = False
        self._settling: list[Delivery[E]] = []
        self._settle_lock = asyncio.Lock()
        """Settling and renewing take turns: a renewal that comes after the acknowledgement of what
        it is about finds it unclaimed, and would take it back."""

    @property
    def state(self) -> State:
        """`degraded` without a server, `paused` while the circuit breaker is open."""
        if self._state == "running" and not self._link.connected:
            return "degraded"
        if self._state == "running" and not self._breaker.is_closed:
            return "paused"
        return self._state

    @property
    def why_paused(self) -> str:
        """Why the circuit breaker is open; empty while it is closed."""
        return self._breaker.why

    @property
    def in_flight(self) -> int:
        """Entries taken and not settled yet."""
        return len(self._in_flight.held)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then finish what is being handled and give back the rest."""
        pool, self._fetcher = self._make_parts(stop)
        queues = len(self._in_flight.queues)
        workers = [
            asyncio.create_task(pool.work(number % queues))
            for number in range(self._member.dispatch.concurrency)
        ]
        settler = asyncio.create_task(self._settle_until_closing())
        keeper = asyncio.create_task(self._keep_leases())
        taking = asyncio.create_task(self._fetcher.take_until(stop))
        tasks = [*workers, settler, keeper, taking]
        try:
            # A task that ends before the fetcher has failed: its error is ours.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain(workers, settler)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._state = "stopped"

    def _make_parts(self, stop: asyncio.Event) -> tuple[WorkerPool[E], Fetcher[E]]:
        member, dispatch = self._member, self._member.dispatch
        reader = Reader(
            member.topic,
            member.topic_keys,
            member.group,
            member.consumer,
            member.config.retry,
            member.config.max_deliveries,
            dispatch.fence,
        )
        pool = WorkerPool(
            topic=member.topic.name,
            group=member.group,
            reader=reader,
            in_flight=self._in_flight,
            observer=member.tools.observer,
            tracer=member.tools.tracer,
            breaker=self._breaker,
            handle=dispatch.handle,
            handle_batch=dispatch.handle_batch,
            ordered=dispatch.ordered,
            stop=stop,
            owned_until=dispatch.owned_until,
        )

        def running() -> None:
            self._state = "running"

        return pool, Fetcher(member, self._in_flight, reader, self._breaker, pool, running)

    async def _settle_until_closing(self) -> None:
        # Handlers that end while the last batch is written still have to be settled.
        while not self._closing or self._in_flight.ended:
            await self._in_flight.unsettled.wait()
            await self._settle()

    async def _settle(self) -> None:
        """Settle all that ended, until the server has confirmed it."""
        self._in_flight.unsettled.clear()
        ended, self._in_flight.ended = self._in_flight.ended, []  # what ends meanwhile is next
        # Their handlers saw `lease_lost` and may have done nothing: the consumer that has
        # them now decides, even if that is us again.
        self._in_flight.drop([delivery for delivery in ended if delivery.lease_lost])
        batch = [delivery for delivery in ended if not delivery.lease_lost]
        self._settling = batch
        if batch:
            async with self._settle_lock:
                await self._write_outcomes(batch)

    async def _write_outcomes(self, batch: list[Delivery[E]]) -> None:
        """Write to the server what became of these."""
        sure, rest = _parted(batch, time.monotonic())
        acks = [delivery.entry.held for delivery in sure]
        failures = [delivery.failure for delivery in rest]
        # Acks may be repeated; a failure that was written already is not ours any more.
        settled = await self._link.call(
            lambda: self._backend.settle(
                self._topic_keys, self._group, self.consumer, acks, failures
            )
        )
        if any(step.kind == "delay" for failure in failures for step in failure.steps):
            self._fetcher.interrupt()  # it waits for something that may come later than that
        self._in_flight.forget(sure)
        refused: list[Delivery[E]] = []
        # "lost" needs nothing more: another consumer has the entry, and decides what becomes of it.
        for delivery, became in zip(rest, settled, strict=True):
            if became == "refused":
                refused.append(delivery)
            else:
                self._in_flight.forget((delivery,))
        if refused:
            # The server is full: acks continue, these are written when there is room.
            loop = asyncio.get_running_loop()
            loop.call_later(FULL_SECONDS, self._in_flight.end, refused)

    async def _keep_leases(self) -> None:
        renew_seconds = self._config.lease_seconds / 4
        trim_at = 0.0
        while True:
            await asyncio.sleep(min(TRIM_SECONDS, renew_seconds))
            # The fetcher waits for an unreachable server; the next round tries again.
            with contextlib.suppress(BusUnavailableError):
                if self._in_flight.held:  # asking nothing would count as an answer
                    await self._link.once(self._renew)
                if time.monotonic() >= trim_at:
                    await self._link.once(self._trim)
                    await self._member.tools.report_lag(self._member.topic, self._group)
                    trim_at = time.monotonic() + TRIM_SECONDS

    async def _trim(self) -> None:
        """Drop what all groups have finished, in steps, so that no call holds the server long."""
        while await self._backend.trim(self._topic_keys, self._member.topic.keep, self._group):
            pass

    def _leaving(self) -> set[Held]:
        """What has an outcome, and is settled or about to be."""
        return {delivery.entry.held for delivery in (*self._in_flight.ended, *self._settling)}

    async def _renew(self) -> None:
        async with self._settle_lock:
            await self._renew_held()

    async def _renew_held(self) -> None:
        lease_until = self._member.lease_from_now()
        asked = dict(self._in_flight.held)
        now = time.monotonic()
        leaving = self._leaving()  # what is being acknowledged must not be taken back
        is_owner = now < self._member.owner_until()  # else the next one may have finished it
        sure = {
            held: delivery.entry.deliveries
            if is_owner and delivery.is_ours(now) and held not in leaving
            else 0
            for held, delivery in asked.items()
        }
        lost = await self._backend.renew(self._topic_keys, self._group, self.consumer, sure)
        # What was acknowledged meanwhile is not ours any more, and was not lost.
        left = self._leaving() | leaving
        for held in lost:
            delivery = asked.pop(held)
            if held in self._in_flight.held and held not in left:
                delivery.lose()
        for delivery in asked.values():
            delivery.lease_until = lease_until

    async def _drain(self, workers: list[asyncio.Task[None]], settler: asyncio.Task[None]) -> None:
        """Finish what is being handled, settle, give back the rest, and leave the group."""
        self._state = "draining"
        deadline = time.monotonic() + self._config.drain_seconds
        self._empty_queues()
        queues = self._in_flight.queues
        # One None for each worker, behind the jobs that it has started: it ends the worker.
        for number, _ in enumerate(workers):
            queues[number % len(queues)].put_nowait(None)
        _, late = await asyncio.wait(workers, timeout=self._config.drain_seconds)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._closing = True
        self._in_flight.unsettled.set()
        left = max(1.0, deadline - time.monotonic())
        await asyncio.wait([settler], timeout=left)
        with contextlib.suppress(BusUnavailableError):
            await self._link.call(self._leave, timeout_seconds=left)

    def _empty_queues(self) -> None:
        """Forget entries that no worker has started; `_leave` gives them back."""
        for job in self._in_flight.remove_unstarted():
            self._in_flight.forget(job.deliveries)

    async def _leave(self) -> None:
        # How far the group is, as of now: it may be the last one to know for a while.
        await self._backend.trim(self._topic_keys, self._member.topic.keep, self._group)
        await self._backend.release(self._topic_keys, self._group, self.consumer, [], all_but=True)
        await self._backend.forget(self._topic_keys, self._group, self.consumer)


def _parted(batch: list[Delivery[E]], now: float) -> tuple[list[Delivery[E]], list[Delivery[E]]]:
    """What can be acked at once, and what the server must look at first.

    While a lease holds no other consumer can have the entry, so that its ack needs no question.
    What ran out, or has something to write, is settled only if it is still ours.
    """
    sure: list[Delivery[E]] = []
    rest: list[Delivery[E]] = []
    for delivery in batch:
        plain = not delivery.steps and delivery.is_ours(now)
        (sure if plain else rest).append(delivery)
    return sure, rest
