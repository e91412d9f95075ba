"""Redis is down for 20 seconds under a whole desk: every service waits, and nothing is lost."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import OrderEvent, OrderFilled, SignalGenerated
from streamdesk.contracts.topics import TRADING_ORDERS, TRADING_SIGNALS
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor

OUTAGE_SECONDS = 20
HEARTBEAT_SECONDS = 5
Start = Callable[..., Any]


@dataclass
class Seen:
    """What passed over the bus, and over one socket of the gateway."""

    signals: dict[str, datetime] = field(default_factory=dict)
    handled: set[str] = field(default_factory=set)
    fills: int = 0
    last_message_at: float = 0.0

    def all_handled(self, until: datetime) -> bool:
        """Whether every signal published until then has an order or a refusal."""
        return {id_ for id_, at in self.signals.items() if at <= until} <= self.handled

    def published_after(self, moment: datetime) -> int:
        return sum(at > moment for at in self.signals.values())


async def watch_bus(url: str, seen: Seen) -> None:
    async with Bus.connect(BusConfig(url=url, service="test")) as bus:
        async for message in bus.tail([TRADING_SIGNALS, TRADING_ORDERS], since="0"):
            if isinstance(message.event, SignalGenerated):
                seen.signals[message.id] = message.published_at
            elif isinstance(message.event, OrderEvent):
                seen.handled.add(message.event.signal_id)
                seen.fills += isinstance(message.event, OrderFilled)


async def watch_socket(socket: ClientConnection, seen: Seen) -> None:
    async def beat() -> None:
        while True:
            await socket.send(json.dumps({"type": "heartbeat"}))
            await asyncio.sleep(HEARTBEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        async for text in socket:
            if json.loads(text)["type"] == "event":
                seen.last_message_at = time.monotonic()
    finally:
        beating.cancel()


@asynccontextmanager
async def watched(desk: Any) -> AsyncIterator[tuple[Seen, ClientConnection]]:
    seen = Seen()
    address = f"ws://localhost:{desk.port}/ws/events?channels=events:market,events:signals"
    async with connect(address) as socket:
        tasks = [
            asyncio.create_task(watch_bus(desk.state()["redis_url"], seen)),
            asyncio.create_task(watch_socket(socket, seen)),
        ]
        try:
            yield seen, socket
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def audit(folder: Path) -> list[str]:
    """Discrepancies in the desk's ledger."""
    url = "sqlite:///"
    settings = Settings(
        ledger_url=SecretStr(f"{url}{folder / 'ledger' / 'ledger.db'}"),
        paper_broker_url=SecretStr(f"{url}{folder / 'ledger' / 'paper-broker.db'}"),
    )
    async with OrderExecutor(settings) as books:
        return [str(finding) for finding in await books.verify()]


async def wait(desk: Any, holds: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(desk.wait_for, holds, what)


@pytest.mark.parametrize("kind", ["frozen", "shut down"])
async def test_services_survive_an_outage_report_it_once_and_lose_nothing(
    kind: str, up: Start, start_server: Callable[..., Any]
) -> None:
    server = start_server() if kind == "shut down" else None
    desk = up(redis_url=server.url if server else "")
    await wait(desk, lambda: desk.state().get("status") == "up", "the desk is up")
    async with watched(desk) as (seen, socket):
        await wait(desk, lambda: seen.fills > 0, "a first fill")
        before = desk.pids()
        if server:
            server.stop()
        else:
            os.kill(before["redis"], signal.SIGSTOP)
        await asyncio.sleep(OUTAGE_SECONDS)
        if server:
            server.start()
        else:
            os.kill(before["redis"], signal.SIGCONT)
        back_at, back = time.monotonic(), datetime.now(UTC)
        await wait(desk, lambda: seen.published_after(back) > 0, "signals after the outage")
        await wait(desk, lambda: seen.all_handled(back), "an answer to every signal")
        await wait(desk, lambda: seen.last_message_at > back_at, "events on the old socket")
        await wait(desk, lambda: all_back(desk), "every service ready again")
        assert socket.close_code is None
        assert desk.pids() == before
        for name in desk.services():
            said = [line["event"] for line in desk.log(name)]
            assert (said.count("redis lost"), said.count("redis back")) == (1, 1), name
    desk.interrupt()
    assert desk.left_over() == set()
    assert desk.errors_logged() == []
    assert await audit(desk.folder) == []


def all_back(desk: Any) -> bool:
    return all(
        any(line["event"] == "redis back" for line in desk.log(name)) for name in desk.services()
    )
