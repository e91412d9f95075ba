"""Plain keys beside the streams: what a server does for `Keys` and `Lease`, in one step each.

Two implementations pass the same tests: on a server, and in memory.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from streamdesk.bus.connection.wire import Argument, Words

SCAN_COUNT = 1_000


class KeyValues(Protocol):
    """Every call raises BusUnavailableError when the server does not answer."""

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """The values, in this order."""

    async def put(self, values: Mapping[str, bytes], ttl_ms: int | None) -> None:
        """Set all, with a time to live or for good."""

    async def drop(self, names: Sequence[str]) -> None:
        """Delete."""

    async def names(self, prefix: str, limit: int) -> list[str]:
        """Names that begin so; not more than `limit`."""

    async def claim(self, names: Sequence[str], owner: str, ttl_ms: int) -> list[bool]:
        """Set those that are absent; which they were."""

    async def give_back(self, names: Sequence[str], owner: str) -> None:
        """Delete those that `owner` has."""

    async def hold(self, lease: str, fence: str, owner: str, ttl_ms: int) -> int:
        """Become or stay the holder; the fence, 0 when another holds it."""

    async def put_held(
        self, lease: str, owner: str, name: str, value: bytes, expected: bytes | None
    ) -> bool:
        """Write for the holder of a lease, over the value that it expects."""


class ServerKeyValues:
    """On a server.

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


class MemoryKeyValues:
    """In this process."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, float]] = {}

    def _get(self, name: str) -> bytes | None:
        value, ends = self._values.get(name, (b"", 0.0))
        return value if time.monotonic() < ends else None

    def _put(self, name: str, value: bytes, ttl_ms: int | None) -> None:
        life = float("inf") if ttl_ms is None else ttl_ms / 1000
        self._values[name] = (value, time.monotonic() + life)

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """Look."""
        return [self._get(name) for name in names]

    async def put(self, values: Mapping[str, bytes], ttl_ms: int | None) -> None:
        """Note."""
        for name, value in values.items():
            self._put(name, value, ttl_ms)

    async def drop(self, names: Sequence[str]) -> None:
        """Forget."""
        for name in names:
            self._values.pop(name, None)

    async def names(self, prefix: str, limit: int) -> list[str]:
        """Look through all."""
        live = [name for name in self._values if self._get(name) is not None]
        return sorted(name for name in live if name.startswith(prefix))[:limit]

    async def claim(self, names: Sequence[str], owner: str, ttl_ms: int) -> list[bool]:
        """Note what is absent."""
        won = [self._get(name) is None for name in names]
        for name, mine in zip(names, won, strict=True):
            if mine:
                self._put(name, owner.encode(), ttl_ms)
        return won

    async def give_back(self, names: Sequence[str], owner: str) -> None:
        """Forget what is the owner's."""
        for name in names:
            if self._get(name) == owner.encode():
                del self._values[name]

    async def hold(self, lease: str, fence: str, owner: str, ttl_ms: int) -> int:
        """As the script does."""
        holder, number = self._get(lease), int(self._get(fence) or 0)
        if holder not in {None, owner.encode()}:
            return 0
        self._put(lease, owner.encode(), ttl_ms)
        if holder is None:
            number += 1
            self._put(fence, b"%d" % number, None)
        return number

    async def put_held(
        self, lease: str, owner: str, name: str, value: bytes, expected: bytes | None
    ) -> bool:
        """As the script does."""
        if self._get(lease) != owner.encode() or self._get(name) != expected:
            return False
        self._put(name, value, None)
        return True
