"""From events to entries, and where each of them goes."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from streamdesk.bus.backends.records import HeldChange
from streamdesk.bus.config import Wait
from streamdesk.bus.envelope import FRAME_EVENTS, Fields
from streamdesk.bus.errors import BusConfigError
from streamdesk.bus.publishing.encoding import encode_all, encode_frame, json_of
from streamdesk.bus.publishing.writer import Target, Writer
from streamdesk.bus.topic_keys import keys_of, partitions_of, shard_of
from streamdesk.bus.tracing import Tracer, publishing
from streamdesk.contracts.base import Event, Topic

CHUNK_EVENTS = 100
"""Entries that are encoded before they are sent; more are in flight meanwhile."""


class Publisher:
    """Encodes events and has them written."""

    def __init__(self, writer: Writer, tracer: Tracer, durable: Wait | None) -> None:
        """Made by `Bus`.

        Args:
            writer: appends entries.
            tracer: knows the present span.
            durable: what a publish to a durable topic waits for.
        """
        self._writer = writer
        self._tracer = tracer
        self._durable = durable

    def publish(
        self,
        topic: Topic[Any],
        events: Sequence[Event],
        event_ids: Sequence[str | None],
        *,
        causes: Sequence[str] | None = None,
        durable: Wait | None = None,
        delay_seconds: float = 0.0,
    ) -> Awaitable[list[str]]:
        """Append events in order; one entry id an event, or a frame's for each of its members."""
        if not self._tracer.is_on or not events:
            return self._publish(topic, events, event_ids, durable, delay_seconds, None)

        async def write_in_spans() -> list[str]:
            with publishing(self._tracer, topic, event_ids, causes) as carried:
                return await self._publish(
                    topic, events, event_ids, durable, delay_seconds, carried
                )

        return write_in_spans()

    async def _publish(
        self,
        topic: Topic[Any],
        events: Sequence[Event],
        event_ids: Sequence[str | None],
        durable: Wait | None,
        delay_seconds: float,
        traceparents: Sequence[str] | None,
    ) -> list[str]:
        if delay_seconds > 0 and not topic.groups:
            raise BusConfigError(
                f"topic {topic.name!r} has no consumer group; a delayed event is delivered by "
                "one: publish it when it is due, or name a group in the topic"
            )
        ids = [""] * len(events)
        # Each class or shard is a stream of its own: one write each, answers put back in order.
        for part, places in self._by_part(topic, events).items():
            target = self.target(topic, part, durable, delay_seconds)
            chosen = [events[at] for at in places]
            if topic.mode == "frame":
                # A frame has one envelope, and so one trace for all its events.
                carried_by_all = traceparents[places[0]] if traceparents else ""
                written = await self._write_frames(target, chosen, carried_by_all)
            else:
                given = [event_ids[at] for at in places]
                carried = [traceparents[at] for at in places] if traceparents else None
                written = await self._write_entries(target, chosen, given, carried)
            for at, entry_id in zip(places, written, strict=True):
                ids[at] = entry_id
        return ids

    async def publish_held(
        self, topic: Topic[Any], events: Sequence[Event], change: HeldChange
    ) -> list[str] | None:
        """Append frames and change a value in one step; None where that was refused.

        Raises:
            BusConfigError: a topic without frames, or with groups.
        """
        if topic.mode != "frame" or topic.groups:
            raise BusConfigError(
                f"topic {topic.name!r} has mode {topic.mode!r} and groups {topic.groups}; expected "
                "frames and no group, which are appended in one step with a value"
            )

        async def write(traceparent: str) -> list[str] | None:
            frames, counts = _frames(topic, events, traceparent)
            target = self.target(topic, 0)
            written = await self._writer.write_held(target, frames, len(events), change)
            return None if written is None else _each(written, counts)

        if not self._tracer.is_on:
            return await write("")
        with publishing(self._tracer, topic, [None] * len(events), None) as carried:
            return await write(carried[0])

    def target(
        self, topic: Topic[Any], part: int, durable: Wait | None = None, delay_seconds: float = 0.0
    ) -> Target:
        """Where a class or shard of the topic is written."""
        sure = durable or (self._durable if topic.durable else None)
        if topic.shards > 1:
            return Target(topic, partitions_of(topic)[part], 0, sure, delay_seconds)
        return Target(topic, keys_of(topic), part, sure, delay_seconds)

    def _by_part(self, topic: Topic[Any], events: Sequence[Event]) -> dict[int, list[int]]:
        """Which events go to which class or shard, by position, in order."""
        places: dict[int, list[int]] = {}
        for at, event in enumerate(events):
            places.setdefault(self.part_of(topic, event), []).append(at)
        return places

    def part_of(self, topic: Topic[Any], event: Event) -> int:
        """The number of the event's class or shard.

        Raises:
            UnknownEventError: the topic does not carry such events.
        """
        if type(event) not in topic.models:
            topic.model(event.type_name())  # says which events the topic carries
        if topic.shards > 1:
            return shard_of(topic.key_of(event), topic.shards)
        return keys_of(topic).index_of(topic.class_of(event)) if topic.classes else 0

    async def _write_entries(
        self,
        target: Target,
        events: Sequence[Event],
        event_ids: Sequence[str | None],
        traceparents: Sequence[str] | None,
    ) -> list[str]:
        """Write entries; the server works on the first ones while the next are encoded.

        Not where a script writes them: all or none, or each once.
        """
        topic = target.topic
        plain = topic.max_backlog is None and topic.dedup_window_seconds is None
        step = CHUNK_EVENTS if plain and target.delay_seconds == 0 else max(1, len(events))
        writes: list[asyncio.Task[list[str]]] = []
        for start in range(0, len(events), step):
            end = start + step
            carried = traceparents[start:end] if traceparents else None
            batch = encode_all(topic, events[start:end], carried, event_ids[start:end])
            if end >= len(events) and not writes:  # the usual case: no task is needed
                return await self._writer.write(target, batch, len(batch))
            before = writes[-1] if writes else None
            write = self._writer.write(target, batch, len(batch), after=before)
            writes.append(asyncio.create_task(write))
            # One turn of the loop starts the task, the next one writes to the socket.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        # All must have ended before the first error is raised: a write that is still under way
        # could add events after the caller has been refused.
        ended = await asyncio.gather(*writes, return_exceptions=True)
        written: list[str] = []
        for result in ended:
            if isinstance(result, BaseException):
                raise result
            written += result
        return written

    async def _write_frames(
        self, target: Target, events: Sequence[Event], traceparent: str
    ) -> list[str]:
        frames, counts = _frames(target.topic, events, traceparent)
        return _each(await self._writer.write(target, frames, len(events)), counts)


def _frames(
    topic: Topic[Any], events: Sequence[Event], traceparent: str
) -> tuple[list[Fields], list[int]]:
    """Events of one type after another as frames, and how many are in each."""
    frames: list[Fields] = []
    counts: list[int] = []
    start = 0
    for end in range(1, len(events) + 1):
        changes = end < len(events) and type(events[end]) is not type(events[start])
        if end == len(events) or changes or end - start == FRAME_EVENTS:
            bodies = [json_of(event) for event in events[start:end]]
            above = topic.compress_above_bytes
            frames.append(encode_frame(type(events[start]), bodies, traceparent, above))
            counts.append(end - start)
            start = end
    return frames, counts


def _each(written: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The entry id of each event, from those of the frames."""
    return [entry_id for entry_id, count in zip(written, counts, strict=True) for _ in range(count)]
