"""A consumer that was cut off until its lease expired must not settle its messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from streamdesk.bus import Bus, GroupLag, Message
from streamdesk.contracts.base import Topic
from tests.chaos.traffic import FRAMES, GROUP, SINGLES, Job, bus_config
from tests.proxy import Proxy
from tests.servers import StreamServer

LEASE_SECONDS = 2.0  # a machine's hiccup must not end one
DRAIN_SECONDS = 0.2
PATIENCE_SECONDS = 30  # only ends a wait that hangs


class Holder:
    """A consumer whose first handler waits until it is released, and may fail then."""

    def __init__(self, url: str, name: str, *, fails: bool = False) -> None:
        config = bus_config(url, name, lease_seconds=LEASE_SECONDS, socket_timeout_seconds=0.5)
        self.bus = Bus.connect(replace(config, drain_seconds=DRAIN_SECONDS))
        self.go_on = asyncio.Event()
        self.stop = asyncio.Event()
        self.attempts: list[int] = []
        self.messages: list[Message[Job]] = []
        self.effects = 0
        self._fails = fails

    async def handle(self, message: Message[Job]) -> None:
        self.attempts.append(message.attempt)
        self.messages.append(message)
        await self.go_on.wait()
        if self._fails and message.attempt == 1:
            raise RuntimeError("the second holder fails")
        self.effects += not message.lease_lost

    @asynccontextmanager
    async def consuming(self, topic: Topic[Job]) -> AsyncIterator[Any]:
        subscription = self.bus.subscribe(topic, GROUP, self.handle)
        task = asyncio.create_task(subscription.run(self.stop))
        try:
            yield subscription
        finally:
            self.go_on.set()
            self.stop.set()
            await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


async def finished(bus: Bus, topic: Topic[Job]) -> GroupLag:
    """Wait until nothing is pending; the drain's time is too short to rely on."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (lag := (await bus.lag(topic))[0]).pending:
            await asyncio.sleep(0.01)
    return lag


@pytest.mark.parametrize("topic", [SINGLES, FRAMES], ids=lambda topic: topic.name)
async def test_a_failure_counts_although_the_holder_before_had_meant_to_acknowledge(
    start_server: Callable[..., StreamServer], topic: Topic[Job]
) -> None:
    server = start_server()
    async with Proxy(server.port) as proxy:
        early = Holder(proxy.url, "early")
        late = Holder(server.url, "late", fails=True)
        async with early.bus, late.bus, early.consuming(topic) as subscription:
            await late.bus.publish_many(topic, [Job(number=1)])
            await until(lambda: early.attempts == [1])
            proxy.swallow()
            async with late.consuming(topic):
                await until(lambda: late.attempts == [1])
                proxy.forward()
                early.go_on.set()
                await until(lambda: subscription.in_flight == 0)
                early.stop.set()
                await until(lambda: subscription.state == "stopped")
                late.go_on.set()
                await until(lambda: late.attempts == [1, 2])
                await until(lambda: late.effects == 1)
                lag = await finished(late.bus, topic)
    assert (lag.waiting, lag.pending, lag.delayed, lag.dead) == (0, 0, 0, 0)
    assert early.attempts == [1]


async def test_a_message_that_was_lost_and_came_back_is_handled_by_a_handler_that_may(
    start_server: Callable[..., StreamServer],
) -> None:
    server = start_server()

    def owner() -> str:
        rows = server.ask("XPENDING", SINGLES.key, GROUP, "-", "+", 1)
        return str(rows[0][1]) if rows else ""

    async with Proxy(server.port) as proxy:
        early, late = Holder(proxy.url, "early"), Holder(server.url, "late")
        async with early.bus, late.bus, early.consuming(SINGLES) as subscription:
            await late.bus.publish(SINGLES, Job(number=1))
            await until(lambda: early.attempts == [1])
            proxy.swallow()
            async with late.consuming(SINGLES) as other:
                await until(lambda: late.attempts == [1])
                proxy.forward()
                await until(lambda: early.messages[0].lease_lost)
                late.stop.set()  # its handler does not end in time: the message is given back
                await until(lambda: other.state == "stopped")
            await until(lambda: owner() == subscription.consumer)
            # Its first handler resumes now and must do nothing, since the lease was lost.
            early.go_on.set()
            await until(lambda: early.effects == 1)
            await until(lambda: owner() == "")
    assert early.effects + late.effects == 1
