"""Bars of the bus end in the bar store: all of them, whatever ends the recorder."""

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streamdesk.analysis.adapters import bar_recorder as recorder_module
from streamdesk.analysis.adapters.bar_recorder import BarRecorder
from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.topics import MARKET_BARS
from streamdesk.market import StoreError
from streamdesk.market.store import BarStore
from streamdesk.runtime import Drain, metrics

KILLS = 8
SYMBOLS = [f"S{number}.US" for number in range(12)]
START = datetime(2024, 11, 20, 15, 0, tzinfo=UTC)


def bars_of(number: int) -> list[BarClosed]:
    """A frame: one bar of each symbol, the so-many-th."""
    return [
        BarClosed(
            symbol=symbol,
            timestamp=START + timedelta(seconds=number),
            interval_seconds=1,
            open=100,
            high=101,
            low=99,
            close=100,
            volume=number,
        )
        for symbol in SYMBOLS
    ]


@pytest.fixture
def url(start_server: Callable[[], Any]) -> str:
    server_url: str = start_server().url
    return server_url


@pytest.fixture
async def bus(url: str) -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=url, service="test")) as connected:
        yield connected


async def until(holds: Callable[[], Any], what: str) -> None:
    """Wait for a condition, plain or awaited; the guard only ends what would never end."""
    deadline = time.monotonic() + 120
    while True:
        found = holds()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline, f"not within the guard: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def recording(bus: Bus, store: BarStore, **more: Any) -> AsyncIterator[None]:
    drain = Drain()
    recorder = BarRecorder(bus, MARKET_BARS, store, **{"keep_days": 400, **more})
    running = asyncio.create_task(recorder.run(drain))
    try:
        yield
    finally:
        drain.request()
        await running


def recorded(store: BarStore) -> dict[str, list[int]]:
    """By symbol, the numbers of its bars."""
    return {
        symbol: series.volume.astype(int).tolist()
        for symbol, series in store.read_market("US", 1, 1_000_000).items()
    }


def first(count: int) -> dict[str, list[int]]:
    """What `recorded` finds after so many frames."""
    return {symbol: list(range(count)) for symbol in SYMBOLS}


def names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.rglob(pattern)]


