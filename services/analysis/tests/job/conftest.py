"""Stores with made-up stocks, and a topic of tasks of the test's own."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import TaskCompleted
from streamdesk.contracts.topics import TASKS
from streamdesk.market.series import BarSeries
from streamdesk.market.store import BarStore

NOW = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
DAY_MS = 86_400_000
LAST_MS = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1000)

SeriesOf = Callable[..., BarSeries]
StoreOf = Callable[..., BarStore]
EventsOf = Callable[[Bus], Awaitable[list[Message[Event]]]]


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def series_of() -> SeriesOf:
    """A stock's random walk of daily bars."""

    def make(symbol: str, bars: int = 80, seconds: int = 86_400) -> BarSeries:
        dice = np.random.default_rng(sum(symbol.encode()) * 1_000 + bars)
        close = 100 * np.exp(np.cumsum(dice.normal(0, 0.02, bars)))
        opens = np.concatenate(([100.0], close[:-1]))
        reach = np.exp(np.abs(dice.normal(0, 0.01, (2, bars))))
        return BarSeries(
            symbol,
            seconds,
            LAST_MS - np.arange(bars - 1, -1, -1) * (seconds * 1_000),
            opens,
            np.maximum(opens, close) * reach[0],
            np.minimum(opens, close) / reach[1],
            close,
            np.full(bars, 1_000.0),
        )

    return make


@pytest.fixture
def store_of(tmp_path: Path, series_of: SeriesOf) -> StoreOf:
    """A store with so many stocks, and others besides."""

    def make(stocks: int, *others: BarSeries, bars: int = 80) -> BarStore:
        store = BarStore(tmp_path / "store")
        made = [series_of(f"S{number:04}.US", bars) for number in range(stocks)]
        store.write_series([*made, *others])
        return store

    return make


@pytest.fixture
def tasks() -> Topic[Event]:
    return TASKS.configured(key=f"{secrets.token_hex(4)}:tasks")


@pytest.fixture
async def bus(valkey_url: str) -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        yield bus


@pytest.fixture
def events(bus: Bus, tasks: Topic[Event]) -> TaskEvents:
    return TaskEvents(bus, tasks)


@pytest.fixture
def on_the_stream(tasks: Topic[Event]) -> EventsOf:
    """All that is on the topic now."""

    async def read(bus: Bus) -> list[Message[Event]]:
        found = []
        end = TaskCompleted(
            task_id="end-of-test", timestamp=NOW, name="end", succeeded=True, duration_seconds=0
        )
        last = await bus.publish(tasks, end)
        async for message in bus.tail(tasks, since="0"):
            if message.entry_id == last:
                break
            if getattr(message.event, "task_id", "") != "end-of-test":
                found.append(message)
        return found

    return read
