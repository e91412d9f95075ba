"""Plain keys beside the streams, in memory."""

import time
from collections.abc import Mapping, Sequence


class MemoryKeyValues:
    """`KeyValues` in this process."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, float]] = {}

    def _get(self, name: str) -> bytes | None:
        value, ends = self._values.get(name, (b"", 0.0))
        return value if time.monotonic() < ends else None

    def _put(self, name: str, value: bytes, ttl_ms: int | None) -> None:
        life = float("inf") if ttl_ms is None else ttl_ms / 1000
        self._values[name] = (value, time.monotonic() + life)

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """The values that have not expired."""
        return [self._get(name) for name in names]

    async def put(self, values: Mapping[str, bytes], ttl_ms: int | None) -> None:
        """Keep each value with the time at which it expires."""
        for name, value in values.items():
            self._put(name, value, ttl_ms)

    async def drop(self, names: Sequence[str]) -> None:
        """Remove each name, if it is there."""
        for name in names:
            self._values.pop(name, None)

    async def names(self, prefix: str, limit: int) -> list[str]:
        """Filter all names that have not expired."""
        live = [name for name in self._values if self._get(name) is not None]
        return sorted(name for name in live if name.startswith(prefix))[:limit]

    async def claim(self, names: Sequence[str], owner: str, ttl_ms: int) -> list[bool]:
        """Keep the owner under each name that is absent."""
        won = [self._get(name) is None for name in names]
        for name, mine in zip(names, won, strict=True):
            if mine:
                self._put(name, owner.encode(), ttl_ms)
        return won

    async def give_back(self, names: Sequence[str], owner: str) -> None:
        """Remove the names that hold the owner."""
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
