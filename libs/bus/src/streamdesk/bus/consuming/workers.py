"""The workers of a subscription: they run the handler and note what came of each message."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from streamdesk.bus.consuming.breaker import Breaker
from streamdesk.bus.consuming.deliveries import Batch, Delivery, InFlight, Job
from streamdesk.bus.consuming.reader import Reader, outcome_of
from streamdesk.bus.dead_letters.letters import error_chain
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.tracing import NO_SPAN, MessageSpan, Tracer, processing, processing_batch
from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)
Handler = Callable[[Message[E]], Awaitable[Outcome | None]]
BatchHandler = Callable[[Batch[E]], Awaitable[Mapping[int, Outcome] | None]]

YIELD_EVERY = 8
OUTCOME = "streamdesk.message.outcome"
_ACK = Ack()


@dataclass(frozen=True, slots=True)
class WorkerPool(Generic[E]):
    """What all workers of a subscription share.

    Args:
        handle: the handler of single messages; None with `handle_batch`.
        handle_batch: the handler of batches; None with `handle`.
        ordered: a failed message is tried again in its place, before the next of its key.
        stop: set when the subscription ends: no worker waits for a retry any more.
        owned_until: monotonic time until which the shard is ours; never, without shards.
    """

    topic: str
    group: str
    reader: Reader[E]
    in_flight: InFlight[E]
    observer: BusObserver
    tracer: Tracer
    breaker: Breaker
    handle: Handler[E] | None
    handle_batch: BatchHandler[E] | None
    ordered: bool
    stop: asyncio.Event
    owned_until: Callable[[], float]

    async def work(self, queue: int) -> None:
        """Do one job after the other, and let the loop turn in between.

        A handler that never waits would otherwise keep everybody else from running, the renewal
        of its own lease included.
        """
        jobs = self.in_flight.queues[queue]
        done = 0
        while (job := await jobs.get()) is not None:
            if self._still_ours(job):
                await self._do(job)
            done += 1
            if job.at is None or done % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _still_ours(self, job: Job[E]) -> bool:
        """Whether the leases hold; another consumer may have what ran out while it waited here."""
        now = time.monotonic()
        if now < self.owned_until() and all(d.is_ours(now) for d in job.deliveries):
            return True
        if self.ordered:
            self.in_flight.drop(job.deliveries)
            self.in_flight.drop_waiting()
            return False
        ours = [d for d in job.deliveries if d.is_ours(now)]
        self.in_flight.drop([d for d in job.deliveries if not d.is_ours(now)])
        job.deliveries = ours
        return bool(job.deliveries)

    async def _do(self, job: Job[E]) -> None:
        for delivery in job.deliveries:
            delivery.started = True
        if job.at is None:
            await self._do_batch(job.deliveries)
            self.in_flight.end(job.deliveries)
            return
        delivery = job.deliveries[0]
        if not await self._do_one(delivery, self.reader.message(delivery, job.at)):
            return  # given back: it comes again
        delivery.open -= 1
        if delivery.open == 0:
            self.in_flight.end((delivery,))

    async def _do_one(self, delivery: Delivery[E], message: Message[E]) -> bool:
        """Handle a message; False when it was given back, or lost, before a retry in its place."""
        tries: list[tuple[str, ...]] = []
        while True:
            with self._span(message) as span:
                again = await self._try(delivery, message, tries, span)
            if again is None:
                return True
            if not (await self._pause(again) and self._still_ours(Job((delivery,)))):
                return False
            message.attempt += 1

    def _span(self, message: Message[E]) -> AbstractContextManager[MessageSpan]:
        if not self.tracer.is_on:
            return NO_SPAN
        return processing(self.tracer, self.topic, self.group, self.reader.consumer, message)

    async def _try(
        self,
        delivery: Delivery[E],
        message: Message[E],
        tries: list[tuple[str, ...]],
        span: MessageSpan,
    ) -> float | None:
        """Call the handler; seconds until the next try in its place, None when it is settled."""
        started = time.perf_counter()
        outcome, failure = await self._call(message)
        tries.append(error_chain(failure) if failure else ())
        again = self.reader.retry_in_place(message, outcome) if self.ordered else None
        if again is None:
            outcome = self.reader.settle(delivery, message, outcome, tries)
        if failure is not None:
            span.failed(failure)
        self._report(message, outcome, failure, started)
        span.note(OUTCOME, type(outcome).__name__.lower())
        return again

    async def _call(self, message: Message[E]) -> tuple[Outcome, Exception | None]:
        assert self.handle is not None  # noqa: S101 - a pool has one handler or the other
        try:
            return await self.handle(message) or _ACK, None
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is about its message
            return outcome_of(error), error

    async def _pause(self, seconds: float) -> bool:
        """Wait for a retry's time; False when the subscription stops first."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return True
        return False

    async def _do_batch(self, deliveries: Sequence[Delivery[E]]) -> None:
        batch = Batch(deliveries, self.reader.message)
        around: AbstractContextManager[MessageSpan] = NO_SPAN
        if self.tracer.is_on:
            me = self.topic, self.group, self.reader.consumer
            around = processing_batch(self.tracer, *me, batch)
        with around as span:
            await self._try_batch(batch, span)

    async def _try_batch(self, batch: Batch[E], span: MessageSpan) -> None:
        started = time.perf_counter()
        failure: Exception | None = None
        outcomes: Mapping[int, Outcome]
        assert self.handle_batch is not None  # noqa: S101 - a pool has one handler or the other
        try:
            outcomes = await self.handle_batch(batch) or {}
            _refuse_wrong_positions(outcomes, len(batch))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is about its messages
            span.failed(error)
            failure, all_alike = error, outcome_of(error)
            outcomes = dict.fromkeys(range(len(batch)), all_alike)
        self._settle_batch(batch, outcomes, failure, started)

    def _settle_batch(
        self,
        batch: Batch[E],
        outcomes: Mapping[int, Outcome],
        failure: Exception | None,
        started: float,
    ) -> None:
        failed = sorted(at for at in outcomes if not isinstance(outcomes[at], Ack))
        good = len(batch) - len(failed)
        if good:
            seconds = time.perf_counter() - started
            latency = _age_seconds(batch.deliveries[0])
            self.observer.consumed(self.topic, self.group, "ack", good, seconds, latency)
        errors = error_chain(failure) if failure else ()
        noted = 0
        for at in failed:
            self.note_end("", at - noted)
            noted = at + 1
            delivery, _ = batch.place(at)
            message = batch[at]
            outcome = self.reader.settle(delivery, message, outcomes[at], [errors])
            self._report(message, outcome, failure, started)
        self.note_end("", len(batch) - noted)

    def _report(
        self, message: Message[E], outcome: Outcome, failure: Exception | None, started: float
    ) -> None:
        topic, group, observer = self.topic, self.group, self.observer
        seconds = time.perf_counter() - started
        word = type(outcome).__name__.lower()
        latency = max(0.0, time.time() - message.published_at.timestamp())
        observer.consumed(topic, group, word, 1, seconds, latency)
        if failure is not None:
            observer.handler_failed(topic, group, message.id, failure, message.attempt, word)
        if isinstance(outcome, Retry):
            observer.retried(topic, group)
            return
        if isinstance(outcome, Dead):
            observer.dead_lettered(topic, group, outcome.reason)
        self.note_end(outcome.reason if isinstance(outcome, Dead) else "")

    def note_end(self, dead_reason: str, count: int = 1) -> None:
        """Note in the breaker how messages ended; report when that opens or closes it."""
        if count == 0:
            return
        was_closed = self.breaker.is_closed
        why = self.breaker.why
        self.breaker.note(dead_reason, time.monotonic(), count)
        if self.breaker.is_closed and not was_closed:
            self.observer.resumed(self.topic, self.group)
        elif self.breaker.why != why and not self.breaker.is_closed:
            self.observer.paused(self.topic, self.group, self.breaker.why)


def _refuse_wrong_positions(outcomes: Mapping[int, Outcome], size: int) -> None:
    """An outcome for a message that is not there is a fault of the handler, like what it raises."""
    for at in outcomes:
        if not 0 <= at < size:
            raise IndexError(f"outcome for position {at} of a batch; expected 0 to {size - 1}")


def _age_seconds(delivery: Delivery[E]) -> float:
    """Seconds since an entry was published."""
    at = delivery.entry.fields.get(b"at", b"")
    return max(0.0, time.time() - int(at) / 1000) if at.isdigit() else 0.0
