"""Symbols that were asked for lately."""

import asyncio
from collections.abc import Callable

import pytest

from streamdesk.analysis.adapters import watched_symbols as module
from streamdesk.analysis.adapters.watched_symbols import MOST_SYMBOLS, PREFIX, WatchedSymbols
from streamdesk.bus import Bus, BusConfig, Keys
from streamdesk.runtime import Drain
from tests.servers import StreamServer


class Time:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


async def test_what_one_replica_was_asked_for_the_others_know(
    start_server: Callable[..., StreamServer],
) -> None:
    url = start_server().url
    async with Bus.connect(BusConfig(url=url)) as bus:
        here, there = WatchedSymbols(bus.keys, 600), WatchedSymbols(bus.keys, 600)
        here.asked_for(["BTCUSDT", "AAPL.US"])
        there.asked_for(["700.HK", "AAPL.US"])
        assert await here.current() == ["AAPL.US", "BTCUSDT"]
        await here.note()
        await there.note()
        assert await here.current() == await there.current() == ["700.HK", "AAPL.US", "BTCUSDT"]


async def test_what_is_no_longer_asked_for_is_forgotten(
    start_server: Callable[..., StreamServer],
) -> None:
    server, time = start_server(), Time()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        watched = WatchedSymbols(bus.keys, 600, time)
        watched.asked_for(["AAPL.US", "700.HK"])
        await watched.note()
        assert 0 < server.ask("PTTL", f"{PREFIX}AAPL.US") <= 600_000
        await bus.keys.drop(f"{PREFIX}AAPL.US", f"{PREFIX}700.HK")  # as their time does
        time.seconds += 599
        watched.asked_for(["700.HK"])
        time.seconds += 2
        assert await watched.current() == ["700.HK"]


async def test_asking_again_and_again_costs_a_write_now_and_then(valkey_url: str) -> None:
    time, written = Time(), list[int]()

    class Counted(Keys):
        async def put(self, values: object, ttl_seconds: float | None = None) -> None:
            written.append(len(values))  # type: ignore[arg-type] # a mapping
            await Keys.put(self, values, ttl_seconds)  # type: ignore[arg-type] # the same

    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        bus.keys.__class__ = Counted
        watched = WatchedSymbols(bus.keys, 600, time)
        for _ in range(120):
            watched.asked_for(["AAPL.US"])
            await watched.note()
            time.seconds += 1
    assert sum(written) == 2, "at once, and again after a tenth of the time"


async def test_without_the_server_this_process_knows_its_own_and_writes_them_later(
    start_server: Callable[..., StreamServer],
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url, socket_timeout_seconds=1)) as bus:
        watched, other = WatchedSymbols(bus.keys, 600), WatchedSymbols(bus.keys, 600)
        await asyncio.to_thread(server.stop)
        watched.asked_for(["AAPL.US"])
        await watched.note()
        assert await watched.current() == ["AAPL.US"]
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            while await other.current() != ["AAPL.US"]:
                await watched.note()
                await asyncio.sleep(0.02)


async def test_memory_is_bounded_and_keeps_what_was_asked_for_last(valkey_url: str) -> None:
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        watched = WatchedSymbols(bus.keys, 600)
        watched.asked_for(f"S{number}.US" for number in range(MOST_SYMBOLS + 5))
        assert len(watched._asked) == MOST_SYMBOLS
        assert "S0.US" not in watched._asked


async def test_what_is_asked_for_last_is_written_at_the_end(
    start_server: Callable[..., StreamServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTE_SECONDS", 3_600.0)
    async with Bus.connect(BusConfig(url=start_server().url)) as bus:
        watched, drain = WatchedSymbols(bus.keys, 600), Drain()
        watched.asked_for(["AAPL.US"])
        drain.request()
        await watched.run(drain)
        assert await WatchedSymbols(bus.keys, 600).current() == ["AAPL.US"]
