"""What a bus offers to readers that change nothing."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from streamdesk.bus.backends.port import Backend
from streamdesk.bus.backends.records import GroupState
from streamdesk.bus.config import BusConfig
from streamdesk.bus.connection.link import Link
from streamdesk.bus.decoding import messages_of
from streamdesk.bus.errors import BusConfigError
from streamdesk.bus.message import Message
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import keys_of, partitions_of
from streamdesk.bus.watching.lag import ConsumerHealth, GroupLag, consumer_health, group_lag
from streamdesk.bus.watching.replay import Replay
from streamdesk.bus.watching.tail import Tail
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError

E = TypeVar("E", bound=Event)


class Watcher:
    """Reads along, reads the past, and says how far groups are; the base of `Bus`."""

    def __init__(
        self, backend: Backend, link: Link, config: BusConfig, observer: BusObserver
    ) -> None:
        """Use `Bus.connect`."""
        self._backend = backend
        self._link = link
        self._config = config
        self._observer = observer

    def tail(
        self,
        topics: Topic[Any] | Sequence[Topic[Any]],
        *,
        since: str = "$",
        stop: asyncio.Event | None = None,
    ) -> AsyncGenerator[Message[Any], None]:
        """Every message of the topics, without a group, across outages, until `stop` is set.

        Args:
            topics: one or several.
            since: `$` for what comes from now on, `0` for all there is, or an entry id
                (`<milliseconds>-<n>`) for what came after it.
            stop: ends the iteration within the blocking time (1 s).

        Raises:
            BusConfigError: `since` is none of those.
        """
        chosen = [topics] if isinstance(topics, Topic) else list(topics)
        return Tail(
            chosen,
            backend=self._backend,
            link=self._link,
            observer=self._observer,
            block_seconds=self._config.block_seconds,
            stop=stop,
        ).messages(since)

    def replay(
        self,
        topic: Topic[E],
        since: datetime | str,
        until: datetime | str | None = None,
    ) -> AsyncGenerator[Message[E], None]:
        """What travelled on the topic in a stretch of the past, by time, for no group.

        Both ends are included; a time means its millisecond. It resumes after an outage where it
        was. How far the past goes back is the topic's `keep`.

        Args:
            topic: whose messages. Retries of single groups are left out.
            since: a time with its zone, or an entry id; `0` for all there is.
            until: the same; None for what is there when the first message is asked for.

        Raises:
            BusConfigError: a time without a zone, or a text that is no entry id.
        """
        return Replay(
            topic, backend=self._backend, link=self._link, observer=self._observer
        ).messages(since, until)

    async def newest_entry(self, topic: Topic[Any]) -> str:
        """Id of the newest entry of a topic with one stream; `0-0` before the first.

        Raises:
            BusConfigError: the topic has classes or shards.
            BusUnavailableError: the server is unreachable.
        """
        keys = keys_of(topic).streams
        if len(keys) > 1:
            raise BusConfigError(f"topic {topic.name!r} has {len(keys)} streams; expected one")
        (last,) = await self._link.once(lambda: self._backend.last_ids(keys))
        return last

    async def lag(self, topic: Topic[Any]) -> list[GroupLag]:
        """Where each of the topic's groups stands; one row without a group if it has none."""
        return [await self.group_lag(topic, group) for group in topic.groups or ("",)]

    async def group_lag(self, topic: Topic[Any], group: str) -> GroupLag:
        """Where one group stands."""
        states = await self._group_states(topic, group)
        # Last: a message that is not pending any more is counted here by now if it died.
        dead = await self._link.once(lambda: self._backend.dead_count(keys_of(topic)))
        now_ms = await self._link.once(self._backend.now_ms)
        return group_lag(topic.name, group, states, dead, now_ms)

    async def unfinished(self, topic: Topic[Any], group: str) -> int:
        """Messages that a group has not finished: waiting, pending, delayed; one round trip.

        Raises:
            BusUnavailableError: the server is unreachable.
        """
        return sum(state.backlog for state in await self._group_states(topic, group))

    async def _group_states(self, topic: Topic[Any], group: str) -> list[GroupState]:
        return [
            await self._link.once(lambda: self._backend.group_state(part, group))  # noqa: B023 - called at once
            for part in partitions_of(topic)
        ]

    async def consumers(self, topic: Topic[Any], group: str) -> list[ConsumerHealth]:
        """The group's consumers that the server knows of, by name."""
        states = await self._group_states(topic, group)
        return consumer_health([row for state in states for row in state.consumers])

    async def waiting(self, topic: Topic[E], group: str, limit: int = 20) -> list[Message[E]]:
        """The messages the group would be given next, highest class first, untouched."""
        messages: list[Message[E]] = []
        for part in partitions_of(topic):
            entries = await self._link.once(lambda: self._backend.peek(part, group, limit))  # noqa: B023 - called at once
            for entry in entries:
                # What cannot be read goes to the dead letters when a consumer takes it.
                with contextlib.suppress(ContractError):
                    priority = part.classes[entry.stream]
                    messages += messages_of(topic, entry.fields, entry.id, priority)[0]
        return messages[:limit]
