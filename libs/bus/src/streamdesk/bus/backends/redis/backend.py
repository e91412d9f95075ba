"""The bus on a Redis (>= 7.0) or Valkey (>= 8) server: publishing and consuming."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import hiredis

from streamdesk.bus.backends.records import (
    Appended,
    Entry,
    Failure,
    Held,
    HeldChange,
    Recreated,
    Settled,
    Taken,
)
from streamdesk.bus.backends.redis.commands import is_unknown
from streamdesk.bus.backends.redis.inspection import RedisInspection
from streamdesk.bus.backends.redis.key_values import RedisKeyValues
from streamdesk.bus.backends.redis.script_arguments import (
    backlog_arguments,
    backlog_keys,
    displaced_of,
    displacing_argument,
    entries_of,
    failure_arguments,
    flat,
    limit_argument,
    numbered,
    recreated_of,
    rows_of,
    taken_of,
)
from streamdesk.bus.config import BusConfig
from streamdesk.bus.connection.refusals import GroupLostError
from streamdesk.bus.connection.wire import Argument, Reply, Words
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import (
    QueueFullError,
    ServerFullError,
)
from streamdesk.bus.topic_keys import TopicKeys

MEASURE_SECONDS = 0.1
"""How often the length of a stream is asked for along with an append."""


class StreamLengths:
    """The last length that the server reported of each stream, and what was added since.

    Others append too, and groups' consumers trim: in between it is an estimate. A caller that would
    refuse something because of it measures first.
    """

    def __init__(self) -> None:
        """Nothing is known."""
        self._lengths: dict[str, int] = {}
        self._asked_at: dict[str, float] = {}

    def is_due(self, key: str) -> bool:
        """Whether to ask again; a yes is given once."""
        now = time.monotonic()
        if now - self._asked_at.get(key, -MEASURE_SECONDS) < MEASURE_SECONDS:
            return False
        self._asked_at[key] = now
        return True

    def measured(self, key: str, length: int) -> None:
        """The server has just said so."""
        self._lengths[key] = length

    def grown(self, key: str, count: int) -> None:
        """So many entries were added."""
        self._lengths[key] = self._lengths.get(key, 0) + count

    def of(self, key: str) -> int:
        """The stream's length, as far as is known; 0 of one that was never appended to."""
        return self._lengths.get(key, 0)


