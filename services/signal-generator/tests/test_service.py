"""The service on a bus, inside the process: memory, and a real server with outages."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import BarClosed, Side, SignalGenerated
from streamdesk.contracts.topics import (
    MARKET_BARS,
    STRATEGY_UPDATES,
    SYSTEM_EVENTS,
    TASKS,
    TRADING_SIGNALS,
)
from streamdesk.runtime import Drain, Service
from streamdesk.runtime.probes import Health
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch
from streamdesk.signal_generator.adapters.position import FeedPosition
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.application.scan_bars import REFUSALS_LOGGED
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.domain.cursor import FeedCursor
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.signal_generator.entrypoints.feed import FeedRunner
from streamdesk.signal_generator.factory import build, feed_scan, topics, utc_now
from streamdesk.strategy.scanner import Scanner

BarOf = Callable[..., BarClosed]
CsvOf = Callable[..., Path]


class Running:
    """The service's tasks, until the end of the block."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.settings = Settings(redis_url=SecretStr(url), **settings)
        self.drain = Drain()
        self.health = Health(self.drain)
        self.tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        service = Service("signal-generator", self.settings, self.health)
        tasks = await self._stack.enter_async_context(build(self.settings, service))
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self.tasks = [group.create_task(task.run(self.drain)) for task in tasks]  # type: ignore[arg-type]
        self.health.started = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drain.request()
        await self._stack.aclose()


@dataclass
class GivenFeed:
    """A feed that delivers the given batches, good or bad."""

    batches: Sequence[FeedBatch]
    name: str = "given"
    symbols: tuple[str, ...] = ("AAPL.US",)
    run: str = "given"
    total_bars: int | None = None

    async def resume(self, _cursor: FeedCursor, _drain: Drain) -> AsyncIterator[FeedBatch]:
        return
        yield

    async def history(self, _drain: Drain) -> AsyncIterator[FeedBatch]:
        return
        yield

    async def live(self, _drain: Drain) -> AsyncIterator[FeedBatch]:
        for batch in self.batches:
            yield batch


async def everything(bus: Bus, topic: Topic[Any]) -> list[Any]:
    """Every event that is on the topic now."""
    length = (await bus.lag(topic))[0].length
    stop = asyncio.Event()
    entries: set[tuple[int | None, str]] = set()
    events = []
    if not length:
        return []
    async for message in bus.tail(topic, since="0", stop=stop):
        events.append(message.event)
        entries.add((message.priority, message.entry_id))
        if len(entries) == length:
            stop.set()  # the rest of this entry still comes
    return events


async def until(
    bus: Bus, topic: Topic[Any], enough: Callable[[list[Any]], bool], since: str = "0"
) -> list[Any]:
    """The topic's events up to the one that is enough."""
    seen: list[Any] = []
    async for message in bus.tail(topic, since=since):
        seen.append(message.event)
        if enough(seen):
            break
    return seen


def swinging_csv(csv_of: CsvOf, count: int = 400) -> Path:
    """A recording of two instruments with some hundred signals in it."""
    rows = []
    for number in range(count):
        for symbol, size in (("AAPL.US", 8), ("700.HK", 5)):
            price = 100 + size * math.sin(number / 4)
            time = datetime.fromtimestamp(1_780_000_000 + 60 * number, UTC).isoformat()
            volume = 1000 + 900 * math.cos(number)
            rows.append((symbol, time, price, price + 0.5, price - 0.5, price, volume))
    return csv_of(*rows, name="bars.csv", header="symbol,date,open,high,low,close,volume")


def replay(path: Path, **more: Any) -> dict[str, Any]:
    alone = {"feed_in_step": False, "feed_exit_at_end": True}
    return {"feed": "recorded", "feed_file": path, **alone, **more}


