"""Counts what passes over the bus while a desk runs."""

import asyncio
from collections.abc import Mapping
from typing import Any

from streamdesk.bus import Bus, BusUnavailableError
from streamdesk.console.domain.counts import RunCounts
from streamdesk.contracts.base import Topic

QUIET_SECONDS = 0.15
COUNTED = ("bars", "signals", "orders", "news_raw", "news_filtered")


class Tally:
    """Follows the topics without a group, so no consumer is affected.

    Args:
        bus: where to read; the caller closes it.
        topics: all topics by name.
    """

    def __init__(self, bus: Bus, topics: Mapping[str, Topic[Any]]) -> None:
        self.counts = RunCounts()
        self._bus = bus
        self._topics = topics
        self._stop = asyncio.Event()

    async def run(self, since: str) -> None:
        """Count until `finish`.

        Args:
            since: `0` for all that is on the streams, `$` for what comes.
        """
        watched = [self._topics[name] for name in COUNTED]
        async for message in self._bus.tail(watched, since=since, stop=self._stop):
            self.counts.add(message.event)

    async def finish(self) -> None:
        """Return when all that the ended services had written is counted, then end the count."""
        before = -1
        while self.counts.total != before:
            before = self.counts.total
            await asyncio.sleep(QUIET_SECONDS)
        self._stop.set()

    async def waiting(self) -> int | None:
        """Signals that no executor has finished; None when the bus does not answer."""
        try:
            rows = await self._bus.lag(self._topics["signals"])
        except BusUnavailableError:
            return None
        return sum(row.waiting + row.pending + row.delayed for row in rows)

    async def dead(self) -> int:
        """Dead letters of all topics; 0 when the bus does not answer."""
        counted: dict[str, int] = {}
        try:
            for topic in self._topics.values():
                for row in await self._bus.lag(topic):
                    counted[topic.dead_key] = row.dead  # topics may share a key
        except BusUnavailableError:
            pass
        return sum(counted.values())
