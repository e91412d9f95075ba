"""What looks at streams without a group, and cleans up, on a Redis or Valkey server."""

from collections.abc import Mapping, Sequence
from typing import cast

from streamdesk.bus.backends.records import GONE_MS, ConsumerState, Entry, GroupState, StreamLag
from streamdesk.bus.backends.redis.commands import RedisCommands
from streamdesk.bus.backends.redis.script_arguments import (
    entries_of,
    fields_of,
    flat,
)
from streamdesk.bus.envelope import Fields
from streamdesk.bus.topic_keys import TopicKeys


class RedisInspection(RedisCommands):
    """The steps that read without a group, report on groups, and clean up."""

    async def group_state(self, topic_keys: TopicKeys, group: str) -> GroupState:
        """XINFO of each stream."""
        keys = (
            *topic_keys.streams, topic_keys.delayed(group), topic_keys.scheduled,
            topic_keys.cursors(group), topic_keys.trimmed,
        )  # fmt: skip
        delayed, rows, consumers = await self._run("lag", keys, group)
        oldest = [int(row[4].partition(b"-")[0]) for row in rows if row[4]]
        return GroupState(
            streams=tuple(
                StreamLag(key, *(int(number) for number in row[:3]))
                for key, row in zip(topic_keys.streams, rows, strict=True)
            ),
            delayed=int(delayed),
            consumers=tuple(
                ConsumerState(name.decode(), int(pending), int(idle))
                for name, pending, idle in consumers
            ),
            oldest_pending_ms=min(oldest, default=None),
            added=sum(int(row[3]) for row in rows),
        )

    async def peek(self, topic_keys: TopicKeys, group: str, count: int) -> list[Entry]:
        """XRANGE after the group's position."""
        keys = [*topic_keys.streams, topic_keys.cursors(group)]
        answer = await self._run("peek", keys, group, count)
        return [entry for index, rows in answer for entry in entries_of(index - 1, rows)]

    async def trim(self, topic_keys: TopicKeys, keep: int, group: str = "") -> int:
        """XTRIM MINID below what the slowest group has finished, and the cursors' HSET."""
        others = [group] if group and group not in topic_keys.groups else []
        groups = [*topic_keys.groups, *others]
        keys = [
            *topic_keys.streams,
            topic_keys.trimmed,
            *(topic_keys.cursors(name) for name in groups),
        ]
        needed = len(topic_keys.groups)
        return int(await self._run("trim", keys, keep, GONE_MS, needed, *groups))

    async def last_ids(self, keys: Sequence[str]) -> list[str]:
        """The newest entry of each stream, deleted ones included."""
        last: list[str] = []
        for key in keys:
            if not await self._command("EXISTS", key):
                last.append("0-0")
                continue
            info = fields_of(await self._command("XINFO", "STREAM", key))
            last.append(info[b"last-generated-id"].decode())
        return last

    async def read(
        self, cursors: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, Fields]]:
        """XREAD of all streams at once."""
        streams = (*cursors.keys(), *cursors.values())
        answer = await self._blocking(block_ms, ("XREAD", "COUNT", count), streams)
        return [
            (key.decode(), entry_id.decode(), fields_of(fields))
            for key, rows in answer or ()
            for entry_id, fields in rows
        ]

    async def read_range(
        self, key: str, first: str, last: str, count: int
    ) -> list[tuple[str, Fields]]:
        """XRANGE."""
        rows = await self._command("XRANGE", key, first, last, "COUNT", count)
        return [(entry_id.decode(), fields_of(words)) for entry_id, words in rows]

    async def dead_count(self, topic_keys: TopicKeys) -> int:
        """XLEN of the dead letters."""
        return int(await self._command("XLEN", topic_keys.dead))

    async def remove_dead(self, topic_keys: TopicKeys, ids: Sequence[str]) -> int:
        """XDEL."""
        return int(await self._command("XDEL", topic_keys.dead, *ids))

    async def redrive(
        self, topic_keys: TopicKeys, dead_id: str, stream: int, fields: Fields
    ) -> str:
        """XDEL of the letter and XADD of the original in one script."""
        keys = [topic_keys.dead, topic_keys.streams[stream]]
        answer = await self._run("redrive", keys, dead_id, *flat(fields))
        return cast("bytes", answer).decode()