async def played(url: str, path: Path, **more: Any) -> None:
    async with Running(url, **replay(path, **more)) as running:
        await asyncio.gather(*running.tasks)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_the_simulated_market_becomes_bars_and_signals(memory_url: str) -> None:
    async with (
        Bus.connect(BusConfig(url=memory_url)) as bus,
        Running(memory_url, feed_bars_per_second=0) as running,
    ):
        signals = await until(bus, TRADING_SIGNALS, lambda seen: len({s.type for s in seen}) == 4)
        assert running.health.readiness()[0]
        running.drain.request()
        await asyncio.gather(*running.tasks)
        bars = {(bar.symbol, bar.timestamp): bar for bar in await everything(bus, MARKET_BARS)}
        for signal in signals:
            assert bars[signal.symbol, signal.timestamp].close == signal.price
            assert round(sum(r.contribution for r in signal.reasons), 2) == signal.score >= 30
            assert signal.priority == signal.score // 10 * 10


async def test_the_service_reports_what_it_does(memory_url: str) -> None:
    async with (
        Bus.connect(BusConfig(url=memory_url)) as bus,
        Running(memory_url, symbols=("AAPL.US", "700.HK"), score_min=31) as running,
    ):
        tasks = await until(bus, TASKS, lambda seen: seen[-1].type_name() == "TaskCompleted")
        running.drain.request()
        await asyncio.gather(*running.tasks)
        [strategy] = await everything(bus, STRATEGY_UPDATES)
        system = await everything(bus, SYSTEM_EVENTS)
    assert strategy.parameters["score_minimum"] == 31
    assert [event.kind for event in system] == ["started", "stopped"]
    assert len({task.task_id for task in tasks}) == 1
    assert tasks[-1].succeeded
    progress = [(t.done, t.total) for t in tasks if t.type_name() == "TaskProgressed"]
    assert progress == [(0, 2), (1, 2), (2, 2)]
    computed = [t.symbol for t in tasks if t.type_name() == "StockIndicatorsCompleted"]
    assert computed == ["AAPL.US", "700.HK"]


async def test_the_same_recording_gives_the_same_signals(memory_url: str, csv_of: CsvOf) -> None:
    path = swinging_csv(csv_of)
    runs = []
    for number in range(2):
        url = f"{memory_url}-{number}"
        await played(url, path)
        async with Bus.connect(BusConfig(url=url)) as bus:
            signals = await everything(bus, TRADING_SIGNALS)
            runs.append([signal.model_dump(exclude={"queued_at"}) for signal in signals])
            assert len(await everything(bus, MARKET_BARS)) == 800
    assert runs[0] == runs[1]
    assert len(runs[0]) > 50


async def test_a_replay_reports_its_progress_in_a_few_steps(memory_url: str, csv_of: CsvOf) -> None:
    await played(memory_url, swinging_csv(csv_of))
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        *progress, completed = await everything(bus, TASKS)
    assert len(progress) == 21
    assert (progress[0].done, progress[-1].done, progress[-1].total) == (0, 800, 800)
    assert completed.succeeded
    assert completed.message.startswith("800 bars")


async def test_a_full_queue_drops_the_signal_counts_it_and_continues(
    memory_url: str, csv_of: CsvOf
) -> None:
    before = metric("signals_queue_full_total")
    with capture_logs() as logs:
        await played(
            memory_url,
            swinging_csv(csv_of),
            signal_queue_max_size=5,
            signal_queue_wait="never",
        )
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        waiting = [m.event for m in await bus.waiting(TRADING_SIGNALS, "order-executors", 100)]
        dead = await bus.dead(TRADING_SIGNALS)
        assert len(await everything(bus, MARKET_BARS)) == 800
    sides = Counter(signal.side for signal in waiting)
    assert sides[Side.BUY] <= 5
    assert 5 <= len(waiting) <= 10, "exits have as much room again"
    [ended] = [entry for entry in logs if entry["event"] == "feed ended"]
    assert (ended["bars"], ended["signals"]) == (800, len(waiting) + len(dead))
    assert metric("signals_queue_full_total") - before > 40
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert {entry["event"] for entry in warnings} == {
        "queue full, signals are dropped",
        "queue full, weaker messages become dead letters",
    }


