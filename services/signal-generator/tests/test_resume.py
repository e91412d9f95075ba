"""A generator that is killed, or replaced, resumes: nothing is lost and nothing comes twice."""

import asyncio
import itertools
import math
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from streamdesk.bus import Bus, BusConfig, BusUnavailableError
from streamdesk.bus.backends.memory.backend import MemoryBackend
from streamdesk.contracts.base import Topic
from streamdesk.contracts.topics import MARKET_BARS, TRADING_SIGNALS
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.simulated import SimulatedFeed
from streamdesk.signal_generator.adapters.position import FeedPosition
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.application.scan_feed import FeedScan
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.signal_generator.errors import RecordingChangedError
from streamdesk.signal_generator.factory import (
    feed_scan,
    recorded_feed,
    simulated_market,
    topics,
    utc_now,
)
from streamdesk.strategy.scanner import Scanner

COMMAND = [sys.executable, "-m", "streamdesk.signal_generator"]
Told = list[tuple[str, dict[str, Any]]]


def recording(folder: Path, steps: int = 120, symbols: int = 2) -> Path:
    """A recording with a signal in about every fifth bar."""
    path = folder / "bars.csv"
    lines = ["symbol,date,open,high,low,close,volume"]
    for step in range(steps):
        for number in range(symbols):
            price = round(100 + 8 * math.sin(step / 4 + number), 4)
            at = datetime.fromtimestamp(1_780_000_000 + 60 * step, UTC).isoformat()
            low, high = price - 0.5, price + 0.5
            lines.append(f"S{number}.US,{at},{price},{high},{low},{price},{1000 + 9 * step}")
    path.write_text("\n".join(lines))
    return path


def settings_of(path: Path, **more: Any) -> Settings:
    values = {"feed": "recorded", "feed_file": path, "redis_url": SecretStr("memory://unused")}
    return Settings.model_validate({**values, "signal_queue_max_size": 100_000, **more})


def scan_of(bus: Bus, chosen: Settings) -> FeedScan:
    assert chosen.feed_file is not None
    return feed_scan(
        recorded_feed(chosen, chosen.feed_file),
        Scanner(chosen.rules()),
        SignalPublisher(bus, topics(chosen), utc_now, wait_for_room=True),
        FeedPosition(bus, MARKET_BARS),
        outliers=OutlierFilter(5, 3),
        exit_at_end=True,
    )


async def everything(bus: Bus, topic: Topic[Any]) -> Told:
    """Ids and events of all entries, in their order."""
    return [
        (message.id, message.event.model_dump(exclude={"queued_at"}))
        async for message in bus.replay(topic, since="0")
    ]


async def published(bus: Bus) -> tuple[list[dict[str, Any]], Told]:
    """The bars as they came, and the signals by time."""
    bars = [event for _, event in await everything(bus, MARKET_BARS)]
    signals = await everything(bus, TRADING_SIGNALS)
    return bars, sorted(signals, key=lambda told: (told[1]["timestamp"], told[1]["symbol"]))


async def unbroken(path: Path, **more: Any) -> tuple[list[dict[str, Any]], Told]:
    """What one run without a kill publishes."""
    async with Bus.connect(BusConfig(url=f"memory://{secrets.token_hex(8)}")) as bus:
        await scan_of(bus, settings_of(path, **more)).run(Drain())
        return await published(bus)


class KilledError(BaseException):
    """The process is gone: nothing of it runs after this."""


