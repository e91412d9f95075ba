"""The source of events: the bus, read without a consumer group."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from streamdesk.bus import Bus, BusError, Message
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.topics import TOPICS

_PING_SECONDS = 2.0
_FRAMED = frozenset(topic.name for topic in TOPICS if topic.mode == "frame")


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of the bus.

    Args:
        id: its id, the same however often it is delivered.
        published_at: when it was published.
        event: what happened.
        topic: name of its topic.
        cause: traceparent of its publisher; empty where that was not traced, and for events
            that are published in frames: a span each would cost more than the event.
    """

    id: str
    published_at: datetime
    event: Event
    topic: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group of consumers is behind.

    Args:
        topic: name of the topic.
        group: name of the group.
        waiting: entries not yet delivered to a consumer.
        pending: entries delivered and not yet acknowledged.
        delayed: retries that wait until they are due.
        dead: dead letters of the topic.
        oldest_pending_seconds: how long the oldest pending entry has been pending.
        consumers: consumers in the group.
    """

    topic: str
    group: str
    waiting: int
    pending: int
    delayed: int
    dead: int
    oldest_pending_seconds: float
    consumers: int


class EventSource(Protocol):
    """What the gateway needs from the bus."""

    def events(self, history_seconds: float, stop: asyncio.Event) -> AsyncIterator[SeenEvent]:
        """Every event since `history_seconds` ago, until `stop`; survives outages of the bus."""
        ...

    async def reachable(self) -> bool:
        """Whether the bus answers now."""
        ...

    async def lag(self) -> Sequence[Lag]:
        """Each group's lag.

        Raises:
            BusError: the bus does not answer.
        """
        ...


class BusSource:
    """The bus as the gateway's source of events.

    Args:
        bus: connected to the server.
        tailed: topics whose events are shown.
        grouped: topics whose groups' lag is shown.
        states: the topic of `tailed` whose events are valid until the next of the same instrument.
        states_seconds: how far back the last of these are read at the start.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        tailed: Sequence[Topic[Any]],
        grouped: Sequence[Topic[Any]],
        states: Topic[Any],
        states_seconds: float,
    ) -> None:
        self._bus = bus
        self._tailed = list(tailed)
        self._grouped = list(grouped)
        self._states = states
        self._states_seconds = states_seconds

    async def events(self, history_seconds: float, stop: asyncio.Event) -> AsyncIterator[SeenEvent]:
        """Every event since `history_seconds` ago, until `stop`; survives outages of the bus."""
        # Ids of entries begin with the server's time in ms; a small difference to ours is harmless.
        started = time.time()
        begin = _entry_id(started - history_seconds)
        if self._states_seconds > history_seconds:
            # Up to where the tail begins, so that no event is read twice or missed.
            earliest = _entry_id(started - self._states_seconds)
            for state in await self._last_states(earliest, begin, stop):
                yield state
        since = begin if history_seconds else "$"
        async for message in self._bus.tail(self._tailed, since=since, stop=stop):
            yield _seen(message)

    async def _last_states(self, since: str, until: str, stop: asyncio.Event) -> list[SeenEvent]:
        """The last state of each instrument between two entries, oldest first."""
        reading = asyncio.ensure_future(self._newest(since, until))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            # Reading waits for the server indefinitely; a drain must not.
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else []
        finally:
            reading.cancel()
            stopping.cancel()

    async def _newest(self, since: str, until: str) -> list[SeenEvent]:
        newest: dict[str, SeenEvent] = {}
        async for message in self._bus.replay(self._states, since, until):
            newest.pop(
                message.key, None
            )  # moves the key to the end: the order is that of the newest
            newest[message.key] = _seen(message)
        return list(newest.values())

    async def reachable(self) -> bool:
        """Whether the bus answers now."""
        try:
            async with asyncio.timeout(_PING_SECONDS):
                return await self._bus.ping()
        except (TimeoutError, BusError):
            return False

    async def lag(self) -> list[Lag]:
        """Each group's lag.

        Raises:
            BusError: the bus does not answer.
        """
        return [
            Lag(
                topic=lag.topic,
                group=lag.group,
                waiting=lag.waiting,
                pending=lag.pending,
                delayed=lag.delayed,
                dead=lag.dead,
                oldest_pending_seconds=lag.oldest_pending_seconds or 0.0,
                consumers=lag.consumers,
            )
            for topic in self._grouped
            for lag in await self._bus.lag(topic)
        ]


def _entry_id(seconds: float) -> str:
    """The entry id that precedes all entries of this moment."""
    return f"{max(0, int(seconds * 1000))}-0"


def _seen(message: Message[Any]) -> SeenEvent:
    cause = message.trace_context.get("traceparent", "")
    framed = message.topic in _FRAMED
    return SeenEvent(
        message.id,
        message.published_at.astimezone(UTC),
        message.event,
        message.topic,
        "" if framed else cause,
    )
