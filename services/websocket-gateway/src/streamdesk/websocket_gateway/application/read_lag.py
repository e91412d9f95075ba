"""Reads each group's lag; however many pages ask, Redis is queried once per interval."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict

from streamdesk.bus import BusError
from streamdesk.contracts.base import JsonObject
from streamdesk.websocket_gateway.adapters.event_source import EventSource


class LagView:
    """The lag of each group, cached. Concurrent callers share one query.

    Args:
        source: the bus.
        ttl_seconds: how old an answer may be.
        now: monotonic seconds.
    """

    def __init__(
        self,
        source: EventSource,
        ttl_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._groups: list[JsonObject] = []
        self._stale = True

    async def read(self) -> JsonObject:
        """The groups; `stale` is true while the bus does not answer, and the figures are older."""
        async with self._lock:
            if self._now() - self._read_at >= self._ttl_seconds:
                await self._refresh()
        return {"groups": self._groups, "stale": self._stale}

    async def _refresh(self) -> None:
        try:
            self._groups = [asdict(lag) for lag in await self._source.lag()]
            self._stale = False
        except BusError:
            self._stale = True
        self._read_at = self._now()