class HeldStore(BarStore):
    """A store whose writes wait to be let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = 0
        self.writes = 0
        self.failures = 0
        self.fails = 0
        self.go = threading.Event()

    def write(self, bars: Sequence[BarClosed]) -> int:
        self.asked += len(bars)
        self.go.wait(120)
        if self.failures < self.fails:
            self.failures += 1
            raise StoreError("the disk is full")
        kept = super().write(bars)
        self.writes += 1
        return kept


async def test_bars_that_come_while_some_are_written_are_one_file_and_not_one_each(
    bus: Bus, tmp_path: Path
) -> None:
    store = HeldStore(tmp_path)
    async with recording(bus, store, write_every_seconds=0.01, tidy_every_seconds=3_600):
        try:
            await bus.publish_many(MARKET_BARS, bars_of(0))
            await until(lambda: store.asked, "the first write begins")
            for number in range(1, 20):
                await bus.publish_many(MARKET_BARS, bars_of(number))
            assert recorded(store) == {}
        finally:
            store.go.set()
        await until(lambda: recorded(store) == first(20), "all frames are there")
    assert len(names(tmp_path, "part-*.parquet")) < 20


async def test_what_was_published_while_no_recorder_ran_is_recorded_later(
    bus: Bus, tmp_path: Path
) -> None:
    store = BarStore(tmp_path)
    for number in range(5):
        await bus.publish_many(MARKET_BARS, bars_of(number))
    async with recording(bus, store, write_every_seconds=0.01):
        await until(lambda: recorded(store) == first(5), "the past is there")
    for number in range(5, 9):
        await bus.publish_many(MARKET_BARS, bars_of(number))
    assert recorded(store) == first(5)
    async with recording(bus, store, write_every_seconds=0.01):
        await until(lambda: recorded(store) == first(9), "the rest is there")


async def test_how_far_it_came_is_known_so_that_the_past_is_not_written_again(
    bus: Bus, tmp_path: Path
) -> None:
    store = HeldStore(tmp_path)
    store.go.set()
    for number in range(50):
        await bus.publish_many(MARKET_BARS, bars_of(number))
    async with recording(bus, store, write_every_seconds=0.01):
        await until(lambda: recorded(store) == first(50), "the past is there")
    written = store.asked
    await bus.publish_many(MARKET_BARS, bars_of(50))
    async with recording(bus, store, write_every_seconds=0.01):
        await until(lambda: recorded(store) == first(51), "the new bars are there")
    assert store.asked - written <= 2 * len(SYMBOLS), "the last frame once more, and the new one"


async def test_of_two_recorders_with_one_folder_one_records_and_the_other_takes_over(
    bus: Bus, tmp_path: Path
) -> None:
    idle, busy = HeldStore(tmp_path), HeldStore(tmp_path)
    idle.go.set()
    busy.go.set()
    quick = {"write_every_seconds": 0.01}
    async with recording(bus, busy, **quick):
        await bus.publish_many(MARKET_BARS, bars_of(0))
        await until(lambda: busy.writes, "the first one records")
        second = recording(bus, idle, **quick)
        await second.__aenter__()
        await bus.publish_many(MARKET_BARS, bars_of(1))
        await until(lambda: recorded(busy) == first(2), "it resumes")
        assert idle.asked == 0
    await bus.publish_many(MARKET_BARS, bars_of(2))
    await until(lambda: recorded(idle) == first(3), "the second one has taken over")
    await second.__aexit__(None, None, None)


async def test_a_store_that_cannot_be_written_costs_no_bar(bus: Bus, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.write_text("in the way")
    failures = metrics.BAR_STORE_FAILURES
    before = failures._value.get()
    store = HeldStore(folder)
    store.go.set()
    async with recording(bus, store, write_every_seconds=0.01):
        await bus.publish_many(MARKET_BARS, bars_of(0))
        await until(lambda: failures._value.get() > before, "it fails")
        folder.unlink()
        await until(lambda: recorded(store) == first(1), "it is there")


async def test_a_disk_that_fills_up_holds_bars_back_and_loses_none(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MOST_WAITING_BARS", 3 * len(SYMBOLS))
    store = HeldStore(tmp_path)
    store.fails = 2
    store.go.set()
    async with recording(bus, store, write_every_seconds=0.01):
        for number in range(20):
            await bus.publish_many(MARKET_BARS, bars_of(number))
        await until(lambda: recorded(store) == first(20), "all frames are there")
    assert store.failures == 2


async def test_files_are_merged_and_old_days_removed_while_it_records(
    bus: Bus, tmp_path: Path
) -> None:
    store = BarStore(tmp_path)
    for number in range(20):
        store.write(bars_of(number))
    old = [bar.model_copy(update={"timestamp": START - timedelta(days=9)}) for bar in bars_of(0)]
    store.write(old)
    async with recording(bus, store, keep_days=5):
        await until(lambda: len(names(tmp_path, "part-*.parquet")) < 20, "files are merged")
    assert names(tmp_path, "day=*") == ["day=2024-11-20"]
    assert recorded(store) == first(20)


async def test_a_recorder_killed_again_and_again_loses_no_bar(url: str, tmp_path: Path) -> None:
    dice, folder = random.Random(20261120), tmp_path / "store"
    store, published, stored = BarStore(folder), 0, 0
    program = Path(__file__).with_name("recorder_process.py")

    def count() -> int:
        nonlocal stored
        stored = len(recorded(store).get(SYMBOLS[0], []))
        return stored

    def start(instance: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, str(program), url, str(folder), instance])

    async with Bus.connect(BusConfig(url=url, service="test")) as bus:

        async def publish() -> None:
            nonlocal published
            while True:
                # However slow the machine is, the topic keeps all that is not recorded yet.
                if published - stored < MARKET_BARS.keep // 2:
                    await bus.publish_many(MARKET_BARS, bars_of(published))
                    published += 1
                await asyncio.sleep(0.002)

        publishing = asyncio.create_task(publish())
        for number in range(KILLS):
            before = count()
            process = start(f"killed-{number}")
            try:
                await until(lambda: count() > before, "it records")  # noqa: B023 - awaited here
                await asyncio.sleep(dice.uniform(0, 0.1))
            finally:
                process.kill()
                process.wait()
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        survivor = start("survivor")
        try:
            await until(
                lambda: count() >= published,
                "the survivor has done what was left",
            )
            survivor.terminate()
            assert await asyncio.to_thread(survivor.wait, 120) == 0
        finally:
            survivor.kill()
            survivor.wait()
    found = recorded(store)
    # The last frame may have been published by a call that was cancelled.
    assert all(numbers[:published] == list(range(published)) for numbers in found.values())
    assert sorted(found) == sorted(SYMBOLS)
    print(f"{KILLS} kills, {published} frames, all stored")  # noqa: T201 - shown with -s


def serve(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "streamdesk.analysis"],
            env=os.environ | environment,
            stdout=out,
            stderr=out,
        )


async def test_the_service_records_into_the_folder_it_is_given(
    bus: Bus, url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    environment = {
        "REDIS_URL": url,
        "METRICS_PORT": "0",
        "ANALYSIS_HOST": "127.0.0.1",
        "ANALYSIS_PORT": "0",
        "BAR_STORE_FOLDER": str(folder),
        "HAMA_SCHEDULER_ENABLED": "false",
    }
    service = serve(environment, tmp_path / "log")
    try:
        await bus.publish_many(MARKET_BARS, bars_of(0))
        await until(lambda: recorded(BarStore(folder)) == first(1), "the service records")
        service.terminate()
        assert await asyncio.to_thread(service.wait, 120) == 0
    finally:
        service.kill()
        service.wait()
