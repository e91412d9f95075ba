"""Writing to the bus: through an outage, and without a second entry when an answer was lost."""

import time
from collections.abc import Sequence
from typing import Any

from streamdesk.bus.backend import Backend
from streamdesk.bus.config import BusConfig
from streamdesk.bus.envelope import FRAME_EVENTS, Fields, encode, encode_frame
from streamdesk.bus.errors import BusUnavailableError, QueueFullError
from streamdesk.bus.layout import Layout, layout_of
from streamdesk.bus.link import Link
from streamdesk.bus.observer import BusObserver, Tracer
from streamdesk.contracts.base import Event, Topic

CLOCK_MARGIN_MS = 60_000
"""How far our clock may be from the server's when we look for what we wrote."""


class Publisher:
    """Encodes events and appends them."""

    def __init__(
        self,
        *,
        backend: Backend,
        link: Link,
        config: BusConfig,
        observer: BusObserver,
        tracer: Tracer,
    ) -> None:
        """Made by `Bus`."""
        self._backend = backend
        self._link = link
        self._config = config
        self._observer = observer
        self._tracer = tracer

    async def publish(
        self, topic: Topic[Any], events: Sequence[Event], event_ids: Sequence[str | None]
    ) -> list[str]:
        """Append events in order; one entry id an event, or a frame's for each of its members."""
        if topic.mode == "frame":
            return await self._publish_frames(topic, events)
        layout = layout_of(topic)
        traceparent = self._tracer.inject()
        ids = [""] * len(events)
        for stream, places in self._by_stream(topic, layout, events).items():
            batch = [encode(topic, events[i], traceparent, event_ids[i]) for i in places]
            written = await self._append(topic, layout, stream, batch)
            for place, entry_id in zip(places, written, strict=True):
                ids[place] = entry_id
        return ids

    def _by_stream(
        self, topic: Topic[Any], layout: Layout, events: Sequence[Event]
    ) -> dict[int, list[int]]:
        """Which events go to which stream, by position, in order."""
        places: dict[int, list[int]] = {}
        for place, event in enumerate(events):
            topic.model(event.type_name())  # an event of another topic is refused here
            places.setdefault(layout.index_of(topic.class_of(event)), []).append(place)
        return places

    async def _publish_frames(self, topic: Topic[Any], events: Sequence[Event]) -> list[str]:
        layout = layout_of(topic)
        traceparent = self._tracer.inject()
        frames: list[tuple[Fields, int]] = []
        start = 0
        for end in range(1, len(events) + 1):
            changes = end < len(events) and type(events[end]) is not type(events[start])
            if end == len(events) or changes or end - start == FRAME_EVENTS:
                topic.model(events[start].type_name())
                frames.append((encode_frame(events[start:end], traceparent), end - start))
                start = end
        written = await self._append(
            topic, layout, 0, [fields for fields, _ in frames], len(events)
        )
        return [
            entry_id
            for entry_id, (_, count) in zip(written, frames, strict=True)
            for _ in range(count)
        ]

    async def _append(
        self,
        topic: Topic[Any],
        layout: Layout,
        stream: int,
        batch: Sequence[Fields],
        count: int | None = None,
    ) -> list[str]:
        """Append entries of one stream, through an outage if need be.

        Raises:
            QueueFullError: at the topic's limit; nothing of the batch was written.
            BusUnavailableError: no server within the publish time-out; the outcome is unknown.
        """
        if not batch:
            return []
        try:
            written = await self._append_once_or_again(topic, layout, stream, batch)
        except QueueFullError:
            self._observer.refused(topic.name)
            raise
        self._observer.published(topic.name, len(batch) if count is None else count)
        return written

    async def _append_once_or_again(
        self, topic: Topic[Any], layout: Layout, stream: int, batch: Sequence[Fields]
    ) -> list[str]:
        deadline = time.monotonic() + self._config.publish_timeout_seconds
        since_ms = max(0, time.time_ns() // 1_000_000 - CLOCK_MARGIN_MS)
        event_ids = [fields[b"id"].decode() for fields in batch]
        written = [""] * len(batch)
        while True:
            missing = [i for i, entry_id in enumerate(written) if not entry_id]
            part = [batch[i] for i in missing]
            try:
                fresh = await self._link.once(lambda: self._send(topic, layout, stream, part))  # noqa: B023 - called before the next round
            except BusUnavailableError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                # The answer is lost, not necessarily the write: see what is there.
                written = await self._link.call(
                    lambda: self._backend.find(layout, stream, since_ms, event_ids),
                    timeout_seconds=left,
                )
                if all(written):
                    return written
                continue
            for place, entry_id in zip(missing, fresh, strict=True):
                written[place] = entry_id
            return written

    async def _send(
        self, topic: Topic[Any], layout: Layout, stream: int, part: Sequence[Fields]
    ) -> list[str]:
        if topic.max_backlog is not None and layout.groups:
            return await self._backend.append_within(layout, stream, part, topic.max_backlog)
        # What a group has yet to read must not be trimmed here; its subscription trims.
        keep = None if layout.groups else topic.keep
        return await self._backend.append(layout, stream, part, keep)
