"""What looks at streams without a group, and cleans up, in memory."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from streamdesk.bus.backends.memory.streams import (
    GREATEST,
    Group,
    Store,
    Stream,
    id_text,
    now_ms,
    parse_id,
)
from streamdesk.bus.backends.records import (
    GONE_MS,
    ConsumerState,
    Entry,
    GroupState,
    StreamLag,
)
from streamdesk.bus.envelope import Fields
from streamdesk.bus.topic_keys import TopicKeys


class MemoryInspection:
    """The steps that read without a group, report on groups, and clean up."""

    def __init__(self) -> None:
        """Start empty."""
        self.store = Store()
        self._changed = asyncio.Event()

    def _stream(self, topic_keys: TopicKeys, index: int) -> Stream:
        return self.store.stream(topic_keys.streams[index])

    def _groups(self, topic_keys: TopicKeys, group: str) -> list[tuple[int, Stream, Group]]:
        """The topic's streams on which the group is, with its row."""
        streams = [(i, self._stream(topic_keys, i)) for i in range(len(topic_keys.streams))]
        return [(i, s, s.groups[group]) for i, s in streams if group in s.groups]

    async def _wait_for_more(self, cursors: Mapping[str, str], block_ms: int) -> None:
        seen = {key: parse_id(text) for key, text in cursors.items()}
        await self._wait_until(
            lambda: any(self.store.stream(key).last > last for key, last in seen.items()), block_ms
        )

    async def _wait_until(self, is_so: Callable[[], bool], block_ms: int) -> None:
        try:
            async with asyncio.timeout(block_ms / 1000):
                while not is_so():
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def group_state(self, topic_keys: TopicKeys, group: str) -> GroupState:
        """Count entries, pending ones and consumers."""
        return self._group_state(topic_keys, group)

    def _group_state(self, topic_keys: TopicKeys, group: str) -> GroupState:
        now = now_ms()
        streams: list[StreamLag] = []
        consumers: list[ConsumerState] = []
        pending: list[tuple[int, int]] = []
        for key in topic_keys.streams:
            stream = self.store.stream(key)
            row = stream.groups.get(group, Group())
            waiting = len(stream.after(self.store.position(topic_keys, group, key)))
            streams.append(StreamLag(key, len(stream.entries), waiting, len(row.pending)))
            pending += row.pending
            for name, seen_ms in row.seen_ms.items():
                held = sum(item.consumer == name for item in row.pending.values())
                consumers.append(ConsumerState(name, held, now - seen_ms))
        return GroupState(
            streams=tuple(streams),
            delayed=self.store.waiting_later(topic_keys, group),
            consumers=tuple(consumers),
            oldest_pending_ms=min(pending)[0] if pending else None,
            added=sum(self.store.stream(key).added for key in topic_keys.streams),
        )

    async def peek(self, topic_keys: TopicKeys, group: str, count: int) -> list[Entry]:
        """The entries after the group's position."""
        entries: list[Entry] = []
        for index, key in enumerate(topic_keys.streams):
            stream = self.store.stream(key)
            entries += [
                Entry(index, id_text(entry_id), dict(stream.entries[entry_id]))
                for entry_id in stream.after(self.store.position(topic_keys, group, key))
            ]
        return entries[:count]

    async def trim(self, topic_keys: TopicKeys, keep: int, group: str = "") -> int:
        """Drop what is finished, and save the cursors."""
        dropped = 0
        for key in topic_keys.streams:
            stream = self.store.stream(key)
            missing = [(0, 0) for name in topic_keys.groups if name not in stream.groups]
            finished = [row.finished for row in stream.groups.values()]
            bound = min([stream.last, *missing, *finished])
            excess = max(0, len(stream.entries) - keep)
            for entry_id in [i for i in list(stream.entries)[:excess] if i < bound]:
                del stream.entries[entry_id]
                dropped += 1
            for name in {*topic_keys.groups, group} & stream.groups.keys():
                cursors = self.store.cursors.setdefault(topic_keys.cursors(name), {})
                cursors[key] = stream.groups[name].finished
                stream.groups[name].forget_gone(now_ms() - GONE_MS)
        return dropped

    async def last_ids(self, keys: Sequence[str]) -> list[str]:
        """The newest ids."""
        return [id_text(self.store.stream(key).last) for key in keys]

    async def read(
        self, cursors: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, Fields]]:
        """Read after the cursors."""
        await self._wait_for_more(cursors, block_ms)
        return [
            (key, id_text(entry_id), dict(self.store.stream(key).entries[entry_id]))
            for key, last in cursors.items()
            for entry_id in self.store.stream(key).after(parse_id(last))[:count]
        ]

    async def read_range(
        self, key: str, first: str, last: str, count: int
    ) -> list[tuple[str, Fields]]:
        """Read between two ids."""
        start = parse_id(first.removeprefix("("))
        end = parse_id(last, GREATEST)
        entries = self.store.stream(key).entries
        inside = [
            i for i in entries if start <= i <= end and not (first.startswith("(") and i == start)
        ]
        return [(id_text(i), dict(entries[i])) for i in inside[:count]]

    async def dead_count(self, topic_keys: TopicKeys) -> int:
        """Count the dead letters."""
        return len(self.store.stream(topic_keys.dead).entries)

    async def remove_dead(self, topic_keys: TopicKeys, ids: Sequence[str]) -> int:
        """Delete dead letters."""
        entries = self.store.stream(topic_keys.dead).entries
        return sum(entries.pop(parse_id(entry_id), None) is not None for entry_id in ids)
