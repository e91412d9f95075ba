"""Looks at a queue on the bus repeatedly, without a group of its own."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

from streamdesk.bus import Bus, BusUnavailableError, GroupLag, Message
from streamdesk.console.domain.queue import QueueFrame, QueueRates, WaitingMessage
from streamdesk.contracts.base import Topic

FIRST_LOOK_SECONDS = 0.5


class Monitor:
    """One group's queue on one topic.

    Args:
        bus: where to look.
        topic: which topic.
        group: whose queue.
        limit: how many waiting messages to show.
    """

    def __init__(self, bus: Bus, topic: Topic[Any], group: str, limit: int) -> None:
        self._bus = bus
        self._topic = topic
        self._group = group
        self._limit = limit
        self._rates = QueueRates()

    async def look(self) -> QueueFrame:
        """One look.

        Raises:
            BusUnavailableError: the server does not answer.
        """
        rows = await self._bus.lag(self._topic)
        lag = next(row for row in rows if row.group == self._group)
        waiting = await self._bus.waiting(self._topic, self._group, self._limit)
        finished = lag.added - lag.waiting - lag.pending
        rates = self._rates.add(time.monotonic(), lag.added, finished)
        return frame(lag, waiting, rates, datetime.now(UTC))

    async def once(self) -> QueueFrame:
        """One look with rates, which take two.

        Raises:
            BusUnavailableError: the server does not answer.
        """
        await self.look()
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        return await self.look()

    async def frames(self, interval_seconds: float) -> AsyncGenerator[QueueFrame | None, None]:
        """A look each interval, indefinitely; None while the server does not answer."""
        while True:
            try:
                yield await self.look()
            except BusUnavailableError:
                yield None
            await asyncio.sleep(interval_seconds)


def frame(
    lag: GroupLag,
    waiting: Sequence[Message[Any]],
    rates: tuple[float | None, float | None],
    now: datetime,
) -> QueueFrame:
    """One look, put together from what the bus reports."""
    return QueueFrame(
        topic=lag.topic,
        group=lag.group,
        pending=lag.waiting,
        processing=lag.pending,
        delayed=lag.delayed,
        failed=lag.dead,
        rate_in=rates[0],
        rate_out=rates[1],
        consumers=lag.consumers,
        oldest_processing_seconds=lag.oldest_pending_seconds,
        top=tuple(_waiting(message, now) for message in waiting),
    )


def _waiting(message: Message[Any], now: datetime) -> WaitingMessage:
    event = message.event
    return WaitingMessage(
        priority=message.priority,
        symbol=str(getattr(event, "symbol", message.key)),
        type=str(getattr(event, "type", event.type_name())),
        score=getattr(event, "score", None),
        age_seconds=max(0.0, (now - message.published_at).total_seconds()),
        attempt=message.attempt,
    )
