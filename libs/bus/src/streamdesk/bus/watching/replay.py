"""Reading a stretch of the past again, in order of time, without touching any group."""

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from streamdesk.bus.backends.port import Backend
from streamdesk.bus.connection.link import Link
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import BusConfigError
from streamdesk.bus.message import Message
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import keys_of
from streamdesk.bus.watching.tail import watched
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)

PAGE = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_SEQUENCE = str(2**64 - 1)


@dataclass(slots=True)
class _StreamCursor:
    """What is read ahead of one stream."""

    key: str
    priority: int | None
    first: str
    last: str
    rows: deque[tuple[str, Fields]] = field(default_factory=deque)
    is_done: bool = False

    @property
    def when(self) -> tuple[int, bytes]:
        """Entry ids count per stream: across streams, event ids show what came first."""
        entry_id, fields = self.rows[0]
        return int(entry_id.partition("-")[0]), fields.get(b"id", b"")


class Replay(Generic[E]):
    """Reads a topic from one point to another."""

    def __init__(
        self, topic: Topic[E], *, backend: Backend, link: Link, observer: BusObserver
    ) -> None:
        """Made by `Bus.replay`."""
        self._topic = topic
        self._backend = backend
        self._link = link
        self._observer = observer

    async def messages(
        self, since: datetime | str, until: datetime | str | None
    ) -> AsyncGenerator[Message[E], None]:
        """Every message between the two, both included, across classes and shards by time."""
        cursors = await self._cursors_of(since, until)
        while True:
            for cursor in cursors:
                await self._fill(cursor)
            ready = [cursor for cursor in cursors if cursor.rows]
            if not ready:
                return
            cursor = min(ready, key=lambda candidate: candidate.when)
            entry_id, fields = cursor.rows.popleft()
            for message in watched(self._topic, fields, entry_id, cursor.priority, self._observer):
                yield message

    async def _cursors_of(
        self, since: datetime | str, until: datetime | str | None
    ) -> list[_StreamCursor]:
        topic_keys = keys_of(self._topic)
        first = _bound("since", since, "0")
        if until is None:
            # What is published while we read does not belong to the past.
            ends = await self._link.call(lambda: self._backend.last_ids(topic_keys.streams))
        else:
            ends = [_bound("until", until, LAST_SEQUENCE)] * len(topic_keys.streams)
        return [
            _StreamCursor(key, priority, first, last)
            for key, priority, last in zip(
                topic_keys.streams, topic_keys.classes, ends, strict=True
            )
        ]

    async def _fill(self, cursor: _StreamCursor) -> None:
        if cursor.rows or cursor.is_done:
            return
        rows = await self._link.call(
            lambda: self._backend.read_range(cursor.key, cursor.first, cursor.last, PAGE)
        )
        cursor.is_done = len(rows) < PAGE
        if rows:
            cursor.rows.extend(rows)
            cursor.first = f"({rows[-1][0]}"


def _bound(name: str, value: datetime | str, sequence: str) -> str:
    """An entry id for a point in time.

    Raises:
        BusConfigError: a time without a zone, or a text that is no entry id.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise BusConfigError(f"{name} is {value.isoformat()} without a time zone; add one")
        return f"{max(0, (value - EPOCH) // timedelta(milliseconds=1))}-{sequence}"
    milliseconds, _, rest = value.partition("-")
    if not milliseconds.isdigit() or not (rest or "0").isdigit():
        raise BusConfigError(f"{name} is {value!r}; expected a datetime or an id like 1732-0")
    return f"{milliseconds}-{rest or sequence}"
