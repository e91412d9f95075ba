"""One suite, three servers: memory, Valkey, and the oldest Redis that is supported."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from streamdesk.bus import (
    Bus,
    BusConfig,
    GroupLag,
    Handler,
    Message,
    Outcome,
    RetryPolicy,
    Subscription,
)
from streamdesk.bus.backends.memory.backend import MemoryBackend
from streamdesk.bus.backends.redis.backend import RedisBackend
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Consumer, Event, Topic
from tests.shard_workers import Floor

GROUP = "workers"


class Ping(Event):
    """A small event with a priority."""

    version = 2
    upcasters = {1: lambda body: body | {"text": body["word"]}}  # noqa: RUF012 - a ClassVar of Event

    text: str
    score: float = 0


def plain_topic(**changes: Any) -> Topic[Ping]:
    key = f"test:{secrets.token_hex(4)}"
    values: dict[str, Any] = {
        "name": "pings",
        "key": key,
        "models": (Ping,),
        "about": "Test traffic.",
        "dead_key": f"{key}:dead",
        "key_field": "text",
        "consumers": (Consumer("worker", GROUP),),
    }
    return Topic(**(values | changes))


@dataclass
class Recorder:
    """A handler that notes what it gets and answers as it is set up to."""

    answer: Callable[[Message[Ping]], Awaitable[Outcome | None]] | None = None
    seen: list[Message[Ping]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, message: Message[Ping]) -> Outcome | None:
        self.seen.append(message)
        async with self.changed:
            self.changed.notify_all()
        return await self.answer(message) if self.answer else None

    @property
    def texts(self) -> list[str]:
        return [message.event.text for message in self.seen]

    async def has(self, count: int) -> None:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len(self.seen) >= count)


class Desk:
    """One bus under test and what tests do with it all the time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bus = self.another_bus()

    def another_bus(self, **changes: Any) -> Bus:
        settings: dict[str, Any] = {
            "url": self.url,
            "service": "test",
            "instance": secrets.token_hex(3),
            "retry": RetryPolicy(base_seconds=0.01, cap_seconds=0.05),
        }
        return Bus.connect(BusConfig(**(settings | changes)))

    @asynccontextmanager
    async def consuming(
        self, topic: Topic[Ping], handler: Handler[Ping], *, bus: Bus | None = None, **options: Any
    ) -> AsyncIterator[Subscription]:
        """A running consumer, stopped in order at the end."""
        subscription = (bus or self.bus).subscribe(topic, GROUP, handler, **options)
        stop = asyncio.Event()
        task = asyncio.create_task(subscription.run(stop))
        try:
            yield subscription
        finally:
            stop.set()
            await task

    async def lag(self, topic: Topic[Ping]) -> GroupLag:
        return (await self.bus.lag(topic))[0]

    async def settled(self, topic: Topic[Ping]) -> GroupLag:
        """Wait until the group has finished everything."""
        async with asyncio.timeout(30):
            while True:
                lag = await self.lag(topic)
                if not (lag.waiting or lag.pending or lag.delayed):
                    return lag
                await asyncio.sleep(0.01)

    async def lose_group(self, topic: Topic[Ping], group: str = GROUP) -> None:
        """As a failover to a replica that never heard of it would."""
        backend = self.bus._backend
        for key in keys_of(topic).streams:
            if isinstance(backend, MemoryBackend):
                backend.store.stream(key).groups.pop(group, None)
            else:
                await self.command("XGROUP", "DESTROY", key, group)

    async def lose_streams(self, topic: Topic[Ping]) -> None:
        """As an external client would with DEL."""
        backend = self.bus._backend
        for key in keys_of(topic).streams:
            if isinstance(backend, MemoryBackend):
                backend.store.streams.pop(key, None)
            else:
                await self.command("DEL", key)

    async def command(self, *words: Any) -> Any:
        """A command to the server, past the bus."""
        backend = self.bus._backend
        assert isinstance(backend, RedisBackend)
        return await backend._command(*words)


@pytest.fixture(params=["valkey", "redis"])
async def server_desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """For what only a server can get into."""
    desk = Desk(request.getfixturevalue(f"{request.param}_url"))
    async with desk.bus:
        yield desk


@pytest.fixture(params=["memory", "valkey", "redis"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    if request.param == "memory":
        url = f"memory://{secrets.token_hex(4)}"
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    desk = Desk(url)
    async with desk.bus:
        yield desk


@pytest.fixture
async def floor(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    """Workers on shards; quick rounds, so that leases may be long where none should run out."""
    monkeypatch.setattr("streamdesk.bus.consuming.sharded.LONGEST_ROUND_SECONDS", 0.05)
    floor = Floor(desk)
    yield floor
    for worker in floor.workers:
        worker.network.cut = set()
        await worker.end()
        await worker.bus._backend.close()


@pytest.fixture
def topic() -> Topic[Ping]:
    return plain_topic()


@pytest.fixture
def make_topic() -> Callable[..., Topic[Ping]]:
    return plain_topic


@pytest.fixture
def priority_topic() -> Topic[Ping]:
    return plain_topic(classes=tuple(range(0, 101, 10)), class_field="score")


@pytest.fixture
def ping() -> type[Ping]:
    return Ping


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


Consuming = Callable[..., AbstractAsyncContextManager[Subscription]]
