"""The bus: what services use."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from streamdesk.bus.backend import Backend, Standing
from streamdesk.bus.backend_memory import MemoryBackend
from streamdesk.bus.backend_redis import RedisBackend
from streamdesk.bus.config import BusConfig, RetryPolicy
from streamdesk.bus.dead_letters import (
    StoredDeadLetter,
    open_dead_letter,
    redriven_fields,
)
from streamdesk.bus.envelope import decode, open_envelope
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.bus.layout import layout_of
from streamdesk.bus.link import Link
from streamdesk.bus.message import Message
from streamdesk.bus.observer import BusObserver, Tracer, Unobserved, Untraced
from streamdesk.bus.publisher import Publisher
from streamdesk.bus.subscription import Handler, Subscription
from streamdesk.bus.tail import Tail
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError

E = TypeVar("E", bound=Event)

DEFAULT_BATCH = 32
DEFAULT_CONCURRENCY = 8
DEAD_SCAN = 100_000


@dataclass(frozen=True, slots=True)
class GroupLag:
    """Where one group stands on one topic, summed over the topic's classes.

    Attributes:
        topic: name of the topic.
        group: name of the group; empty for a topic that nobody reads in a group.
        waiting: entries the group was not given yet.
        pending: entries in the hands of its consumers.
        delayed: messages that wait for their retry.
        dead: dead letters of the topic.
        oldest_pending_seconds: age of the oldest entry in hand, since it was published.
        consumers: names known to the group.
        length: entries on the topic's streams.
        added: entries ever added to them.
    """

    topic: str
    group: str
    waiting: int
    pending: int
    delayed: int
    dead: int
    oldest_pending_seconds: float | None
    consumers: int
    length: int
    added: int


def _group_lag(topic: str, group: str, standing: Standing, dead: int, now_ms: int) -> GroupLag:
    oldest = standing.oldest_pending_ms
    return GroupLag(
        topic=topic,
        group=group,
        waiting=standing.waiting if group else 0,
        pending=standing.pending,
        delayed=standing.delayed,
        dead=dead,
        oldest_pending_seconds=None if oldest is None else max(0, now_ms - oldest) / 1000,
        consumers=standing.consumers,
        length=standing.length,
        added=standing.added,
    )


class Bus:
    """An event bus on Redis Streams. Use it as an async context manager."""

    def __init__(
        self, backend: Backend, config: BusConfig, observer: BusObserver, tracer: Tracer
    ) -> None:
        """Use `Bus.connect`."""
        self._backend = backend
        self._config = config
        self._observer = observer
        self._tracer = tracer
        self._link = Link(observer, backend.drop_idle)
        self._publisher = Publisher(
            backend=backend, link=self._link, config=config, observer=observer, tracer=tracer
        )

    @classmethod
    def connect(
        cls,
        config: BusConfig,
        observer: BusObserver | None = None,
        tracer: Tracer | None = None,
    ) -> Self:
        """A bus on the server that `config.url` names.

        Nothing is sent yet: a server that is away now is waited for when it is needed.
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

    async def publish(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        """Append one event; return its entry id once the server has it.

        Args:
            topic: where to.
            event: one of the topic's models.
            event_id: the event's id, where the caller can derive one; a new UUIDv7 otherwise.

        Raises:
            QueueFullError: the topic's limit is reached; nothing was written.
            BusUnavailableError: no server within the publish time-out.
            UnknownEventError: the topic does not carry such events.
        """
        return (await self._publisher.publish(topic, [event], [event_id]))[0]

    async def publish_many(
        self,
        topic: Topic[E],
        events: Sequence[E],
        *,
        event_ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Append events in one round trip a class; a frame topic packs them.

        Events of one class keep their order. On a topic with a limit the events of one class are
        written all or none.

        Raises:
            QueueFullError: as `publish`; classes written before stay written.
            BusUnavailableError: as `publish`.
        """
        return await self._publisher.publish(topic, events, event_ids or [None] * len(events))

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
    ) -> Subscription[E]:
        """A consumer of `group`; nothing happens until it is run.

        Args:
            topic: what to consume.
            group: each entry goes to one consumer of a group.
            handler: called with one message; returns an outcome, None for Ack.
            batch: most entries in hand, waiting ones included. On a topic with classes no more
                than `concurrency` are taken, so that nothing of a lower class is in hand while
                something higher arrives.
            concurrency: handlers at a time.
            retry: instead of the bus's policy.
            lease_seconds: instead of the bus's.
        """
        config = replace(
            self._config,
            retry=retry or self._config.retry,
            lease_seconds=lease_seconds or self._config.lease_seconds,
        )
        consumer = f"{config.service}-{config.instance}-{secrets.token_hex(3)}"
        return Subscription(
            topic=topic,
            layout=layout_of(topic),
            group=group,
            handler=handler,
            backend=self._backend,
            link=self._link,
            config=config,
            consumer=consumer,
            observer=self._observer,
            tracer=self._tracer,
            prefetch=concurrency if topic.classes else max(batch, concurrency),
            concurrency=concurrency,
        )

    def tail(
        self,
        topics: Topic[Any] | Sequence[Topic[Any]],
        *,
        since: str = "$",
        stop: asyncio.Event | None = None,
    ) -> AsyncGenerator[Message[Any], None]:
        """Every message of the topics, without a group, across outages, until `stop` is set.

        Args:
            topics: one or several.
            since: `$` for what comes from now on, `0` for all there is, or an entry id
                (`<milliseconds>-<n>`) for what came after it.
            stop: ends the iteration within the blocking time (1 s).

        Raises:
            BusConfigError: `since` is none of those.
        """
        chosen = [topics] if isinstance(topics, Topic) else list(topics)
        return Tail(
            chosen,
            backend=self._backend,
            link=self._link,
            observer=self._observer,
            block_seconds=self._config.block_seconds,
            stop=stop,
        ).messages(since)

    async def lag(self, topic: Topic[Any]) -> list[GroupLag]:
        """Where each of the topic's groups stands; one row without a group if it has none."""
        layout = layout_of(topic)
        groups = layout.groups or ("",)
        standings = [
            await self._link.once(lambda: self._backend.standing(layout, group))  # noqa: B023 - called at once
            for group in groups
        ]
        # Last: a message that has left every group's hands is counted here by now if it died.
        dead = await self._link.once(lambda: self._backend.dead_count(layout))
        now_ms = await self._link.once(self._backend.now_ms)
        return [
            _group_lag(topic.name, group, standing, dead, now_ms)
            for group, standing in zip(groups, standings, strict=True)
        ]

    async def waiting(self, topic: Topic[E], group: str, limit: int = 20) -> list[Message[E]]:
        """The messages the group would be given next, highest class first, untouched."""
        layout = layout_of(topic)
        entries = await self._link.once(lambda: self._backend.peek(layout, group, limit))
        messages: list[Message[E]] = []
        for entry in entries:
            try:
                envelope = open_envelope(entry.fields)
                members = decode(topic, envelope, entry.fields[b"b"])
            except ContractError:
                continue  # whoever takes it puts it to the dead letters
            messages.extend(
                Message(
                    id=member.id,
                    event=member.event,
                    topic=topic.name,
                    key=envelope.key,
                    attempt=envelope.failed_attempts + 1,
                    published_at=envelope.published_at,
                    entry_id=entry.id,
                    priority=layout.classes[entry.stream],
                )
                for member in members
                if member.event is not None
            )
        return messages[:limit]

    async def dead(self, topic: Topic[Any], limit: int = 100) -> list[StoredDeadLetter]:
        """The oldest dead letters of a topic."""
        layout = layout_of(topic)
        # Topics may share a key for their dead letters: look at all, keep ours.
        rows = await self._link.once(lambda: self._backend.dead_letters(layout, DEAD_SCAN))
        letters: list[StoredDeadLetter] = []
        for entry_id, fields in rows:
            try:
                stored = open_dead_letter(entry_id, fields)
            except ValidationError:
                continue  # not written by the bus
            if stored.letter.topic == topic.name:
                letters.append(stored)
        return letters[:limit]

    async def redrive(
        self, topic: Topic[Any], ids: Sequence[str] | None = None, limit: int = 100
    ) -> int:
        """Put dead letters back where they came from, for the group that had given them up.

        Args:
            topic: whose dead letters.
            ids: entry ids of the letters; None for the oldest `limit`.
            limit: at most so many.

        Returns:
            how many went back. A letter is removed in the same step, so it never goes back twice.
        """
        layout = layout_of(topic)
        chosen = [
            stored
            for stored in await self.dead(topic, DEAD_SCAN)
            if ids is None or stored.id in ids
        ][:limit]
        count = 0
        for stored in chosen:
            stream = min(stored.letter.stream, len(layout.streams) - 1)
            fields = redriven_fields(stored)
            done = await self._link.once(
                lambda: self._backend.redrive(layout, stored.id, stream, fields)  # noqa: B023 - called at once
            )
            count += bool(done)
        return count

    async def purge_dead(self, topic: Topic[Any], ids: Sequence[str] | None = None) -> int:
        """Delete dead letters for good; returns how many."""
        chosen = ids
        if chosen is None:
            chosen = [stored.id for stored in await self.dead(topic, DEAD_SCAN)]
        if not chosen:
            return 0
        doomed = list(chosen)
        layout = layout_of(topic)
        return await self._link.once(lambda: self._backend.remove_dead(layout, doomed))
