"""Changed states and reports of tasks, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from streamdesk.analysis.adapters.publisher import MOST_WAITING_REPORTS, AnalysisPublisher
from streamdesk.analysis.application.refresh import REPORTS_OF_A_REFRESH
from streamdesk.analysis.domain.hama import HamaAnalysis
from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import HamaChanged, TaskCompleted, TaskProgressed
from streamdesk.contracts.topics import ANALYSIS_STATES, TASKS
from streamdesk.runtime import Drain
from streamdesk.runtime.task_report import TaskReport
from tests.servers import StreamServer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
StartServer = Callable[..., StreamServer]


def analysis(symbol: str = "BTCUSDT", minute: int = 0, **changes: Any) -> HamaAnalysis:
    values: dict[str, Any] = {
        "symbol": symbol,
        "preset": "nsdt",
        "interval_seconds": 60,
        "as_of": NOON + timedelta(minutes=minute),
        "computed_at": NOON + timedelta(minutes=minute, seconds=3),
        "source": "simulated",
        "bars": 600,
        "close": 91_250.5,
        "state": "bullish",
        "score": 72.5,
        "trend": "up",
        "colour": "green",
        "signal": "cross-up",
        "bollinger": "expansion",
        "indicators": {"line": 91_200.0},
    }
    return HamaAnalysis(**(values | changes))


@asynccontextmanager
async def open_publisher(url: str) -> AsyncIterator[tuple[AnalysisPublisher, Bus]]:
    config = BusConfig(url=url, socket_timeout_seconds=1, publish_timeout_seconds=120)
    async with Bus.connect(config) as bus:
        publisher, drain = AnalysisPublisher(bus, ANALYSIS_STATES, TASKS), Drain()
        running = asyncio.create_task(publisher.run(drain))
        try:
            yield publisher, bus
        finally:
            drain.request()
            await running
            await publisher.close()


async def read(bus: Bus, topic: Any, number: int) -> list[Any]:
    """The first events of a topic, once there are so many."""
    events: list[Any] = []
    async with asyncio.timeout(120):  # only ends a wait that would never end
        async for message in bus.tail(topic, since="0"):
            events.append(message.event)
            if len(events) == number:
                return events
    raise AssertionError


def length(server: StreamServer, key: str) -> int:
    return int(server.ask("XLEN", key))


async def test_a_changed_state_is_an_event_with_the_one_before(start_server: StartServer) -> None:
    server = start_server()
    async with open_publisher(server.url) as (publisher, bus):
        publisher.changed(analysis(state="neutral"), analysis(minute=1))
        (event,) = await read(bus, ANALYSIS_STATES, 1)
    assert isinstance(event, HamaChanged)
    assert (event.symbol, event.timestamp) == ("BTCUSDT", NOON + timedelta(minutes=1))
    assert (event.state, event.previous_state, event.score) == ("bullish", "neutral", 72.5)
    assert (event.signal, event.bollinger, event.close) == ("cross-up", "expansion", 91_250.5)


async def test_two_replicas_that_see_the_same_change_publish_one_event(
    start_server: StartServer,
) -> None:
    server = start_server()
    async with open_publisher(server.url) as (one, bus), open_publisher(server.url) as (two, _):
        for publisher in (one, two, one):
            publisher.changed(None, analysis())
            publisher.changed(None, analysis("AAPL.US"))
        one.changed(analysis(), analysis(minute=1, state="bearish"))
        await read(bus, ANALYSIS_STATES, 3)
    assert length(server, ANALYSIS_STATES.key) == 3


async def test_while_the_server_is_down_the_latest_state_waits_with_what_was_known_before(
    start_server: StartServer,
) -> None:
    server = start_server()
    async with open_publisher(server.url) as (publisher, bus):
        await asyncio.to_thread(server.stop)
        publisher.report(progress(0))  # a publish is in progress from here on
        await asyncio.sleep(0.1)
        publisher.changed(analysis(state="neutral"), analysis(minute=1, state="bullish"))
        publisher.changed(analysis(state="bullish"), analysis(minute=2, state="bearish"))
        await asyncio.to_thread(server.start)
        (event,) = await read(bus, ANALYSIS_STATES, 1)
        assert (event.previous_state, event.state) == ("neutral", "bearish")
    assert length(server, ANALYSIS_STATES.key) == 1


def progress(number: int) -> TaskProgressed:
    return TaskProgressed(
        task_id="t", timestamp=NOON, name="hama-refresh", done=number, total=10**6
    )


async def test_reports_that_wait_are_bounded_and_the_latest_stay(start_server: StartServer) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        publisher = AnalysisPublisher(bus, ANALYSIS_STATES, TASKS)
        for number in range(MOST_WAITING_REPORTS + 7):
            publisher.report(progress(number))
        await publisher.close()
        events = await read(bus, TASKS, MOST_WAITING_REPORTS)
    assert [events[0].done, events[-1].done] == [7, MOST_WAITING_REPORTS + 6]


async def test_a_refresh_that_is_resumed_reports_nothing_twice(start_server: StartServer) -> None:
    server = start_server()
    async with open_publisher(server.url) as (publisher, bus):
        for _ in range(2):
            task = TaskReport("hama-refresh", "t-1", 78, lambda: NOON, resolution=100)
            for event in (task.advance(0), task.advance(78), task.end("78 refreshed, 0 changed")):
                assert event is not None
                publisher.report(event)
        publisher.report(progress(5))
        await read(bus, TASKS, 4)
    assert length(server, TASKS.key) == 4


async def test_a_task_reports_its_progress_by_the_percent() -> None:
    resolution = REPORTS_OF_A_REFRESH
    task = TaskReport("hama-refresh", "t-1", 5_000, lambda: NOON, resolution=resolution)
    reported = [task.advance(0), *(task.advance(1) for _ in range(5_000)), task.end("done")]
    steps = [event.done for event in reported if isinstance(event, TaskProgressed)]
    assert steps == list(range(0, 5_001, 50))
    assert isinstance(reported[-1], TaskCompleted)


async def test_at_the_end_with_no_server_it_does_not_wait_for_one(
    start_server: StartServer,
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        publisher, drain = AnalysisPublisher(bus, ANALYSIS_STATES, TASKS), Drain()
        running = asyncio.create_task(publisher.run(drain))
        await asyncio.to_thread(server.stop)
        publisher.changed(None, analysis())
        await asyncio.sleep(0.1)
        drain.request()
        async with asyncio.timeout(50):  # a publish alone would wait for 60 s
            await running
            await publisher.close()
    await asyncio.to_thread(server.start)
