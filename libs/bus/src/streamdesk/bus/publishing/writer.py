"""Appending to a stream: through an outage, without a second entry when an answer was lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from streamdesk.bus.backends.port import Backend
from streamdesk.bus.backends.records import SCHEDULED, HeldChange
from streamdesk.bus.config import BusConfig, Wait
from streamdesk.bus.connection.link import Link
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import BusUnavailableError, QueueFullError, ServerFullError
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import TopicKeys
from streamdesk.contracts.base import Topic

CLOCK_MARGIN_MS = 60_000
"""How far our clock may be from the server's when we look for what we wrote."""

Send = Callable[[Sequence[Fields]], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where entries go, and how sure we want to be.

    Args:
        topic: of the entries.
        topic_keys: the topic's, or that of one of its shards.
        stream: position of the stream in the topic_keys.
        durable: replicas to wait for; None for none.
        delay_seconds: when they are to be seen.
    """

    topic: Topic[Any]
    topic_keys: TopicKeys
    stream: int
    durable: Wait | None = None
    delay_seconds: float = 0.0


class Writer:
    """What every way to publish ends in."""

    def __init__(
        self, backend: Backend, link: Link, config: BusConfig, observer: BusObserver
    ) -> None:
        """Made by `Bus`."""
        self._backend = backend
        self._link = link
        self._config = config
        self._observer = observer
        self._capped: set[str] = set()
        """Streams at their cap: it is said once each time it is reached."""

    async def write(
        self,
        target: Target,
        batch: Sequence[Fields],
        events: int,
        *,
        after: asyncio.Task[list[str]] | None = None,
    ) -> list[str]:
        """Append entries of one stream; returns their ids, empty ones for delayed entries.

        Args:
            target: where to.
            batch: the entries.
            events: how many events they carry.
            after: the write that was sent right before: what must be sent again comes after it.

        Raises:
            QueueFullError: at the topic's limit or the stream's cap; nothing was written.
            ServerFullError: the server has no memory; of several entries some may be written.
            NotDurableError: written, but not known to be on enough replicas within the time-out.
            BusUnavailableError: no server within the time-out; the outcome is unknown.
        """
        try:
            await self._keep_below_cap(target)
            written = await self._until_written(target, batch, after)
        except (QueueFullError, ServerFullError):
            self._observer.refused(target.topic.name)
            raise
        self._observer.published(target.topic.name, events)
        return written

    async def write_held(
        self, target: Target, batch: Sequence[Fields], events: int, change: HeldChange
    ) -> list[str] | None:
        """Append entries of a topic without groups and change a value, in one try.

        Returns:
            Their ids; None where the change was refused, and nothing was written.

        Raises:
            BusUnavailableError: the outcome is unknown; the value shows it.
            ServerFullError: nothing was written.
        """
        topic, topic_keys = target.topic, target.topic_keys
        written = await self._link.once(
            lambda: self._backend.append_held(topic_keys, batch, topic.keep, change)
        )
        if written is not None:
            self._observer.published(topic.name, events)
        return written

    async def _keep_below_cap(self, target: Target) -> None:
        """Refuse when a group that reads nothing made the stream grow without end.

        The length is known from the last append; only at the cap the server is asked again.
        """
        topic, topic_keys, stream = target.topic, target.topic_keys, target.stream
        cap = topic.hard_cap
        key = topic_keys.streams[stream]
        if not topic_keys.groups or self._backend.length(topic_keys, stream) < cap:
            self._capped.discard(key)
            return
        length = await self._link.call(
            lambda: self._backend.measure(topic_keys, stream),
            timeout_seconds=self._config.publish_timeout_seconds,
        )
        if length >= cap:
            if key not in self._capped:
                self._capped.add(key)
                self._observer.cap_reached(topic.name, key, length, cap)
            raise QueueFullError(topic.name, cap, length, key)

    async def _until_written(
        self, target: Target, batch: Sequence[Fields], after: asyncio.Task[list[str]] | None
    ) -> list[str]:
        backend = self._backend.waiting_for(target.durable)
        send = _sender(backend, target, self._observer)
        deadline = time.monotonic() + self._config.publish_timeout_seconds
        since_ms = max(0, time.time_ns() // 1_000_000 - CLOCK_MARGIN_MS)
        try:
            return list(await self._link.once(lambda: send(batch)))
        except ServerFullError:
            raise  # the answer is clear
        except BusUnavailableError:
            if deadline <= time.monotonic():
                raise
        if after is not None:
            await asyncio.wait([after])
        event_ids = [fields[b"id"].decode() for fields in batch]

        async def write_rest() -> list[str] | ServerFullError:
            # The answer is lost, not necessarily the write: see what is there, and write the rest.
            # Both as one call: a server that answers the one and refuses the other is down.
            found = list(await backend.find(target.topic_keys, target.stream, since_ms, event_ids))
            missing = [at for at, entry_id in enumerate(found) if not entry_id]
            try:
                fresh = await send([batch[at] for at in missing]) if missing else ()
            except ServerFullError as error:
                return error
            for at, entry_id in zip(missing, fresh, strict=True):
                found[at] = entry_id
            return ["" if entry_id == SCHEDULED else entry_id for entry_id in found]

        left = max(0.0, deadline - time.monotonic())
        written = await self._link.call(write_rest, timeout_seconds=left)
        if isinstance(written, ServerFullError):
            raise written
        return written


def _sender(backend: Backend, target: Target, observer: BusObserver) -> Send:
    """The step that writes entries as the topic wants it."""
    topic, topic_keys, stream = target.topic, target.topic_keys, target.stream
    limit = topic.limit_of(topic_keys.classes[stream]) if topic_keys.groups else None
    window_ms = round((topic.dedup_window_seconds or 0) * 1000)
    if target.delay_seconds > 0:
        delay_ms = max(1, round(target.delay_seconds * 1000))

        async def schedule(batch: Sequence[Fields]) -> Sequence[str]:
            for fields in batch:
                await backend.schedule(
                    topic_keys, stream, fields, delay_ms, window_ms=window_ms, limit=limit
                )
            return [""] * len(batch)

        return schedule
    # What a group has yet to read must not be trimmed here; its subscription trims.
    keep = None if topic_keys.groups else topic.keep
    if window_ms or limit is not None:
        # A frame's members can be dead letters only one by one, so a frame displaces no frame.
        displaces = topic.displaces and topic.mode == "entry"

        async def append(batch: Sequence[Fields]) -> Sequence[str]:
            appended = await backend.append_once(
                topic_keys, stream, batch, window_ms, limit, keep, displaces=displaces
            )
            for displaced in appended.displaced:
                observer.displaced(
                    topic.name,
                    displaced.group,
                    topic_keys.classes[displaced.stream],
                    topic_keys.classes[stream],
                )
            return appended.ids

        return append
    return lambda batch: backend.append(topic_keys, stream, batch, keep)