class Killer:
    """Kills at a write: before it is done, or after it and before its answer."""

    def __init__(self, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.after = False
        for name in ("append_held", "append_once"):
            monkeypatch.setattr(backend, name, self._deadly(getattr(backend, name)))

    def _deadly(self, write: Callable[..., Any]) -> Callable[..., Any]:
        async def killed(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise KilledError
            result = await write(*arguments, **options)
            if self.left == 0:
                raise KilledError
            return result

        return killed


@given(kills=st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=6))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whichever_writes_are_the_last_of_a_process_all_is_published_once(
    tmp_path: Path, kills: list[tuple[int, bool]]
) -> None:
    path = recording(tmp_path)

    async def run() -> None:
        wanted = await unbroken(path)
        url = f"memory://{secrets.token_hex(8)}"
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(MemoryBackend.named(url), patch)
            for left, after in [*kills, (0, False)]:
                killer.left, killer.after = left, after
                async with Bus.connect(BusConfig(url=url)) as bus:
                    with suppress(KilledError):
                        await scan_of(bus, settings_of(path)).run(Drain())
                    await bus.keys.drop(f"{{{MARKET_BARS.key}}}:feed:lease")  # as time would
        async with Bus.connect(BusConfig(url=url)) as bus:
            assert await published(bus) == wanted
            assert len(wanted[1]) > 20

    asyncio.run(run())


def environment(url: str, path: Path, **more: str) -> dict[str, str]:
    fixed = {
        "REDIS_URL": url,
        "FEED": "recorded",
        "FEED_FILE": str(path),
        "SIGNAL_QUEUE_MAX_SIZE": "100000",
        "FEED_IN_STEP": "false",
        "METRICS_PORT": "0",
        "METRICS_HOST": "127.0.0.1",
        "LOG_FORMAT": "json",
    }
    return {**os.environ, **fixed, **more}


@asynccontextmanager
async def generator(url: str, path: Path, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A generator as a process of its own; killed at the end, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment(url, path, **more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def bars_on(bus: Bus) -> int:
    return (await bus.lag(MARKET_BARS))[0].length


async def until_bars(bus: Bus, count: int) -> None:
    async with asyncio.timeout(60):
        while await bars_on(bus) < count:
            await asyncio.sleep(0.002)


async def test_a_process_that_is_killed_again_and_again_publishes_what_an_unbroken_one_does(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    path, server, chance = recording(tmp_path, steps=900), start_server(), random.Random(7)
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        seen = 0
        for _ in range(6):
            async with generator(server.url, path, FEED_SPEED="400") as process:
                await until_bars(bus, seen + chance.randint(1, 130))
                process.send_signal(signal.SIGKILL)
                await process.wait()
            seen = await bars_on(bus)
        assert seen < 900, "it was killed before the end each time"
        async with generator(server.url, path, FEED_SPEED="0", FEED_EXIT_AT_END="true") as process:
            async with asyncio.timeout(60):
                assert await process.wait() == 0
        assert await published(bus) == await unbroken(path)


async def test_another_replica_takes_over_within_ten_seconds_of_a_kill_and_plays_on(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    path, server = recording(tmp_path, steps=700), start_server()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        async with (
            generator(server.url, path, FEED_SPEED="50") as first,
            generator(server.url, path, FEED_SPEED="50") as second,
        ):
            await until_bars(bus, 50)
            started = asyncio.get_running_loop().time()
            for process in (first, second):  # whichever leads: the other then leads, or resumes
                if await leads(bus, process):
                    process.kill()
                    await process.wait()
                    break
            before = await bars_on(bus)
            await until_bars(bus, before + 1)
            assert asyncio.get_running_loop().time() - started < 10
            await until_bars(bus, 700)
        bars, signals = await published(bus)
        wanted = await unbroken(path)
        assert (bars, signals) == wanted


async def leads(bus: Bus, process: Any) -> bool:
    """Whether this one publishes: without it nothing comes for a while."""
    process.send_signal(signal.SIGSTOP)
    try:
        before = await bars_on(bus)
        await asyncio.sleep(0.3)
        quiet = await bars_on(bus) == before
    finally:
        process.send_signal(signal.SIGCONT)
    return quiet


async def test_a_replica_that_was_frozen_past_its_lease_publishes_nothing_twice(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    path, server = recording(tmp_path, steps=1_200), start_server()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        async with (
            generator(server.url, path, FEED_SPEED="100") as first,
            generator(server.url, path, FEED_SPEED="100") as second,
        ):
            await until_bars(bus, 30)
            frozen = first if await leads(bus, first) else second
            frozen.send_signal(signal.SIGSTOP)
            before = await bars_on(bus)
            await until_bars(bus, before + 20)
            frozen.send_signal(signal.SIGCONT)
            await until_bars(bus, 1_200)
        assert (await published(bus))[0] == (await unbroken(path))[0]


async def test_a_recording_that_was_played_is_not_played_again_unless_under_another_name(
    tmp_path: Path, memory_url: str
) -> None:
    path = recording(tmp_path)
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        await scan_of(bus, settings_of(path)).run(Drain())
        first = await published(bus)
        again = scan_of(bus, settings_of(path))
        await again.announce_stop()  # of the one before
        await bus.keys.drop(f"{{{MARKET_BARS.key}}}:feed:lease")
        await again.run(Drain())
        assert await published(bus) == first
        await bus.keys.drop(f"{{{MARKET_BARS.key}}}:feed:lease")
        await scan_of(bus, settings_of(path, feed_run="second")).run(Drain())
        bars, signals = await published(bus)
        assert bars == [*first[0], *first[0]]
        assert len(signals) == 2 * len(first[1])
        assert len({name for name, _ in signals}) == len(signals)


async def test_bars_that_were_added_to_a_recording_are_played_after_the_others(
    tmp_path: Path, memory_url: str
) -> None:
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        await scan_of(bus, settings_of(recording(tmp_path, 80))).run(Drain())
        await bus.keys.drop(f"{{{MARKET_BARS.key}}}:feed:lease")
        path = recording(tmp_path, 120)
        await scan_of(bus, settings_of(path)).run(Drain())
        assert await published(bus) == await unbroken(path)


@pytest.mark.parametrize("change", ["a price", "an instrument", "fewer bars"])
async def test_a_recording_that_is_not_the_one_that_was_played_is_refused(
    tmp_path: Path, memory_url: str, change: str
) -> None:
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        path = recording(tmp_path)
        await scan_of(bus, settings_of(path)).run(Drain())
        await bus.keys.drop(f"{{{MARKET_BARS.key}}}:feed:lease")
        more: dict[str, Any] = {}
        if change == "a price":
            path.write_text(path.read_text().replace(",1009", ",1010"))
        elif change == "an instrument":
            more = {"symbols": ("S0.US",)}
        else:
            path = recording(tmp_path, 60)
        with pytest.raises(RecordingChangedError, match="name another run"):
            await scan_of(bus, settings_of(path, **more)).run(Drain())


async def test_the_simulated_market_resumes_from_its_last_prices_and_never_goes_back(
    memory_url: str,
) -> None:
    chosen = Settings.model_validate(
        {"redis_url": memory_url, "feed_bars_per_second": 0, "symbols": "AAPL.US,700.HK"}
    )

    async def some_bars(bus: Bus, count: int) -> None:
        async def read(since: datetime) -> AsyncIterator[Any]:
            async for message in bus.replay(MARKET_BARS, since):
                yield message.event

        feed = SimulatedFeed(simulated_market(chosen), read, utc_now)
        publisher = SignalPublisher(bus, topics(chosen), utc_now, wait_for_room=False)
        scan = feed_scan(
            feed,
            Scanner(),
            publisher,
            FeedPosition(bus, MARKET_BARS),
            outliers=OutlierFilter(5, 3),
            exit_at_end=True,
        )
        drain = Drain()
        running = asyncio.create_task(scan.run(drain))
        await until_bars(bus, await bars_on(bus) + count)
        drain.request()
        await running
        await bus.keys.drop(f"{{{MARKET_BARS.key}}}:feed:lease")

    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        for _ in range(3):
            await some_bars(bus, 50)
        bars = [message.event async for message in bus.replay(MARKET_BARS, since="0")]
    for symbol in ("AAPL.US", "700.HK"):
        own = [bar for bar in bars if bar.symbol == symbol]
        assert len(own) > 150
        for earlier, later in itertools.pairwise(own):
            assert later.timestamp > earlier.timestamp
            assert abs(later.open / earlier.close - 1) < 0.05


async def test_while_the_server_is_down_nobody_publishes_and_then_the_feed_resumes(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    path, server = recording(tmp_path, steps=400), start_server()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        chosen = settings_of(path, feed_speed=200)
        scan = asyncio.create_task(scan_of(bus, chosen).run(Drain()))
        await until_bars(bus, 50)
        server.stop()
        with pytest.raises(BusUnavailableError):
            await bars_on(bus)
        server.start()
        async with asyncio.timeout(60):
            await scan
        assert await published(bus) == await unbroken(path)
