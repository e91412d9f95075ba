"""The bus behind real Sentinels, which make another server the master."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from streamdesk.bus import Bus, BusConfig, Wait


@asynccontextmanager
async def publishing(bus: Bus, topic: Any, ping: Any) -> AsyncIterator[list[str]]:
    """Publish one event after the other; what was acknowledged is in the list."""
    acked: list[str] = []
    stop = asyncio.Event()

    async def publish() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await bus.publish(topic, ping(text=str(number)), durable=Wait(replicas=1))
            acked.append(str(number))
            await asyncio.sleep(0)

    task = asyncio.create_task(publish())
    try:
        yield acked
    finally:
        stop.set()
        await task


async def grows_by(acked: list[str], count: int) -> None:
    wanted = len(acked) + count
    async with asyncio.timeout(60):
        while len(acked) < wanted:
            await asyncio.sleep(0.01)


async def test_what_was_acknowledged_survives_a_failover_that_the_old_master_does_not_notice(
    sentinel: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(keep=900_000)
    async with Bus.connect(BusConfig(url=sentinel.url)) as bus:
        async with publishing(bus, topic, ping) as acked:
            await grows_by(acked, 100)
            old = await asyncio.to_thread(sentinel.master)
            # Nothing stops the old master: for seconds it behaves as if it were still the master.
            sentinel.sentinels[0].ask("SENTINEL", "FAILOVER", "desk")
            await asyncio.to_thread(sentinel.wait_for_another_master, old)
            assert old.ask("ROLE")[0] == "master"
            await grows_by(acked, 100)
        stored = [message.event.text async for message in bus.replay(topic, "0")]
    assert sorted(set(acked) - set(stored)) == []
    assert len(stored) == len(set(stored))
