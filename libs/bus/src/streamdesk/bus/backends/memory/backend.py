"""The bus inside one process, for tests: the same steps as the server's, without a server.

Every method runs without awaiting anything in between, so each is atomic, as a Lua script is.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from streamdesk.bus.backends.memory.displacing import give_up, weakest
from streamdesk.bus.backends.memory.inspection import MemoryInspection
from streamdesk.bus.backends.memory.key_values import MemoryKeyValues
from streamdesk.bus.backends.memory.streams import (
    Pending,
    Scheduled,
    id_text,
    now_ms,
    parse_id,
)
from streamdesk.bus.backends.records import (
    SCHEDULED,
    Appended,
    Displaced,
    Entry,
    Failure,
    Held,
    HeldChange,
    Recreated,
    Settled,
    Taken,
)
from streamdesk.bus.config import Wait
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import QueueFullError
from streamdesk.bus.topic_keys import TopicKeys


class MemoryBackend(MemoryInspection):
    """Streams, groups and dead letters in dictionaries."""

    _brokers: ClassVar[dict[str, "MemoryBackend"]] = {}

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.key_values = MemoryKeyValues()
        self._owners: dict[str, tuple[str, int, int]] = {}
        self._members: dict[str, dict[str, int]] = {}
        self._adoptions: dict[str, str] = {}

    @classmethod
    def named(cls, url: str) -> "MemoryBackend":
        """The broker of this URL; all buses of the process with the same URL share it."""
        return cls._brokers.setdefault(url, cls())

    async def close(self) -> None:
        """Keep everything: a server outlives its clients, too."""

    def on_move(self, moved: Callable[[], None]) -> None:
        """It never moves."""

    async def drop_idle(self) -> None:
        """There are none."""

    def waiting_for(self, durable: Wait | None) -> "MemoryBackend":  # noqa: ARG002 - the protocol's
        """There are no replicas to wait for."""
        return self

    async def ping(self) -> None:
        """Return at once: memory always answers."""

    async def now_ms(self) -> int:
        """This machine's clock."""
        return now_ms()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def append(
        self, topic_keys: TopicKeys, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """Append, and drop the oldest beyond `keep`."""
        target = self._stream(topic_keys, stream)
        ids = [target.add(fields) for fields in batch]
        target.drop_beyond(keep)
        self._wake()
        return ids

    async def append_once(
        self,
        topic_keys: TopicKeys,
        stream: int,
        batch: Sequence[Fields],
        window_ms: int,
        limit: int | None,
        keep: int | None,
        *,
        displaces: bool = False,
    ) -> Appended:
        """Append what is not remembered, all or nothing."""
        keys = [topic_keys.once(fields[b"id"].decode()) if window_ms else "" for fields in batch]
        written = {key: self.store.written(key) for key in keys if key}
        # Twice the same event in one batch is one entry: it counts once.
        fresh = {
            key or str(at): fields
            for at, (key, fields) in reversed(list(enumerate(zip(keys, batch, strict=True))))
            if written.get(key) is None
        }
        newcomers = list(reversed(fresh.values()))
        displaced = self._make_room(limit, topic_keys, stream if displaces else None, newcomers)
        ids: list[str] = []
        for key, fields in zip(keys, batch, strict=True):
            entry_id = written.get(key)
            if entry_id is None:
                entry_id = self._stream(topic_keys, stream).add(fields)
            if key and written[key] is None:
                written[key] = entry_id
                self.store.once[key] = (now_ms() + window_ms, entry_id)
            ids.append(entry_id)
        self._stream(topic_keys, stream).drop_beyond(keep)
        self._wake()
        return Appended(ids, displaced)

    def _make_room(
        self,
        limit: int | None,
        topic_keys: TopicKeys,
        stream: int | None,
        newcomers: Sequence[Fields],
    ) -> list[Displaced]:
        """Have each group that would have more than `limit` to do give up what is weaker.

        Raises QueueFullError where there is not so much on streams below `stream`, which is None
        for newcomers that displace nothing.
        """
        if limit is None or not newcomers:
            return []
        above = len(topic_keys.streams) if stream is None else stream
        doomed: dict[str, list[Entry]] = {}
        for group in topic_keys.groups:
            held = self._group_state(topic_keys, group).backlog
            wanted = min(len(newcomers), held + len(newcomers) - limit)
            if wanted > 0:
                doomed[group] = weakest(self.store, topic_keys, group, above, wanted)
                if len(doomed[group]) < wanted:
                    raise QueueFullError(topic_keys.topic, limit, held)
        return [
            displaced
            for group, entries in doomed.items()
            for displaced in give_up(self.store, topic_keys, group, entries, newcomers, above)
        ]

    async def append_held(
        self,
        topic_keys: TopicKeys,
        batch: Sequence[Fields],
        keep: int,
        change: HeldChange,
    ) -> list[str] | None:
        """As the script does: nothing is awaited in between that could let another in."""
        written = await self.key_values.put_held(
            change.lease, change.owner, change.name, change.value, change.expected
        )
        return await self.append(topic_keys, 0, batch, keep) if written else None

    async def schedule(
        self,
        topic_keys: TopicKeys,
        stream: int,
        fields: Fields,
        delay_ms: int,
        *,
        window_ms: int = 0,
        limit: int | None = None,
    ) -> bool:
        """Keep it by its event id."""
        event_id = fields[b"id"].decode()
        planned = self.store.scheduled.setdefault(topic_keys.scheduled, {})
        once = topic_keys.once(event_id)
        if event_id in planned or (window_ms and self.store.written(once) is not None):
            return False
        self._make_room(limit, topic_keys, None, [fields])
        now = now_ms()
        planned[event_id] = Scheduled(now + delay_ms, stream, dict(fields))
        if window_ms:
            self.store.once[once] = (now + delay_ms + window_ms, "")
        return True

    def length(self, topic_keys: TopicKeys, stream: int) -> int:
        """The number of entries, which is always known here."""
        return len(self._stream(topic_keys, stream).entries)

    async def measure(self, topic_keys: TopicKeys, stream: int) -> int:
        """The same as `length`."""
        return self.length(topic_keys, stream)

    async def find(
        self, topic_keys: TopicKeys, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """Look for events by id."""
        target = self._stream(topic_keys, stream)
        recent = target.after((since_ms, -1))
        found = dict.fromkeys(self.store.scheduled.get(topic_keys.scheduled, {}), SCHEDULED)
        found |= {target.entries[i].get(b"id", b"").decode(): id_text(i) for i in recent}
        return [found.get(event_id, "") for event_id in event_ids]

    async def ensure_group(self, topic_keys: TopicKeys, group: str) -> list[Recreated]:
        """Make the group."""
        return self.store.create(topic_keys, group)

    async def take(
        self, topic_keys: TopicKeys, group: str, consumer: str, count: int, *, adoption: str = ""
    ) -> Taken:
        """Move what is due, then take, highest class first."""
        if self._is_stale(topic_keys, group, adoption):
            return Taken([], None, [], is_stale=True)
        recreated = self.store.create(topic_keys, group)
        before = self._last(topic_keys)
        due = self.store.promote(topic_keys, group)
        if before != self._last(topic_keys):
            self._wake()
        now = now_ms()
        entries: list[Entry] = []
        for index, stream, row in self._groups(topic_keys, group):
            row.seen_ms[consumer] = now
            for entry_id in stream.after(row.last)[: count - len(entries)]:
                row.last = entry_id
                row.pending[entry_id] = Pending(consumer, now, 1)
                entries.append(Entry(index, id_text(entry_id), dict(stream.entries[entry_id])))
        return Taken(entries, due, [] if entries else self._last(topic_keys), recreated)

    def _is_stale(self, topic_keys: TopicKeys, group: str, adoption: str) -> bool:
        return bool(adoption) and self._adoptions.get(topic_keys.adoption(group)) != adoption

    async def adopt(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        fence: int,
        adoption: str,
        count: int,
    ) -> list[Entry] | None:
        """Note it, and take over what is pending."""
        owner, until, held_fence = self._owners.get(topic_keys.owner(group), ("", 0, 0))
        if (owner, held_fence) != (consumer, fence) or until <= now_ms():
            return None
        self._adoptions[topic_keys.adoption(group)] = adoption
        return await self.reclaim(topic_keys, group, consumer, 0, count)

    def _last(self, topic_keys: TopicKeys) -> list[str]:
        return [id_text(self.store.stream(key).last) for key in topic_keys.streams]

    async def take_or_wait(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        count: int,
        block_ms: int,
        stopped: asyncio.Future[Any],
    ) -> list[Entry]:
        """Wait for an entry, then take."""
        key = topic_keys.streams[0]

        def has_more() -> bool:
            return self.store.stream(key).last > self.store.position(topic_keys, group, key)

        waiting = asyncio.ensure_future(self._wait_until(has_more, block_ms))
        await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await asyncio.wait({waiting})
        return (await self.take(topic_keys, group, consumer, count)).entries

    async def wait(self, topic_keys: TopicKeys, last_ids: Sequence[str], block_ms: int) -> None:
        """Wait for an entry after `last_ids`."""
        await self._wait_for_more(dict(zip(topic_keys.streams, last_ids, strict=True)), block_ms)

    async def settle(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[Settled]:
        """Ack, and write what follows from failures that are still ours."""
        for index, entry_id in acks:
            self._pending(topic_keys, group, index).pop(parse_id(entry_id), None)
        return [
            "written" if self._fail(topic_keys, group, consumer, failure) else "lost"
            for failure in failures
        ]

    def _pending(
        self, topic_keys: TopicKeys, group: str, index: int
    ) -> dict[tuple[int, int], Pending]:
        row = self._stream(topic_keys, index).groups.get(group)
        return row.pending if row else {}

    def _fail(self, topic_keys: TopicKeys, group: str, consumer: str, failure: Failure) -> bool:
        index, entry_id = failure.held
        pending = self._pending(topic_keys, group, index)
        held = pending.get(parse_id(entry_id))
        if held is None or held.consumer != consumer:
            return False
        for step in failure.steps:
            if step.kind == "dead":
                self.store.stream(topic_keys.dead).add(step.fields)
            elif step.kind == "add":
                self._stream(topic_keys, step.stream).add(step.fields)
            else:
                due = (now_ms() + step.delay_ms, step)
                self.store.delayed.setdefault(topic_keys.delayed(group), []).append(due)
        del pending[parse_id(entry_id)]
        self._wake()
        return True

    async def reclaim(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        least_idle_ms: int,
        count: int,
        *,
        adoption: str = "",
    ) -> list[Entry]:
        """Take over what was idle too long."""
        if self._is_stale(topic_keys, group, adoption):
            return []
        now = now_ms()
        entries: list[Entry] = []
        for index, stream, row in self._groups(topic_keys, group):
            for entry_id, held in sorted(row.pending.items()):
                if len(entries) >= count or now - held.since_ms < least_idle_ms:
                    continue
                if entry_id not in stream.entries:
                    del row.pending[entry_id]  # deleted meanwhile: there is nothing to handle
                    continue
                row.seen_ms[consumer] = now
                row.pending[entry_id] = Pending(consumer, now, held.deliveries + 1)
                fields = dict(stream.entries[entry_id])
                entries.append(Entry(index, id_text(entry_id), fields, held.deliveries + 1))
        return entries

    async def renew(
        self, topic_keys: TopicKeys, group: str, consumer: str, held: Mapping[Held, int]
    ) -> list[Held]:
        """Start the leases again. Names are never deleted here: nothing needs to be taken back."""
        lost: list[Held] = []
        for index, entry_id in held:
            pending = self._pending(topic_keys, group, index).get(parse_id(entry_id))
            if pending is None or pending.consumer != consumer:
                lost.append((index, entry_id))
            else:
                pending.since_ms = now_ms()
                self._stream(topic_keys, index).groups[group].seen_ms[consumer] = now_ms()
        return lost

    async def release(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        held: Sequence[Held],
        *,
        all_but: bool = False,
    ) -> int:
        """Make entries look abandoned."""
        named, count = set(held), 0
        for index, _stream, row in self._groups(topic_keys, group):
            for entry_id, pending in row.pending.items():
                is_named = (index, id_text(entry_id)) in named
                if pending.consumer == consumer and is_named != all_but:
                    pending.since_ms = 0
                    pending.deliveries = max(0, pending.deliveries - 1)
                    count += 1
        return count

    async def forget(self, topic_keys: TopicKeys, group: str, consumer: str) -> None:
        """Drop the name where it holds nothing."""
        for _index, _stream, row in self._groups(topic_keys, group):
            if all(held.consumer != consumer for held in row.pending.values()):
                row.seen_ms.pop(consumer, None)

    async def own(self, topic_keys: TopicKeys, group: str, consumer: str, lease_ms: int) -> int:
        """Keep the owner's name with its time."""
        key, now = topic_keys.owner(group), now_ms()
        owner, until, fence = self._owners.get(key, ("", 0, 0))
        if until > now and owner != consumer:
            return 0
        fence += not (until > now and owner == consumer)
        self._owners[key] = (consumer, now + lease_ms, fence)
        return fence

    async def disown(self, topic_keys: TopicKeys, group: str, consumer: str) -> None:
        """Let its time be over."""
        owner, _, fence = self._owners.get(topic_keys.owner(group), ("", 0, 0))
        if owner == consumer:
            self._owners[topic_keys.owner(group)] = (owner, 0, fence)

    async def join(
        self, topic_keys: TopicKeys, group: str, consumer: str, lease_ms: int
    ) -> list[str]:
        """Keep names with their times."""
        now = now_ms()
        members = self._members.setdefault(topic_keys.members(group), {})
        members[consumer] = now + lease_ms
        for name in [name for name, until in members.items() if until <= now]:
            del members[name]
        return sorted(members, key=lambda name: (members[name], name))

    async def redrive(
        self, topic_keys: TopicKeys, dead_id: str, stream: int, fields: Fields
    ) -> str:
        """Replace a dead letter by the original."""
        if not await self.remove_dead(topic_keys, [dead_id]):
            return ""
        return (await self.append(topic_keys, stream, [fields], None))[0]