async def test_at_a_full_queue_a_replay_waits_and_no_signal_is_missing(
    memory_url: str, csv_of: CsvOf
) -> None:
    path = swinging_csv(csv_of)
    await played(f"{memory_url}-all", path)
    async with Bus.connect(BusConfig(url=f"{memory_url}-all")) as bus:
        wanted = await everything(bus, TRADING_SIGNALS)
    taken: list[SignalGenerated] = []

    async def take(message: Message[SignalGenerated]) -> None:
        taken.append(message.event)

    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        stop = asyncio.Event()
        consumer = bus.subscribe(TRADING_SIGNALS, "order-executors", take)
        consuming = asyncio.create_task(consumer.run(stop))
        await played(memory_url, path, signal_queue_max_size=2)
        while len(taken) < len(wanted):
            await asyncio.sleep(0.01)
        stop.set()
        await consuming
    # The consumer takes by priority, so the order may differ among those that waited together.
    key = lambda signal: (signal.timestamp, signal.symbol)  # noqa: E731 - used twice
    dump = [s.model_dump(exclude={"queued_at"}) for s in sorted(taken, key=key)]
    assert dump == [s.model_dump(exclude={"queued_at"}) for s in sorted(wanted, key=key)]


async def test_a_replay_that_waits_for_room_can_be_stopped(memory_url: str, csv_of: CsvOf) -> None:
    async with (
        Bus.connect(BusConfig(url=memory_url)) as bus,
        Running(memory_url, **replay(swinging_csv(csv_of), signal_queue_max_size=1)) as running,
    ):
        await until(bus, TRADING_SIGNALS, lambda seen: len(seen) == 1)
        running.drain.request()
        await asyncio.gather(*running.tasks)
        system = await everything(bus, SYSTEM_EVENTS)
    assert system[-1].kind == "stopped"


async def test_after_a_recording_the_service_stays_up_unless_set_to_exit(
    memory_url: str, csv_of: CsvOf
) -> None:
    settings = replay(swinging_csv(csv_of, 40), feed_exit_at_end=False)
    async with (
        Bus.connect(BusConfig(url=memory_url)) as bus,
        Running(memory_url, **settings) as running,
    ):
        await until(bus, TASKS, lambda seen: seen[-1].type_name() == "TaskCompleted")
        assert not any(task.done() for task in running.tasks)
        assert running.health.readiness()[0]


async def test_too_few_bars_are_logged_once_for_each_instrument(
    memory_url: str, csv_of: CsvOf
) -> None:
    with capture_logs() as logs:
        await played(memory_url, swinging_csv(csv_of, 20))
    logged = [entry for entry in logs if entry["event"] == "no signals yet: not enough bars"]
    assert [(entry["symbol"], entry["needed"]) for entry in logged] == [
        ("AAPL.US", 30),
        ("700.HK", 30),
    ]


async def test_bad_rows_of_a_recording_are_logged_with_their_line(
    memory_url: str, csv_of: CsvOf
) -> None:
    path = csv_of(
        ("2026-11-19", 1, 1, 1, 1, 1),
        ("2026-11-20", 1, 1, 1, "nan", 1),
        ("2026-11-21", 1, 1, 1, 1, 1),
    )
    before = metric("bars_refused_total", feed="recorded", reason="not-finite")
    with capture_logs() as logs:
        await played(memory_url, path)
    [refused] = [entry for entry in logs if entry["event"] == "bar refused"]
    assert refused["detail"].startswith("AAPL.US.csv line 3: AAPL.US: close is nan")
    assert metric("bars_refused_total", feed="recorded", reason="not-finite") == before + 1
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        assert len(await everything(bus, MARKET_BARS)) == 2


