"""Plain keys beside the streams, on a Redis or Valkey server."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from streamdesk.bus.connection.wire import Argument, Words

SCAN_COUNT = 1_000


class RedisKeyValues:
    """`KeyValues` on a server.

    Args:
        many: sends commands in one round trip, and raises what an error answer means.
        run: runs a script by name, with keys and arguments.
    """

    def __init__(
        self,
        many: Callable[[Sequence[Words]], Awaitable[list[Any]]],
        run: Callable[..., Awaitable[Any]],
    ) -> None:
        self._many = many
        self._run = run

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """MGET."""
        (values,) = await self._many([("MGET", *names)])
        found: list[bytes | None] = values
        return found

    async def put(self, values: Mapping[str, bytes], ttl_ms: int | None) -> None:
        """SET each."""
        life: tuple[Argument, ...] = () if ttl_ms is None else ("PX", ttl_ms)
        await self._many([("SET", name, value, *life) for name, value in values.items()])

    async def drop(self, names: Sequence[str]) -> None:
        """DEL."""
        await self._many([("DEL", *names)])

    async def names(self, prefix: str, limit: int) -> list[str]:
        """SCAN, which may name a key twice."""
        found: set[str] = set()
        cursor = b"0"
        pattern = "".join(f"\\{char}" if char in "*?[]\\" else char for char in prefix) + "*"
        while len(found) < limit:
            ((cursor, rows),) = await self._many(
                [("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)]
            )
            found.update(row.decode() for row in rows)
            if cursor == b"0":
                break
        return sorted(found)[:limit]

    async def claim(self, names: Sequence[str], owner: str, ttl_ms: int) -> list[bool]:
        """SET NX each."""
        answers = await self._many([("SET", name, owner, "NX", "PX", ttl_ms) for name in names])
        return [answer is not None for answer in answers]

    async def give_back(self, names: Sequence[str], owner: str) -> None:
        """GET and DEL in one script."""
        await self._run("give_back", names, owner)

    async def hold(self, lease: str, fence: str, owner: str, ttl_ms: int) -> int:
        """As the owner of a shard does."""
        return int(await self._run("own", [lease, fence], owner, ttl_ms))

    async def put_held(
        self, lease: str, owner: str, name: str, value: bytes, expected: bytes | None
    ) -> bool:
        """GET twice and SET in one script."""
        known = (0, b"") if expected is None else (1, expected)
        return bool(await self._run("put_held", [lease, name], owner, *known, value))
