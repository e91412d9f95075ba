"""The backlog of a pool's streams, read from Redis through the bus. Nothing is written."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.bus import Bus, BusError, GroupLag
from streamdesk.contracts import Consumer, Event, Topic
from streamdesk.operator.domain.deletion_cost import ConsumerLoad

_CLASS = re.compile(r"^\{(?P<key>.+)\}:(?P<number>\d+)$")
_SHARD = re.compile(r"^\{(?P<key>.+):(?P<number>\d+)\}$")
ANSWER_SECONDS = 8.0
"""Longest wait for all answers about one pool; the bus waits 5 s for each at most."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The backlog of a group, over all streams of a pool.

    Args:
        unread: entries that were not delivered to it yet; without a group, all entries.
        pending: entries that its consumers hold.
        delayed: messages that are due later.
        oldest_pending_seconds: age of the oldest pending entry.
        delivered: entries ever delivered to it.
        error: why nothing is known; the numbers are meaningless then.
    """

    unread: int = 0
    pending: int = 0
    delayed: int = 0
    oldest_pending_seconds: float | None = None
    delivered: int = 0
    error: str | None = None


def topics_of(streams: Sequence[str], group: str) -> list[Topic[Event]]:
    """The topics that these streams belong to, as the bus names its streams.

    Streams of one topic share helper keys (retries, cursors, trim marks), which their figures need:
    `{key}:90` is a class of `key`, `{key:0}` a shard of it. Any other name is a stream of its own.

    Args:
        streams: their Redis keys.
        group: the consumer group.
    """
    classes: dict[str, list[int]] = {}
    shards: dict[str, set[int]] = {}
    for stream in streams:
        if found := _CLASS.match(stream):
            classes.setdefault(found["key"], []).append(int(found["number"]))
        elif found := _SHARD.match(stream):
            shards.setdefault(found["key"], set()).add(int(found["number"]))
    # A topic reads all of its shards, also those that the pool does not name: unless all are named,
    # each is read as a stream of its own.
    whole = {key: len(numbers) for key, numbers in shards.items() if _is_whole(numbers)}
    topics = [_topic(key, group, classes=tuple(sorted(found))) for key, found in classes.items()]
    topics += [_topic(key, group, shards=number) for key, number in whole.items()]
    # The order of the topics does not matter: the figures are sums.
    for stream in streams:
        shard = _SHARD.match(stream)
        if not _CLASS.match(stream) and not (shard and shard["key"] in whole):
            topics.append(_topic(stream, group))
    return topics


def _is_whole(numbers: set[int]) -> bool:
    """Whether all shards of a topic are named: a single one is read like any stream."""
    return len(numbers) > 1 and numbers == set(range(len(numbers)))


def _topic(key: str, group: str, *, classes: tuple[int, ...] = (), shards: int = 1) -> Topic[Event]:
    return Topic(
        name=key,
        key=key,
        models=(),
        about="Streams of an ExecutorPool.",
        dead_key=f"{key}:dead",
        key_field="key" if shards > 1 else None,
        class_field="class" if classes else None,
        classes=classes,
        shards=shards,
        consumers=(Consumer("executor-pool", group),),
    )


class StreamSource:
    """The streams and the group of one pool.

    Args:
        bus: their server.
        streams: their Redis keys.
        group: the consumer group.
    """

    def __init__(self, bus: Bus, streams: Sequence[str], group: str) -> None:
        self._bus = bus
        self._topics = topics_of(streams, group)
        self._group = group

    async def backlog(self) -> Backlog:
        """The group's backlog, or why it is unknown. Never raises."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                lags = [await self._bus.group_lag(topic, self._group) for topic in self._topics]
        except TimeoutError:
            return Backlog(error=f"no answer from Redis within {ANSWER_SECONDS:g} s")
        except BusError as error:
            return Backlog(error=str(error) or type(error).__name__)
        return _sum(lags)

    async def loads(self) -> list[ConsumerLoad]:
        """The load of each consumer.

        Raises:
            BusError: no answer.
            TimeoutError: no answer in time.
        """
        async with asyncio.timeout(ANSWER_SECONDS):
            return [
                ConsumerLoad(consumer.name, consumer.pending, consumer.idle_seconds)
                for topic in self._topics
                for consumer in await self._bus.consumers(topic, self._group)
            ]


def _sum(lags: Sequence[GroupLag]) -> Backlog:
    ages = [lag.oldest_pending_seconds for lag in lags if lag.oldest_pending_seconds is not None]
    return Backlog(
        unread=sum(lag.waiting for lag in lags),
        pending=sum(lag.pending for lag in lags),
        delayed=sum(lag.delayed for lag in lags),
        oldest_pending_seconds=max(ages, default=None),
        delivered=sum(lag.added - lag.waiting for lag in lags),
    )
