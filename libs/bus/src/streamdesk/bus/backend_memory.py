"""The bus inside one process, for tests: the same steps as the server's, without a server.

Every method runs without awaiting anything in between, so each is atomic, as a Lua script is.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from streamdesk.bus.backend import Entry, Failure, Held, Standing, Step, Taken
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import QueueFullError
from streamdesk.bus.layout import Layout

Id = tuple[int, int]
ZERO: Id = (0, 0)


def _text(entry_id: Id) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


def _id(text: str) -> Id:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence or 0)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class _Pending:
    consumer: str
    since_ms: int
    deliveries: int


@dataclass(slots=True)
class _Group:
    last: Id = ZERO
    pending: dict[Id, _Pending] = field(default_factory=dict)


@dataclass(slots=True)
class _Stream:
    entries: dict[Id, Fields] = field(default_factory=dict)
    last: Id = ZERO
    added: int = 0
    groups: dict[str, _Group] = field(default_factory=dict)

    def add(self, fields: Fields) -> str:
        now = _now_ms()
        self.last = (now, 0) if now > self.last[0] else (self.last[0], self.last[1] + 1)
        self.entries[self.last] = dict(fields)
        self.added += 1
        return _text(self.last)

    def after(self, last: Id) -> list[Id]:
        return [entry_id for entry_id in self.entries if entry_id > last]


class MemoryBackend:
    """Streams, groups and dead letters in dictionaries."""

    _brokers: ClassVar[dict[str, "MemoryBackend"]] = {}

    def __init__(self) -> None:
        """Start empty."""
        self._streams: dict[str, _Stream] = {}
        self._delayed: dict[str, list[tuple[int, Step]]] = {}
        self._changed = asyncio.Event()

    @classmethod
    def named(cls, url: str) -> "MemoryBackend":
        """The broker of this URL; all buses of the process with the same URL share it."""
        return cls._brokers.setdefault(url, cls())

    async def close(self) -> None:
        """Keep everything: a server outlives its clients, too."""

    async def drop_idle(self) -> None:
        """There are none."""

    async def ping(self) -> None:
        """Answer."""

    async def now_ms(self) -> int:
        """This machine's clock."""
        return _now_ms()

    def _stream(self, key: str) -> _Stream:
        return self._streams.setdefault(key, _Stream())

    def _rows(self, layout: Layout, group: str) -> list[tuple[int, _Stream, _Group]]:
        """Each stream of the topic with the group's row, which is made where it is missing."""
        streams = [self._stream(key) for key in layout.streams]
        return [(i, s, s.groups.setdefault(group, _Group())) for i, s in enumerate(streams)]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def append(
        self, layout: Layout, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """Append, and drop the oldest beyond `keep`."""
        target = self._stream(layout.streams[stream])
        ids = [target.add(fields) for fields in batch]
        if keep is not None:
            for entry_id in list(target.entries)[: max(0, len(target.entries) - keep)]:
                del target.entries[entry_id]
        self._wake()
        return ids

    async def append_within(
        self, layout: Layout, stream: int, batch: Sequence[Fields], limit: int
    ) -> list[str]:
        """Append all or nothing."""
        for group in layout.groups:
            standing = await self.standing(layout, group)
            held = standing.waiting + standing.pending + standing.delayed
            if held + len(batch) > limit:
                raise QueueFullError(layout.topic, limit, held)
        return await self.append(layout, stream, batch, None)

    async def find(
        self, layout: Layout, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """Look for events by id."""
        target = self._stream(layout.streams[stream])
        recent = target.after((since_ms, -1))
        found = {target.entries[i].get(b"id", b"").decode(): _text(i) for i in recent}
        return [found.get(event_id, "") for event_id in event_ids]

    async def ensure_group(self, layout: Layout, group: str) -> None:
        """Make the group."""
        self._rows(layout, group)

    async def take(self, layout: Layout, group: str, consumer: str, count: int) -> Taken:
        """Move due messages, then take, highest class first."""
        due = self._promote(layout, group)
        now = _now_ms()
        entries: list[Entry] = []
        for index, stream, row in self._rows(layout, group):
            for entry_id in stream.after(row.last)[: count - len(entries)]:
                row.last = entry_id
                row.pending[entry_id] = _Pending(consumer, now, 1)
                entries.append(Entry(index, _text(entry_id), dict(stream.entries[entry_id])))
        last = [] if entries else [_text(self._stream(key).last) for key in layout.streams]
        return Taken(entries, due, last)

    def _promote(self, layout: Layout, group: str) -> int | None:
        """Move what is due; return the wait until the next, if there is one."""
        waiting = sorted(self._delayed.get(layout.delayed(group), []), key=lambda item: item[0])
        now = _now_ms()
        for at, step in waiting:
            if at <= now:
                self._stream(layout.streams[step.stream]).add(step.fields)
        left = [item for item in waiting if item[0] > now]
        self._delayed[layout.delayed(group)] = left
        if len(left) < len(waiting):
            self._wake()
        return left[0][0] - now if left else None

    async def wait(self, layout: Layout, last_ids: Sequence[str], block_ms: int) -> None:
        """Wait for an entry after `last_ids`."""
        pairs = list(zip(layout.streams, last_ids, strict=True))
        await self._wait_until(
            lambda: any(self._stream(key).last > _id(last) for key, last in pairs), block_ms
        )

    async def _wait_until(self, is_so: Callable[[], bool], block_ms: int) -> None:
        try:
            async with asyncio.timeout(block_ms / 1000):
                while not is_so():
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def settle(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[bool]:
        """Ack, and write what follows from failures that are still ours."""
        for index, entry_id in acks:
            self._row(layout, group, index).pending.pop(_id(entry_id), None)
        return [self._fail(layout, group, consumer, failure) for failure in failures]

    def _row(self, layout: Layout, group: str, index: int) -> _Group:
        return self._stream(layout.streams[index]).groups.setdefault(group, _Group())

    def _fail(self, layout: Layout, group: str, consumer: str, failure: Failure) -> bool:
        index, entry_id = failure.held
        row = self._row(layout, group, index)
        held = row.pending.get(_id(entry_id))
        if held is None or held.consumer != consumer:
            return False
        for step in failure.steps:
            if step.kind == "dead":
                self._stream(layout.dead).add(step.fields)
            elif step.kind == "add":
                self._stream(layout.streams[step.stream]).add(step.fields)
            else:
                due = (_now_ms() + step.delay_ms, step)
                self._delayed.setdefault(layout.delayed(group), []).append(due)
        del row.pending[_id(entry_id)]
        self._wake()
        return True

    async def reclaim(
        self, layout: Layout, group: str, consumer: str, least_idle_ms: int, count: int
    ) -> list[Entry]:
        """Take over what was idle too long."""
        now = _now_ms()
        entries: list[Entry] = []
        for index, stream, row in self._rows(layout, group):
            for entry_id, held in sorted(row.pending.items()):
                if len(entries) >= count or now - held.since_ms < least_idle_ms:
                    continue
                row.pending[entry_id] = _Pending(consumer, now, held.deliveries + 1)
                fields = dict(stream.entries[entry_id])
                entries.append(Entry(index, _text(entry_id), fields, held.deliveries + 1))
        return entries

    async def renew(
        self, layout: Layout, group: str, consumer: str, held: Sequence[Held]
    ) -> list[Held]:
        """Start the leases again."""
        lost: list[Held] = []
        for index, entry_id in held:
            pending = self._row(layout, group, index).pending.get(_id(entry_id))
            if pending is None or pending.consumer != consumer:
                lost.append((index, entry_id))
            else:
                pending.since_ms = _now_ms()
        return lost

    async def release(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        held: Sequence[Held],
        *,
        all_but: bool = False,
    ) -> int:
        """Make entries look abandoned."""
        named, count = set(held), 0
        for index, _stream, row in self._rows(layout, group):
            for entry_id, pending in row.pending.items():
                is_named = (index, _text(entry_id)) in named
                if pending.consumer == consumer and is_named != all_but:
                    pending.since_ms = 0
                    pending.deliveries = max(0, pending.deliveries - 1)
                    count += 1
        return count

    async def forget(self, layout: Layout, group: str, consumer: str) -> None:
        """Nothing to do: consumers are not kept here."""

    async def standing(self, layout: Layout, group: str) -> Standing:
        """Count."""
        streams = [self._stream(key) for key in layout.streams]
        rows = [(stream, stream.groups.get(group, _Group())) for stream in streams]
        pending = [entry_id for _, row in rows for entry_id in row.pending]
        return Standing(
            length=sum(len(stream.entries) for stream in streams),
            waiting=sum(len(stream.after(row.last)) for stream, row in rows),
            pending=len(pending),
            delayed=len(self._delayed.get(layout.delayed(group), [])),
            consumers=len({held.consumer for _, row in rows for held in row.pending.values()}),
            oldest_pending_ms=min(pending)[0] if pending else None,
            added=sum(stream.added for stream in streams),
        )

    async def peek(self, layout: Layout, group: str, count: int) -> list[Entry]:
        """Look ahead."""
        entries = [
            Entry(index, _text(entry_id), dict(stream.entries[entry_id]))
            for index, stream, row in self._rows(layout, group)
            for entry_id in stream.after(row.last)
        ]
        return entries[:count]

    async def trim(self, layout: Layout, keep: int) -> int:
        """Drop what is finished."""
        dropped = 0
        for key in layout.streams:
            stream = self._stream(key)
            bound = stream.last
            for group in layout.groups:
                row = stream.groups.get(group, _Group())
                bound = min([bound, row.last, *row.pending])
            excess = max(0, len(stream.entries) - keep)
            for entry_id in [i for i in list(stream.entries)[:excess] if i < bound]:
                del stream.entries[entry_id]
                dropped += 1
        return dropped

    async def last_ids(self, keys: Sequence[str]) -> list[str]:
        """The newest ids."""
        return [_text(self._stream(key).last) for key in keys]

    async def read(
        self, cursors: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, Fields]]:
        """Read after the cursors."""
        await self._wait_until(
            lambda: any(self._stream(key).last > _id(last) for key, last in cursors.items()),
            block_ms,
        )
        return [
            (key, _text(entry_id), dict(self._stream(key).entries[entry_id]))
            for key, last in cursors.items()
            for entry_id in self._stream(key).after(_id(last))[:count]
        ]

    async def dead_letters(self, layout: Layout, count: int) -> list[tuple[str, Fields]]:
        """The oldest dead letters."""
        entries = self._stream(layout.dead).entries
        return [(_text(entry_id), dict(fields)) for entry_id, fields in entries.items()][:count]

    async def dead_count(self, layout: Layout) -> int:
        """Count the dead letters."""
        return len(self._stream(layout.dead).entries)

    async def remove_dead(self, layout: Layout, ids: Sequence[str]) -> int:
        """Delete dead letters."""
        entries = self._stream(layout.dead).entries
        return sum(entries.pop(_id(entry_id), None) is not None for entry_id in ids)

    async def redrive(self, layout: Layout, dead_id: str, stream: int, fields: Fields) -> str:
        """Replace a dead letter by the original."""
        if not await self.remove_dead(layout, [dead_id]):
            return ""
        return (await self.append(layout, stream, [fields], None))[0]
