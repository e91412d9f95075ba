"""The bus: what services use."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from streamdesk.bus.backends.memory.backend import MemoryBackend
from streamdesk.bus.backends.port import Backend
from streamdesk.bus.backends.redis.backend import RedisBackend
from streamdesk.bus.config import BusConfig, RetryPolicy, Wait
from streamdesk.bus.connection.link import Link
from streamdesk.bus.consuming.breaker import BreakerPolicy
from streamdesk.bus.consuming.consumer import GroupConsumer
from streamdesk.bus.consuming.sharded import ShardedConsumer
from streamdesk.bus.consuming.subscription import DispatchOptions, Membership, Subscription, Tools
from streamdesk.bus.consuming.workers import BatchHandler, Handler
from streamdesk.bus.dead_letters.letters import DeadFilter, StoredDeadLetter
from streamdesk.bus.dead_letters.redrive import DeadLetterBox, RedriveReport
from streamdesk.bus.envelope import FRAME_EVENTS
from streamdesk.bus.errors import BusConfigError, BusUnavailableError
from streamdesk.bus.keys import Keys
from streamdesk.bus.leased_value import LeasedValue
from streamdesk.bus.observer import BusObserver, Unobserved
from streamdesk.bus.publishing.producer import Producer
from streamdesk.bus.publishing.publisher import Publisher
from streamdesk.bus.publishing.writer import Writer
from streamdesk.bus.topic_keys import keys_of
from streamdesk.bus.tracing import Tracer, Untraced
from streamdesk.bus.watching.watcher import Watcher
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)

DEFAULT_BATCH = 32
DEFAULT_BATCH_EVENTS = 500
DEFAULT_CONCURRENCY = 8


class Bus(Watcher):
    """An event bus on Redis Streams. Use it as an async context manager."""

    def __init__(
        self, backend: Backend, config: BusConfig, observer: BusObserver, tracer: Tracer
    ) -> None:
        """Use `Bus.connect`."""
        super().__init__(backend, Link(observer, backend.drop_idle), config, observer)
        self._tracer = tracer
        backend.on_move(self._link.wake)
        self._dead_letters = DeadLetterBox(backend, self._link)
        self._writer = Writer(backend, self._link, config, observer)
        self._publisher = Publisher(self._writer, tracer, config.durable)
        self.keys = Keys(
            self._link, backend.key_values, backend.waiting_for(config.durable).key_values
        )
        """Small values, claims and leases beside the streams."""

    @classmethod
    def connect(
        cls,
        config: BusConfig,
        observer: BusObserver | None = None,
        tracer: Tracer | None = None,
    ) -> Self:
        """A bus on the server that `config.url` names.

        Nothing is sent yet: an unreachable server is waited for when it is needed.
        """
        backend: Backend = (
            MemoryBackend.named(config.url)
            if config.url.startswith("memory:")
            else RedisBackend(config)
        )
        return cls(backend, config, observer or Unobserved(), tracer or Untraced())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._backend.close()

    @property
    def connected(self) -> bool:
        """Whether the server answered the last call."""
        return self._link.connected

    async def ping(self) -> bool:
        """Ask the server now; False when it does not answer."""
        try:
            await self._link.once(self._backend.ping)
        except BusUnavailableError:
            return False
        return True

    async def publish(
        self,
        topic: Topic[E],
        event: E,
        *,
        event_id: str | None = None,
        delay_seconds: float = 0.0,
        durable: Wait | None = None,
    ) -> str:
        """Append one event; return its entry id once the server has it.

        Args:
            topic: where to.
            event: one of the topic's models.
            event_id: the event's id, where the caller can derive one; a new UUIDv7 otherwise.
            delay_seconds: when it is delivered; the answer is then an empty string. A reader
                along without a group sees it at that time, too.
            durable: replicas that must have it, instead of what the bus and the topic say.

        Raises:
            QueueFullError: the topic's limit is reached; nothing was written.
            ServerFullError: the server's memory is full; nothing was written.
            NotDurableError: written, but not known to be on enough replicas.
            BusUnavailableError: no server within the publish time-out.
            BusConfigError: a delay, on a topic that no group consumes.
            UnknownEventError: the topic does not carry such events.
        """
        written = await self._publisher.publish(
            topic, [event], [event_id], durable=durable, delay_seconds=delay_seconds
        )
        return written[0]

    async def publish_many(
        self,
        topic: Topic[E],
        events: Sequence[E],
        *,
        event_ids: Sequence[str | None] | None = None,
        causes: Sequence[str] | None = None,
        durable: Wait | None = None,
    ) -> list[str]:
        """Append events in one round trip a class or shard; a frame topic packs them.

        Events of one class or shard keep their order. On a topic with a limit the events of one
        class are written all or none.

        Args:
            topic: where to.
            events: of the topic's models.
            event_ids: their ids, where the caller can derive them.
            causes: for traces, the traceparent of what caused each event, empty for none. Without
                it that is the current span; in the handler of a batch, the message of the event's
                id, if there is one.
            durable: as `publish`.

        Raises:
            QueueFullError: as `publish`; classes written before stay written.
            ServerFullError: as `publish`; events written before stay written.
            NotDurableError: as `publish`.
            BusUnavailableError: as `publish`.
        """
        ids = event_ids or [None] * len(events)
        return await self._publisher.publish(topic, events, ids, causes=causes, durable=durable)

    async def publish_held(
        self, topic: Topic[E], events: Sequence[E], leased: LeasedValue, value: bytes
    ) -> list[str]:
        """Append events and replace a value in one step, both or neither; one try.

        For a source that resumes: the value says how far it is. On a cluster the value's name
        needs the topic's hash tag, as in `{market:bars}:feed`.

        Args:
            topic: where to: one of frames, without groups.
            events: of the topic's models.
            leased: the value; this replica must lead.
            value: the new one, different from the one that is there.

        Returns:
            The events' entry ids; empty where the answer was lost and the value shows that both
            are written.

        Raises:
            LeaseLostError: another replica leads now; nothing was written.
            ServerFullError: nothing was written.
            BusUnavailableError: not known; lead again, and the value shows it.
            BusConfigError: another kind of topic.
        """
        ids: list[str] = []

        async def put() -> bool:
            change = leased.changed_to(value)
            written = await self._publisher.publish_held(topic, events, change)
            ids.extend(written or ())
            return written is not None

        await leased.change(value, put)
        return ids

    def producer(
        self,
        topic: Topic[E],
        *,
        linger_ms: float = 2.0,
        max_batch: int = FRAME_EVENTS,
        max_bytes: int = 1_000_000,
    ) -> Producer[E]:
        """A producer that collects events for a moment and writes them together.

        Args:
            topic: where to; of a frame topic each load becomes one frame.
            linger_ms: longest wait for company.
            max_batch: most events of a load.
            max_bytes: size at which a load leaves.

        Raises:
            BusConfigError: limits that cannot work.
        """
        return Producer(
            topic,
            self._publisher,
            self._writer,
            self._tracer,
            linger_ms=linger_ms,
            max_batch=max_batch,
            max_bytes=max_bytes,
        )

    def subscribe(
        self,
        topic: Topic[E],
        group: str,
        handler: Handler[E],
        *,
        batch: int = DEFAULT_BATCH,
        concurrency: int = DEFAULT_CONCURRENCY,
        retry: RetryPolicy | None = None,
        lease_seconds: float | None = None,
        breaker: BreakerPolicy | None = None,
    ) -> Subscription:
        """A consumer of `group`; nothing happens until it is run.

        Args:
            topic: what to consume.
            group: each entry goes to one consumer of a group.
            handler: called with one message; returns an outcome, None for Ack.
            batch: most entries in flight, waiting ones included. On a topic with classes no more
                than `concurrency` are taken, so that nothing of a lower class is in flight while
                something higher arrives.
            concurrency: handlers that run concurrently.
            retry: instead of the bus's policy.
            lease_seconds: instead of the bus's.
            breaker: instead of the bus's.
        """
        prefetch = concurrency if topic.classes else max(batch, concurrency)
        dispatch = DispatchOptions(handler, None, prefetch, concurrency)
        config = self._changed(retry, lease_seconds, breaker)
        return self._subscription(topic, group, dispatch, config)

    def subscribe_batches(
        self,
        topic: Topic[E],
        group: str,
        handler: BatchHandler[E],
        *,
        batch: int = DEFAULT_BATCH_EVENTS,
        concurrency: int = 1,
        retry: RetryPolicy | None = None,
        lease_seconds: float | None = None,
        breaker: BreakerPolicy | None = None,
    ) -> Subscription:
        """A consumer of `group` whose handler gets many messages at once: for volume.

        Args:
            topic: what to consume.
            group: as `subscribe`.
            handler: called with a `Batch`; returns the outcomes that are not Ack by their
                position in the batch, None when there are none. What it raises is the outcome of
                every message of the batch.
            batch: most entries in a batch; of a topic of frames about as many events.
            concurrency: handlers that run concurrently; two batches more are fetched ahead.
            retry: instead of the bus's policy.
            lease_seconds: instead of the bus's.
            breaker: instead of the bus's.

        Raises:
            BusConfigError: the topic has shards.
        """
        if topic.shards > 1:
            raise BusConfigError(
                f"topic {topic.name!r} has shards to keep events of a key in order; a batch that "
                "failed in part would break it: use subscribe"
            )
        dispatch = DispatchOptions(None, handler, batch * (concurrency + 2), concurrency, batch)
        config = self._changed(retry, lease_seconds, breaker)
        return self._subscription(topic, group, dispatch, config)

    def _changed(
        self,
        retry: RetryPolicy | None,
        lease_seconds: float | None,
        breaker: BreakerPolicy | None,
    ) -> BusConfig:
        return replace(
            self._config,
            retry=retry or self._config.retry,
            lease_seconds=lease_seconds or self._config.lease_seconds,
            breaker=breaker or self._config.breaker,
        )

    def _subscription(
        self, topic: Topic[E], group: str, dispatch: DispatchOptions[E], config: BusConfig
    ) -> Subscription:
        consumer = f"{config.service}-{config.instance}-{secrets.token_hex(3)}"
        tools = Tools(self._backend, self._link, self._observer, self._tracer, self._report_lag)
        member = Membership(topic, keys_of(topic), group, consumer, dispatch, config, tools)
        return GroupConsumer(member) if topic.shards == 1 else ShardedConsumer(member)

    async def _report_lag(self, topic: Topic[Any], group: str) -> None:
        self._observer.lag_measured(await self.group_lag(topic, group))

    async def dead(
        self, topic: Topic[Any], limit: int = 100, where: DeadFilter | None = None
    ) -> list[StoredDeadLetter]:
        """The oldest dead letters of a topic that fit `where`, at most `limit`."""
        return await self._dead_letters.oldest(topic, limit, where)

    async def redrive(
        self,
        topic: Topic[Any],
        ids: Sequence[str] | None = None,
        limit: int = 100,
        *,
        where: DeadFilter | None = None,
        rate_per_second: float | None = None,
        max_replays: int | None = None,
        dry_run: bool = False,
    ) -> RedriveReport:
        """Put dead letters back where they came from, for the group that had given them up.

        A letter is removed in the same step, so it never goes back twice. Letters that arrive
        while this runs are left for the next call.

        Args:
            topic: whose dead letters.
            ids: entry ids of the letters; None for the oldest ones.
            limit: at most so many.
            where: only letters that fit.
            rate_per_second: no faster than this; None for as fast as it goes.
            max_replays: skip letters that were put back so often already.
            dry_run: only say which letters would go.

        Raises:
            BusConfigError: a rate that is not above 0.
            BusUnavailableError: the server stopped answering; what went back until then did.
        """
        return await self._dead_letters.redrive(
            topic,
            ids,
            limit,
            where=where,
            rate_per_second=rate_per_second,
            max_replays=max_replays,
            dry_run=dry_run,
        )

    async def purge_dead(self, topic: Topic[Any], ids: Sequence[str] | None = None) -> int:
        """Delete dead letters permanently; returns how many."""
        return await self._dead_letters.purge(topic, ids)
