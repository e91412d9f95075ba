"""The master's role moves under traffic: publishers and consumers follow, and nothing is lost."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from streamdesk.bus import Bus, Wait
from tests.chaos.arena import SHORT, Consumer
from tests.chaos.desk import Desk
from tests.chaos.traffic import bus_config
from tests.servers import SentinelCluster


@asynccontextmanager
async def desk_on(url: str, folder: Path) -> AsyncIterator[Desk]:
    """A desk that waits for a replica with each publish, and two consumer processes."""
    config = bus_config(
        url,
        "desk",
        lease_seconds=SHORT.lease_seconds,
        socket_timeout_seconds=SHORT.socket_timeout_seconds,
    )
    consumers = [Consumer(f"worker-{number}", url, folder, SHORT, 0) for number in range(2)]
    try:
        async with Bus.connect(replace(config, durable=Wait(replicas=1, timeout_ms=1000))) as bus:
            yield Desk(
                bus,
                folder,
                itertools.count(1),
                SHORT.pause_seconds,
                lambda: [text for one in consumers if (text := one.complaint())],
            )
    finally:
        for consumer in consumers:
            consumer.kill()


@pytest.mark.parametrize("kind", ["killed", "planned"])
async def test_replicated_events_are_handled_after_a_failover(
    sentinel: SentinelCluster, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    async with desk_on(sentinel.url, folder) as desk:
        async with desk.publishing():
            await desk.traffic()
            old = await asyncio.to_thread(sentinel.master)
            if kind == "killed":
                await asyncio.to_thread(sentinel.kill_master)
            else:
                await asyncio.to_thread(sentinel.planned_failover)
            await asyncio.to_thread(sentinel.wait_for_another_master, old)
            await desk.traffic()
        verdict = await desk.verdict()
    assert verdict.is_good, str(verdict)
