"""Reading without a group: every entry, as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from heapq import merge
from typing import Any

from streamdesk.bus.backends.port import Backend
from streamdesk.bus.connection.link import Link
from streamdesk.bus.decoding import messages_of
from streamdesk.bus.envelope import Fields
from streamdesk.bus.errors import BusConfigError, BusUnavailableError
from streamdesk.bus.message import Message
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Topic
from streamdesk.contracts.errors import ContractError

READ_COUNT = 500


def _when(message: Message[Any]) -> tuple[int, str]:
    return int(message.entry_id.partition("-")[0]), message.id


class Tail:
    """Follows topics from a point on; resumes after an outage where it was."""

    def __init__(
        self,
        topics: Sequence[Topic[Any]],
        *,
        backend: Backend,
        link: Link,
        observer: BusObserver,
        block_seconds: float,
        stop: asyncio.Event | None,
    ) -> None:
        """Made by `Bus.tail`."""
        self._backend = backend
        self._link = link
        self._observer = observer
        self._block_ms = round(block_seconds * 1000)
        self._stop = stop
        self._of_key: dict[str, tuple[Topic[Any], int | None]] = {}
        for topic in topics:
            topic_keys = keys_of(topic)
            for key, priority in zip(topic_keys.streams, topic_keys.classes, strict=True):
                self._of_key[key] = (topic, priority)
        self._cursors: dict[str, str] = {}

    async def messages(self, since: str) -> AsyncGenerator[Message[Any], None]:
        """Every message after `since`: `$` (now), `0` (all there is), or an entry id."""
        try:
            await self._start(since)
            while self._stop is None or not self._stop.is_set():
                for message in await self._next():
                    yield message
        except BusUnavailableError:
            if self._stop is None or not self._stop.is_set():
                raise

    async def _start(self, since: str) -> None:
        keys = list(self._of_key)
        if since == "$":
            last = await self._link.call(lambda: self._backend.last_ids(keys), stop=self._stop)
            self._cursors = dict(zip(keys, last, strict=True))
            return
        milliseconds, _, sequence = since.partition("-")
        if not milliseconds.isdigit() or not (sequence or "0").isdigit():
            raise BusConfigError(f"since is {since!r}; expected '$', '0' or an id like 1732-0")
        self._cursors = dict.fromkeys(keys, f"{milliseconds}-{sequence or 0}")

    async def _next(self) -> list[Message[Any]]:
        rows = await self._link.call(
            lambda: self._backend.read(self._cursors, READ_COUNT, self._block_ms), stop=self._stop
        )
        streams: dict[str, list[Message[Any]]] = {}
        for key, entry_id, fields in rows:
            topic, priority = self._of_key[key]
            seen = watched(topic, fields, entry_id, priority, self._observer)
            streams.setdefault(key, []).extend(seen)
            self._cursors[key] = entry_id
        # Entry ids count per stream: across streams, event ids show what came first. Within one
        # they do not, where the publisher derived them, so its own order stays.
        return list(merge(*streams.values(), key=_when))


def watched(
    topic: Topic[Any], fields: Fields, entry_id: str, priority: int | None, observer: BusObserver
) -> list[Message[Any]]:
    """The messages that a reader without a group sees; the rest is reported to the observer."""
    if fields.get(b"g"):
        return []  # a retry for one group; it was seen the first time
    try:
        messages, unreadable = messages_of(topic, fields, entry_id, priority)
    except ContractError as error:
        observer.undecodable(topic.name, error.reason)
        return []
    for member in unreadable:
        observer.undecodable(topic.name, member.error.reason)
    return messages
