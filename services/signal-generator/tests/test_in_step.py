"""The time of a recording advances only when everything of that time is decided."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streamdesk.bus import Bus, BusConfig, Message, Outcome, Retry
from streamdesk.contracts.events import BarsHandled, SignalGenerated
from streamdesk.contracts.topics import BARS_HANDLED, MARKET_BARS, TRADING_SIGNALS
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.position import FeedPosition
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.application import keep_in_step
from streamdesk.signal_generator.application.keep_in_step import InStep
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.signal_generator.factory import feed_scan, recorded_feed, topics, utc_now
from streamdesk.strategy.scanner import Scanner

GROUP = TRADING_SIGNALS.groups[0]
STEPS = 80


def recording(folder: Path, symbols: int = 3) -> Path:
    """Instruments that move together, so that many times have several signals."""
    path = folder / "bars.csv"
    lines = ["symbol,date,open,high,low,close,volume"]
    for step in range(STEPS):
        for number in range(symbols):
            price = round(100 + 8 * math.sin(step / 4) + number, 4)
            at = datetime.fromtimestamp(1_780_000_000 + 60 * step, UTC).isoformat()
            low, high = price - 0.5, price + 0.5
            lines.append(f"S{number}.US,{at},{price},{high},{low},{price},{1000 + 9 * step}")
    path.write_text("\n".join(lines))
    return path


@dataclass
class Executor:
    """Handles bars and signals as an executor's process does, and notes in which order."""

    bus: Bus
    name: str = "one"
    workers: int = 4
    seen: list[tuple[str, datetime, str]] = field(default_factory=list)
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: it handles no bar."""
    retry_first: bool = False

    def __post_init__(self) -> None:
        self.stuck.set()
        self.retried: set[str] = set()

    async def on_signal(self, message: Message[SignalGenerated]) -> Outcome | None:
        if self.retry_first and message.id not in self.retried:
            self.retried.add(message.id)
            return Retry(0.02)
        await asyncio.sleep(0.001)  # others may come in between
        self.seen.append(("signal", message.event.timestamp, message.event.symbol))
        return None

    async def bars(self, stop: asyncio.Event) -> None:
        counts: dict[str, int] = {}
        async for message in self.bus.tail(MARKET_BARS, since="0", stop=stop):
            await self.stuck.wait()
            self.seen.append(("bar", message.event.timestamp, message.event.symbol))
            counts[message.entry_id] = counts.get(message.entry_id, 0) + 1
            handled = BarsHandled(
                executor=self.name, entry=message.entry_id, bars=counts[message.entry_id]
            )
            await self.bus.publish(BARS_HANDLED, handled)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        config = BusConfig(url=self.bus._config.url, service="order-executor", instance=self.name)
        async with Bus.connect(config) as own:
            subscription = own.subscribe(
                TRADING_SIGNALS, GROUP, self.on_signal, concurrency=self.workers
            )
            tasks = [
                asyncio.create_task(subscription.run(stop)),
                asyncio.create_task(self.bars(stop)),
            ]
            try:
                yield
            finally:
                stop.set()
                self.stuck.set()
                await asyncio.gather(*tasks)


async def play(bus: Bus, path: Path, drain: Drain | None = None) -> None:
    settings = Settings.model_validate(
        {"feed": "recorded", "feed_file": path, "redis_url": "memory://unused"}
    )
    to = topics(settings)
    scan = feed_scan(
        recorded_feed(settings, path),
        Scanner(settings.rules()),
        SignalPublisher(bus, to, utc_now, wait_for_room=True),
        FeedPosition(bus, to.bars),
        outliers=OutlierFilter(5, 3),
        exit_at_end=True,
        in_step=InStep(bus, to.bars, BARS_HANDLED, to.signals),
    )
    await scan.run(drain or Drain())
    await scan.announce_stop()


@pytest.fixture(params=["memory", "valkey"])
async def bus(
    request: pytest.FixtureRequest, memory_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bus]:
    """A bus whose topics nobody else uses."""
    monkeypatch.setattr(keep_in_step, "LOOK_SECONDS", 0.05)
    url = memory_url
    if request.param == "valkey":
        url = request.getfixturevalue("start_server")().url
    async with Bus.connect(BusConfig(url=url)) as bus:
        yield bus


def check_order(seen: list[tuple[str, datetime, str]]) -> None:
    """Bars of a time, then its signals, then the next time."""
    assert [at for _, at, _ in seen] == sorted(at for _, at, _ in seen)
    for at in {at for _, at, _ in seen}:
        kinds = [kind for kind, when, _ in seen if when == at]
        assert kinds == sorted(kinds), "bars come before signals"


@pytest.mark.parametrize("retry_first", [False, True])
async def test_no_bar_of_the_next_time_comes_before_all_signals_of_this_one_are_decided(
    bus: Bus, tmp_path: Path, retry_first: bool
) -> None:
    executor = Executor(bus, retry_first=retry_first)
    async with executor.running():
        await play(bus, recording(tmp_path))
    check_order(executor.seen)
    assert len([kind for kind, _, _ in executor.seen if kind == "bar"]) == STEPS * 3
    assert len([kind for kind, _, _ in executor.seen if kind == "signal"]) > 10


async def test_signals_of_one_time_are_decided_in_one_order_whatever_the_number_of_workers(
    bus: Bus, tmp_path: Path
) -> None:
    executor = Executor(bus, workers=8)
    async with executor.running():
        await play(bus, recording(tmp_path))
    by_id = {m.event.symbol: m async for m in bus.replay(TRADING_SIGNALS, since="0")}
    assert len(by_id) == 3
    told = [m.event async for m in bus.replay(TRADING_SIGNALS, since="0")]
    of = {(event.timestamp, event.symbol): event for event in told}
    decided = [of[at, symbol] for kind, at, symbol in executor.seen if kind == "signal"]
    order = [(e.timestamp, e.side != "SELL", -e.priority, e.symbol) for e in decided]
    assert order == sorted(order)
    assert len({event.timestamp for event in decided}) < len(decided), "some share a time"


async def test_every_executor_that_runs_is_waited_for(bus: Bus, tmp_path: Path) -> None:
    first, second = Executor(bus, "one"), Executor(bus, "two")
    second.stuck.clear()
    async with first.running(), second.running():
        async with asyncio.timeout(60):
            while len(await bus.consumers(TRADING_SIGNALS, GROUP)) < 2:
                await asyncio.sleep(0.01)
        drain = Drain()
        playing = asyncio.create_task(play(bus, recording(tmp_path), drain))
        async with asyncio.timeout(60):
            while not first.seen:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert len({at for _, at, _ in first.seen}) == 1, "the second has not handled its bars"
        second.stuck.set()
        await playing
    check_order(first.seen)
    assert len({at for kind, at, _ in first.seen if kind == "bar"}) == STEPS


async def test_without_an_executor_nothing_is_published_and_the_log_and_a_metric_say_why(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_in_step, "LONG_SECONDS", 0.1)
    name, what = "feed_wait_seconds_total", {"what": "executor"}
    before = REGISTRY.get_sample_value(name, what) or 0.0
    path = recording(tmp_path)
    with capture_logs() as logs:
        playing = asyncio.create_task(play(bus, path))
        async with asyncio.timeout(60):
            while not [e for e in logs if e["event"] == "the recording waits in step"]:
                await asyncio.sleep(0.01)
        assert (await bus.lag(MARKET_BARS))[0].length == 0
        assert (REGISTRY.get_sample_value(name, what) or 0.0) > before
        executor = Executor(bus)
        async with executor.running():
            await playing
    waited = next(e for e in logs if e["event"] == "the recording waits in step")
    assert "an executor" in waited["waits_for"]
    assert any(entry["event"] == "in step again" for entry in logs)
    check_order(executor.seen)


async def test_a_recording_that_waits_in_step_can_be_stopped(bus: Bus, tmp_path: Path) -> None:
    drain = Drain()
    playing = asyncio.create_task(play(bus, recording(tmp_path), drain))
    await asyncio.sleep(0.1)
    drain.request()
    async with asyncio.timeout(10):
        await playing


async def test_a_successor_waits_for_the_last_bars_of_the_one_before_it(
    bus: Bus, tmp_path: Path
) -> None:
    executor, path = Executor(bus), recording(tmp_path)
    async with executor.running():
        drain = Drain()
        playing = asyncio.create_task(play(bus, path, drain))
        async with asyncio.timeout(60):
            while len(executor.seen) < 20:
                await asyncio.sleep(0.001)
        executor.stuck.clear()
        drain.request()
        await playing
        seen: list[Any] = list(executor.seen)
        playing = asyncio.create_task(play(bus, path))
        await asyncio.sleep(0.2)
        assert len({at for _, at, _ in executor.seen}) - len({at for _, at, _ in seen}) <= 1
        executor.stuck.set()
        await playing
    check_order(executor.seen)
    bars = [row for row in executor.seen if row[0] == "bar"]
    signals = [row for row in executor.seen if row[0] == "signal"]
    assert len(bars) == len(set(bars)) == STEPS * 3
    assert len(signals) == len(set(signals))
