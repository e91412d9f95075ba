"""The bus on a Redis (>= 7.0) or Valkey (>= 8) server.

Commands go out without redis-py's own retries: a blind resend could write twice, and it redials an
address that may be dead. Who calls decides what a lost answer means (`link.py`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any, cast

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from streamdesk.bus.backend import Entry, Failure, Held, Standing, Taken
from streamdesk.bus.config import BusConfig
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import BusError, BusUnavailableError, QueueFullError
from streamdesk.bus.layout import Layout

Argument = str | bytes | int | float
# Answers of a server that is there but cannot do it now.
_NOT_NOW = (
    "LOADING",
    "READONLY",
    "NOREPLICAS",
    "MASTERDOWN",
    "UNBLOCKED",
    "OOM",
    "MISCONF",
    "BUSY",
)


def _flat(fields: Fields) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]


def _fields(flat: Sequence[bytes]) -> Fields:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _entries(index: int, rows: Sequence[Any]) -> list[Entry]:
    """Rows of a script: id, flat fields, and after a reclaim the number of deliveries."""
    return [
        Entry(index, row[0].decode(), _fields(row[1]), int(row[2]) if len(row) > 2 else 1)  # noqa: PLR2004 - the row's shape
        for row in rows
    ]


class Script:
    """A Lua script: its source, and its name on the server."""

    def __init__(self, name: str) -> None:
        """Read `lua/<name>.lua`."""
        folder = files("streamdesk.bus") / "lua"
        common = (folder / "common.lua").read_text()
        self.source = common + (folder / f"{name}.lua").read_text()
        self.sha = ""


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn redis-py's errors into the bus's."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise BusUnavailableError(str(error) or type(error).__name__) from error
    except exceptions.ResponseError as error:
        raise _response_error(error) from error


def _response_error(error: exceptions.ResponseError) -> BusError:
    text = str(error)
    # redis-py strips the code of the errors that it has a class for.
    known = (exceptions.ReadOnlyError, exceptions.OutOfMemoryError, exceptions.BusyLoadingError)
    if isinstance(error, known) or any(word in text[:60] for word in _NOT_NOW):
        return BusUnavailableError(text)
    return BusError(text)


class RedisBackend:
    """One server, one pool of connections."""

    def __init__(self, config: BusConfig) -> None:
        """Set up, without connecting yet."""
        self._client = Redis.from_url(
            config.url,
            protocol=2,
            decode_responses=False,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=config.socket_timeout_seconds,
            socket_connect_timeout=config.socket_timeout_seconds,
            client_name=f"streamdesk-{config.service}",
        )
        self._execute = cast("Callable[..., Awaitable[Any]]", self._client.execute_command)
        names = (
            "publish", "find", "take", "settle", "reclaim", "renew", "release", "forget", "lag",
            "trim", "peek", "redrive",
        )  # fmt: skip
        self._scripts = {name: Script(name) for name in names}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def drop_idle(self) -> None:
        """Close what the pool keeps for later."""
        with suppress(exceptions.RedisError, OSError):
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def ping(self) -> None:
        """Return when the server answers."""
        await self._command("PING")

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await self._command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def _command(self, *words: Argument) -> Any:  # noqa: ANN401 - what the server answers
        async with _translated():
            return await self._execute(*words)

    async def _many(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Commands in one round trip, in order, but not as a transaction."""
        async with _translated():
            pipe = self._client.pipeline(transaction=False)
            for words in commands:
                pipe.execute_command(*words)
            return await pipe.execute()

    async def _run(self, name: str, keys: Sequence[str], *arguments: Argument) -> Any:  # noqa: ANN401 - as above
        """Run a script; a server that does not know it has not run it, so it is loaded and sent."""
        script = self._scripts[name]
        if not script.sha:
            script.sha = (await self._command("SCRIPT", "LOAD", script.source)).decode()
        words = ("EVALSHA", script.sha, len(keys), *keys, *arguments)
        async with _translated():
            try:
                return await self._execute(*words)
            except exceptions.NoScriptError:
                await self._execute("SCRIPT", "LOAD", script.source)
                return await self._execute(*words)

    async def append(
        self, layout: Layout, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """XADD in one round trip."""
        bound: tuple[Argument, ...] = () if keep is None else ("MAXLEN", "~", keep)
        key = layout.streams[stream]
        ids = await self._many([("XADD", key, *bound, "*", *_flat(fields)) for fields in batch])
        return [entry_id.decode() for entry_id in ids]

    async def append_within(
        self, layout: Layout, stream: int, batch: Sequence[Fields], limit: int
    ) -> list[str]:
        """Count and append in one script: nobody can slip in between."""
        lines: list[Argument] = [len(batch)]
        for fields in batch:
            flat = _flat(fields)
            lines += [len(flat), *flat]
        delayed = [layout.delayed(group) for group in layout.groups]
        answer = await self._run(
            "publish",
            [layout.streams[stream], *layout.streams, *delayed],
            len(layout.streams),
            limit,
            len(layout.groups),
            *layout.groups,
            *lines,
        )
        if answer[:1] == [b"FULL"]:
            raise QueueFullError(layout.topic, limit, int(answer[1]))
        return [entry_id.decode() for entry_id in answer]

    async def find(
        self, layout: Layout, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """Look for events by id among the entries added since then."""
        answer = await self._run("find", [layout.streams[stream]], since_ms, *event_ids)
        return [entry_id.decode() for entry_id in answer]

    async def ensure_group(self, layout: Layout, group: str) -> None:
        """XGROUP CREATE at 0: what was published before the first consumer came is not lost."""
        for key in layout.streams:
            async with _translated():
                try:
                    await self._execute("XGROUP", "CREATE", key, group, "0", "MKSTREAM")
                except exceptions.ResponseError as error:
                    if "BUSYGROUP" not in str(error):
                        raise

    async def take(self, layout: Layout, group: str, consumer: str, count: int) -> Taken:
        """One script: due messages move, then the highest class that has anything is read."""
        taken, due, last = await self._run(
            "take", [*layout.streams, layout.delayed(group)], group, consumer, count
        )
        entries = [entry for index, rows in taken for entry in _entries(index - 1, rows)]
        return Taken(entries, None if due < 0 else int(due), [item.decode() for item in last])

    async def wait(self, layout: Layout, last_ids: Sequence[str], block_ms: int) -> None:
        """A read without a group: cancelling it can strand nothing."""
        await self._command(
            "XREAD", "COUNT", 1, "BLOCK", max(1, block_ms), "STREAMS", *layout.streams, *last_ids
        )

    async def settle(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[bool]:
        """One XACK a stream in one round trip, then one script a failure."""
        by_stream: dict[int, list[str]] = {}
        for stream, entry_id in acks:
            by_stream.setdefault(stream, []).append(entry_id)
        if by_stream:
            await self._many(
                [("XACK", layout.streams[s], group, *ids) for s, ids in by_stream.items()]
            )
        return [await self._fail(layout, group, consumer, failure) for failure in failures]

    async def _fail(self, layout: Layout, group: str, consumer: str, failure: Failure) -> bool:
        steps: list[Argument] = []
        for step in failure.steps:
            flat = _flat(step.fields)
            steps += [step.kind, step.stream + 1, step.delay_ms, len(flat), *flat]
        keys = [*layout.streams, layout.delayed(group), layout.dead]
        stream, entry_id = failure.held
        count = len(failure.steps)
        answer = await self._run(
            "settle", keys, group, consumer, stream + 1, entry_id, count, *steps
        )
        return bool(answer)

    async def reclaim(
        self, layout: Layout, group: str, consumer: str, least_idle_ms: int, count: int
    ) -> list[Entry]:
        """XAUTOCLAIM through the whole of the pending entries."""
        answer = await self._run("reclaim", layout.streams, group, consumer, least_idle_ms, count)
        return [entry for index, rows in answer for entry in _entries(index - 1, rows)]

    async def renew(
        self, layout: Layout, group: str, consumer: str, held: Sequence[Held]
    ) -> list[Held]:
        """XCLAIM JUSTID, of what is still ours only."""
        lost = await self._run("renew", layout.streams, group, consumer, *_numbered(held))
        return [(int(lost[i]) - 1, lost[i + 1].decode()) for i in range(0, len(lost), 2)]

    async def release(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        held: Sequence[Held],
        *,
        all_but: bool = False,
    ) -> int:
        """Make entries look abandoned, so that the next reclaim takes them at once."""
        mode = "except" if all_but else "only"
        return int(
            await self._run("release", layout.streams, group, consumer, mode, *_numbered(held))
        )

    async def forget(self, layout: Layout, group: str, consumer: str) -> None:
        """XGROUP DELCONSUMER, only where nothing is pending."""
        await self._run("forget", layout.streams, group, consumer)

    async def standing(self, layout: Layout, group: str) -> Standing:
        """Sums of XINFO over the classes."""
        answer = await self._run("lag", [*layout.streams, layout.delayed(group)], group)
        length, waiting, pending, delayed, consumers, oldest, added = answer
        oldest_ms = int(oldest.partition(b"-")[0]) if oldest else None
        return Standing(length, waiting, pending, delayed, consumers, oldest_ms, added)

    async def peek(self, layout: Layout, group: str, count: int) -> list[Entry]:
        """XRANGE after the group's position."""
        answer = await self._run("peek", layout.streams, group, count)
        return [entry for index, rows in answer for entry in _entries(index - 1, rows)]

    async def trim(self, layout: Layout, keep: int) -> int:
        """XTRIM MINID below what the slowest group has finished."""
        return int(await self._run("trim", layout.streams, keep, *layout.groups))

    async def last_ids(self, keys: Sequence[str]) -> list[str]:
        """The newest entry of each stream, deleted ones included."""
        last: list[str] = []
        for key in keys:
            if not await self._command("EXISTS", key):
                last.append("0-0")
                continue
            info = _fields(await self._command("XINFO", "STREAM", key))
            last.append(info[b"last-generated-id"].decode())
        return last

    async def read(
        self, cursors: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, Fields]]:
        """XREAD of all streams at once."""
        answer = await self._command(
            "XREAD", "COUNT", count, "BLOCK", max(1, block_ms), "STREAMS",
            *cursors.keys(), *cursors.values(),
        )  # fmt: skip
        return [
            (key.decode(), entry_id.decode(), fields)
            for key, rows in answer or ()
            for entry_id, fields in rows
        ]

    async def dead_letters(self, layout: Layout, count: int) -> list[tuple[str, Fields]]:
        """XRANGE of the dead letters."""
        rows = await self._command("XRANGE", layout.dead, "-", "+", "COUNT", count)
        return [(entry_id.decode(), fields) for entry_id, fields in rows]

    async def dead_count(self, layout: Layout) -> int:
        """XLEN of the dead letters."""
        return int(await self._command("XLEN", layout.dead))

    async def remove_dead(self, layout: Layout, ids: Sequence[str]) -> int:
        """XDEL."""
        return int(await self._command("XDEL", layout.dead, *ids))

    async def redrive(self, layout: Layout, dead_id: str, stream: int, fields: Fields) -> str:
        """XDEL of the letter and XADD of the original in one script."""
        keys = [layout.dead, layout.streams[stream]]
        answer = await self._run("redrive", keys, dead_id, *_flat(fields))
        return cast("bytes", answer).decode()


def _numbered(held: Sequence[Held]) -> list[Argument]:
    """Stream positions as Lua counts them, and entry ids, in turn."""
    return [part for stream, entry_id in held for part in (stream + 1, entry_id)]