class RedisBackend(RedisInspection):
    """One server, one pool of connections: the steps of publishing and consuming."""

    def __init__(self, config: BusConfig) -> None:
        """Set up, without connecting yet."""
        super().__init__(config)
        self._lengths = StreamLengths()

    @property
    def key_values(self) -> RedisKeyValues:
        """Over the same connections."""
        return RedisKeyValues(self._many, self._run)

    async def append(
        self, topic_keys: TopicKeys, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """XADD in one round trip, with a look at the length now and then."""
        bound: tuple[Argument, ...] = () if keep is None else ("MAXLEN", "~", keep)
        key = topic_keys.streams[stream]
        commands: list[Words] = [("XADD", key, *bound, "*", *flat(fields)) for fields in batch]
        is_due = self._lengths.is_due(key)
        if is_due:
            commands.append(("XLEN", key))
        answers = await self._many(commands)
        if is_due:
            self._lengths.measured(key, int(answers.pop()))
        else:
            self._lengths.grown(key, len(batch))
        return [entry_id.decode() for entry_id in answers]

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
        """Look, count and append in one script; a key an event remembers it for `window_ms`."""
        key = topic_keys.streams[stream]
        # A publisher may have no right to the dead letters: they are named where they are needed.
        keys = [key, topic_keys.dead if displaces else key, *backlog_keys(topic_keys)]
        if window_ms:
            keys += [topic_keys.once(fields[b"id"].decode()) for fields in batch]
        lines: list[Argument] = [len(batch)]
        for fields in batch:
            words = flat(fields)
            lines += [len(words), *words]
        answer = await self._run(
            "publish",
            keys,
            *backlog_arguments(topic_keys),
            limit_argument(limit),
            window_ms,
            limit_argument(keep),
            displacing_argument(topic_keys, stream, len(batch)) if displaces else "",
            *lines,
        )
        if answer[0] == b"FULL":
            raise QueueFullError(topic_keys.topic, limit or 0, int(answer[1]))
        self._lengths.measured(key, int(answer[0]))
        ids = [entry_id.decode() for entry_id in answer[1 : len(batch) + 1]]
        return Appended(ids, displaced_of(answer[len(batch) + 1 :]))

    async def append_held(
        self,
        topic_keys: TopicKeys,
        batch: Sequence[Fields],
        keep: int,
        change: HeldChange,
    ) -> list[str] | None:
        """GET twice, XADD each and SET in one script."""
        key = topic_keys.streams[0]
        known: tuple[Argument, ...] = (0, b"") if change.expected is None else (1, change.expected)
        lines: list[Argument] = [keep, len(batch)]
        for fields in batch:
            words = flat(fields)
            lines += [len(words), *words]
        answer = await self._run(
            "append_held",
            [change.lease, change.name, key],
            change.owner,
            *known,
            change.value,
            *lines,
        )
        if answer is None:
            return None
        self._lengths.grown(key, len(batch))
        return [entry_id.decode() for entry_id in answer]

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
        """ZADD of the event's id and HSET of its fields in one script."""
        keys = [topic_keys.scheduled_fields, *backlog_keys(topic_keys)]
        event_id = fields[b"id"]
        if window_ms:
            keys.append(topic_keys.once(event_id.decode()))
        words = (
            *backlog_arguments(topic_keys),
            limit_argument(limit),
            window_ms,
            event_id,
            delay_ms,
            stream + 1,
        )
        answer = await self._run("schedule", keys, *words, *flat(fields))
        if isinstance(answer, list):
            raise QueueFullError(topic_keys.topic, limit or 0, int(answer[1]))
        return bool(answer)

    def length(self, topic_keys: TopicKeys, stream: int) -> int:
        """What appends have learnt."""
        return self._lengths.of(topic_keys.streams[stream])

    async def measure(self, topic_keys: TopicKeys, stream: int) -> int:
        """XLEN."""
        key = topic_keys.streams[stream]
        length = int(await self._command("XLEN", key))
        self._lengths.measured(key, length)
        return length

    async def find(
        self, topic_keys: TopicKeys, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """Look for events by id among the entries added since then, and among scheduled ones."""
        keys = [topic_keys.streams[stream], topic_keys.scheduled]
        answer = await self._run("find", keys, since_ms, *event_ids)
        return [entry_id.decode() for entry_id in answer]

    async def ensure_group(self, topic_keys: TopicKeys, group: str) -> list[Recreated]:
        """XGROUP CREATE at 0, or at the saved cursor; never at the end."""
        answer = await self._run("ensure", [*topic_keys.streams, topic_keys.cursors(group)], group)
        return recreated_of(topic_keys, answer)

    async def take(
        self, topic_keys: TopicKeys, group: str, consumer: str, count: int, *, adoption: str = ""
    ) -> Taken:
        """What is due moves, then the highest class that has anything is read: in one trip."""
        keys = (
            *topic_keys.streams, topic_keys.delayed(group), topic_keys.scheduled,
            topic_keys.scheduled_fields, topic_keys.cursors(group), topic_keys.adoption(group),
        )  # fmt: skip
        if len(topic_keys.streams) > 1 or adoption:
            answer = await self._run("take", keys, group, consumer, count, adoption)
            return (
                taken_of(topic_keys, answer, ()) if answer else Taken([], None, [], is_stale=True)
            )
        script = self._scripts["take"]
        reading = ("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", keys[0], ">")
        moved, read = await self._send(
            [("EVALSHA", script.sha, len(keys), *keys, group, consumer, 0, ""), reading]
        )
        # What was read is ours, whatever the other answer says.
        rows = rows_of(read)
        if is_unknown(moved):
            moved = await self._run("take", keys, group, consumer, 0, "")
            if not rows:  # it was too early: the script makes a lost group again
                (read,) = await self._send([reading])
                rows = rows_of(read)
        if not rows:
            self._server.checked(moved)
            self._server.checked(read)
        return taken_of(topic_keys, None if isinstance(moved, hiredis.ReplyError) else moved, rows)

    async def take_or_wait(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        count: int,
        block_ms: int,
        stopped: asyncio.Future[Any],
    ) -> list[Entry]:
        """XREADGROUP BLOCK: of many waiting consumers the server wakes one."""
        verb = ("XREADGROUP", "GROUP", group, consumer, "COUNT", count)
        streams = (topic_keys.streams[0], ">")
        try:
            answer = await self._blocking(block_ms, verb, streams, stopped)
        except GroupLostError:
            return []  # the next take makes it again
        return entries_of(0, answer[0][1]) if answer else []

    async def wait(self, topic_keys: TopicKeys, last_ids: Sequence[str], block_ms: int) -> None:
        """A read without a group: cancelling it can strand nothing."""
        streams = (*topic_keys.streams, *last_ids)
        await self._blocking(block_ms, ("XREAD", "COUNT", 1), streams)

    async def settle(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[Settled]:
        """One XACK a stream in one round trip, and one script a failure in another."""
        by_stream: dict[int, list[str]] = {}
        for stream, entry_id in acks:
            by_stream.setdefault(stream, []).append(entry_id)
        if by_stream:
            await self._many(
                [("XACK", topic_keys.streams[s], group, *ids) for s, ids in by_stream.items()]
            )
        if not failures:
            return []
        keys = [*topic_keys.streams, topic_keys.delayed(group), topic_keys.dead]
        calls = [(keys, (group, consumer, *failure_arguments(failure))) for failure in failures]
        return [self._settled(answer) for answer in await self._run_many("settle", calls)]

    def _settled(self, answer: Reply) -> Settled:
        try:
            return "written" if self._server.checked(answer) else "lost"
        except ServerFullError:
            return "refused"

    async def adopt(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        fence: int,
        adoption: str,
        count: int,
    ) -> list[Entry] | None:
        """SET of its name and XAUTOCLAIM, if the owner and its fence are what we think."""
        keys = [
            topic_keys.streams[0],
            topic_keys.owner(group),
            topic_keys.fence(group),
            topic_keys.adoption(group),
        ]
        rows = await self._run("adopt", keys, group, consumer, fence, adoption, count)
        return None if rows is None else entries_of(0, rows)

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
        """XAUTOCLAIM through the whole of the pending entries."""
        keys = (*topic_keys.streams, topic_keys.adoption(group))
        answer = await self._run("reclaim", keys, group, consumer, least_idle_ms, count, adoption)
        return [entry for index, rows in answer for entry in entries_of(index - 1, rows)]

    async def renew(
        self, topic_keys: TopicKeys, group: str, consumer: str, held: Mapping[Held, int]
    ) -> list[Held]:
        """XCLAIM JUSTID, of what is still ours or should be."""
        words = [word for (index, entry_id), n in held.items() for word in (index + 1, entry_id, n)]
        lost = await self._run("renew", topic_keys.streams, group, consumer, *words)
        return [(int(lost[i]) - 1, lost[i + 1].decode()) for i in range(0, len(lost), 2)]

    async def release(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        held: Sequence[Held],
        *,
        all_but: bool = False,
    ) -> int:
        """Make entries look abandoned, so that the next reclaim takes them at once."""
        mode = "except" if all_but else "only"
        return int(
            await self._run("release", topic_keys.streams, group, consumer, mode, *numbered(held))
        )

    async def forget(self, topic_keys: TopicKeys, group: str, consumer: str) -> None:
        """XGROUP DELCONSUMER, only where nothing is pending."""
        await self._run("forget", topic_keys.streams, group, consumer)

    async def own(self, topic_keys: TopicKeys, group: str, consumer: str, lease_ms: int) -> int:
        """SET PX of the owner's name, unless it is another's."""
        keys = [topic_keys.owner(group), topic_keys.fence(group)]
        return int(await self._run("own", keys, consumer, lease_ms))

    async def disown(self, topic_keys: TopicKeys, group: str, consumer: str) -> None:
        """DEL of the owner's name, if it is ours."""
        await self._run("disown", [topic_keys.owner(group)], consumer)

    async def join(
        self, topic_keys: TopicKeys, group: str, consumer: str, lease_ms: int
    ) -> list[str]:
        """A sorted set by time."""
        names = await self._run("join", [topic_keys.members(group)], consumer, lease_ms)
        return [name.decode() for name in names]