async def scan(url: str, feed: GivenFeed) -> list[BarClosed]:
    """Scan a feed to its end; the bars that were published."""
    settings = Settings(redis_url=SecretStr(url))
    async with Bus.connect(BusConfig(url=url)) as bus:
        publisher = SignalPublisher(bus, topics(settings), utc_now, wait_for_room=False)
        position = FeedPosition(bus, MARKET_BARS)
        scanning = feed_scan(
            feed, Scanner(), publisher, position, outliers=OutlierFilter(5, 3), exit_at_end=True
        )
        await FeedRunner(scanning, 5).run(Drain())
        return await everything(bus, MARKET_BARS)


async def test_bad_bars_of_a_feed_are_skipped_and_the_scan_continues(
    memory_url: str, bar_of: BarOf
) -> None:
    bars = [
        bar_of(number=1),
        bar_of(number=2, close=math.nan),
        bar_of(number=3, volume=-1.0),
        bar_of(number=1),
        bar_of(number=0),
        bar_of("XYZ.US", number=4),
        bar_of(number=5),
    ]
    with capture_logs() as logs:
        published = await scan(memory_url, GivenFeed([FeedBatch((bar,)) for bar in bars]))
    assert [bar.timestamp for bar in published] == [bars[0].timestamp, bars[-1].timestamp]
    reasons = [entry["reason"] for entry in logs if entry["event"] == "bar refused"]
    assert reasons == [
        "not-finite",
        "negative-volume",
        "duplicate",
        "out-of-order",
        "unknown-symbol",
    ]


async def test_a_flood_of_bad_bars_does_not_flood_the_log(memory_url: str, bar_of: BarOf) -> None:
    flood = FeedBatch(tuple(bar_of(number=n, close=math.nan) for n in range(100)))
    with capture_logs() as logs:
        await scan(memory_url, GivenFeed([flood]))
    events = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert events == ["bar refused"] * REFUSALS_LOGGED + [
        "more bars refused, from here on only counted"
    ]
    [ended] = [entry for entry in logs if entry["event"] == "feed ended"]
    assert ended["refused"] == {"not-finite": 100}


async def test_a_feed_that_breaks_ends_the_task_with_its_error(memory_url: str) -> None:
    class Breaking(GivenFeed):
        async def live(self, _drain: Drain) -> AsyncIterator[FeedBatch]:
            raise ConnectionError("the feed is lost")
            yield

    with pytest.raises(ConnectionError, match="the feed is lost"):
        await scan(memory_url, Breaking([]))


async def test_after_an_outage_of_the_server_the_scan_resumes(
    start_server: Callable[..., Any],
) -> None:
    server = start_server()
    async with (
        Bus.connect(BusConfig(url=server.url)) as bus,
        Running(server.url, symbols=("AAPL.US",), feed_bars_per_second=50) as running,
    ):
        before = await until(bus, MARKET_BARS, lambda seen: len(seen) == 70)
        server.stop()
        while running.health.readiness()[0]:
            await asyncio.sleep(0.01)
        server.start()
        after = await until(
            bus,
            MARKET_BARS,
            lambda seen: seen[-1].timestamp > before[-1].timestamp and len(seen) > 100,
        )
        assert running.health.readiness()[0]
    times = [bar.timestamp for bar in after]
    steps = {(later - earlier).total_seconds() for earlier, later in pairwise(times)}
    assert steps == {1}  # no bar is missing, none occurs twice


async def test_a_stop_without_a_server_does_not_wait_for_it(
    start_server: Callable[..., Any],
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        running = Running(
            server.url, symbols=("AAPL.US",), feed_bars_per_second=50, grace_seconds=0.5
        )
        async with running:
            await until(bus, MARKET_BARS, lambda seen: len(seen) > 60)
            server.stop()
            while running.health.readiness()[0]:
                await asyncio.sleep(0.01)
            running.drain.request()
            with capture_logs() as logs:
                await asyncio.gather(*running.tasks)
    server.start()
    assert [entry["event"] for entry in logs] == [
        "stopped without the bus: what was pending is not published"
    ]
