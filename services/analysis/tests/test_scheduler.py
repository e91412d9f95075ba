"""The refresh by schedule: what a slot does, what is reported, and on request."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.application.analyses.outcomes import RefreshReport
from streamdesk.analysis.application.refresh import Scheduler
from streamdesk.analysis.application.schedule.firing import SchedulePace
from streamdesk.analysis.entrypoints.schedule import run_schedule
from streamdesk.analysis.errors import BusyScheduleError
from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import TaskCompleted, TaskProgressed
from streamdesk.runtime import Drain
from tests.servers import StreamServer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
GUARD_SECONDS = 120  # only ends a wait that would never end


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


class Room:
    """A scheduler on a bus, what it refreshed, and what it reported."""

    def __init__(self, bus: Bus) -> None:
        self.now = minutes(1)
        self.symbols = ["AAPL.US", "700.HK", "BTCUSDT"]
        self.report = RefreshReport(3, 1)
        self.refreshed: list[list[str]] = []
        self.reported: list[TaskProgressed | TaskCompleted] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.scheduler = Scheduler(
            ScheduleRecord(f"hama-{secrets.token_hex(4)}", bus.keys, auto_start=True),
            self.refresh,
            self.wanted,
            self.note,
            interval_seconds=300,
            clock=lambda: self.now,
            pace=SchedulePace(beat_seconds=0.05),
        )
        self._drain = Drain()
        self._running = asyncio.create_task(run_schedule(self.scheduler.runner, self._drain))

    async def wanted(self) -> Sequence[str]:
        return self.symbols

    def note(self, event: object) -> None:
        assert isinstance(event, (TaskProgressed, TaskCompleted))
        self.reported.append(event)

    async def refresh(self, symbols: Sequence[str]) -> RefreshReport:
        self.refreshed.append(list(symbols))
        await self.gate.wait()
        return self.report

    async def slot(self, number: float) -> None:
        """Wait until the work of this slot is over."""
        self.now = minutes(number + 0.1)
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                status = await self.scheduler.status()
                if status.last_slot == minutes(number) and status.last_ended_at is not None:
                    return
                await asyncio.sleep(0.01)

    async def looked(self) -> None:
        """Wait until the schedule knows where it begins."""
        async with asyncio.timeout(GUARD_SECONDS):
            while (await self.scheduler.runner.snapshot()).state is None:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.gate.set()
        self._drain.request()
        await self._running


@asynccontextmanager
async def open_room(url: str) -> AsyncIterator[Room]:
    async with Bus.connect(BusConfig(url=url, socket_timeout_seconds=1)) as bus:
        room = Room(bus)
        try:
            await room.looked()
            yield room
        finally:
            await room.close()


@pytest.fixture
async def room(valkey_url: str) -> AsyncIterator[Room]:
    async with open_room(valkey_url) as room:
        yield room


async def test_a_slot_refreshes_the_symbols_and_is_reported_as_a_task(room: Room) -> None:
    await room.slot(5)
    assert room.refreshed == [["AAPL.US", "700.HK", "BTCUSDT"]]
    begun, done, over = room.reported
    assert isinstance(begun, TaskProgressed)
    assert isinstance(done, TaskProgressed)
    assert isinstance(over, TaskCompleted)
    assert [(begun.done, begun.total), (done.done, done.total)] == [(0, 3), (3, 3)]
    assert {begun.task_id, done.task_id, over.task_id} == {"hama-refresh-20261120T120500Z"}
    assert (over.succeeded, over.message) == (True, "3 refreshed, 1 changed")


async def test_symbols_that_fail_are_counted_and_the_first_is_named(room: Room) -> None:
    room.report = RefreshReport(2, 0, {"700.HK": "no bars"})
    await room.slot(5)
    words = "2 refreshed, 0 changed, 1 failed, as 700.HK: no bars"
    assert (await room.scheduler.status()).last_outcome == words
    over = room.reported[-1]
    assert isinstance(over, TaskCompleted)
    assert (over.succeeded, over.message) == (False, words)


async def test_with_nothing_to_refresh_nothing_is_reported(room: Room) -> None:
    room.symbols = []
    await room.slot(5)
    assert room.reported == []
    assert (await room.scheduler.status()).last_outcome == "nothing to refresh"


async def test_the_status_shows_what_was_and_what_comes(room: Room) -> None:
    await room.slot(5)
    room.now = minutes(6)
    status = await room.scheduler.status()
    assert (status.running, status.leader, status.available) == (True, True, True)
    assert (status.symbols_count, status.interval_minutes) == (3, 5)
    assert (status.last_slot, status.next_slot) == (minutes(5), minutes(10))
    assert (status.last_outcome, status.missed_slots) == ("3 refreshed, 1 changed", 0)


async def test_stopped_it_has_no_next_slot_but_a_preview(room: Room) -> None:
    await room.scheduler.stop()
    status = await room.scheduler.status()
    assert (status.running, status.next_slot) == (False, None)
    assert await room.scheduler.preview(2) == [minutes(5), minutes(10)]
    await room.scheduler.start()
    assert (await room.scheduler.status()).next_slot == minutes(5)


async def test_a_preview_is_bounded(room: Room) -> None:
    assert len(await room.scheduler.preview(10**9)) == 100
    assert await room.scheduler.preview(0) == []


async def test_on_request_it_refreshes_at_once_whether_it_runs_or_not(room: Room) -> None:
    await room.scheduler.stop()
    report = await room.scheduler.fire_now()
    assert (report.refreshed, len(room.refreshed)) == (3, 1)
    await room.scheduler.fire_now()
    ids = {event.task_id for event in room.reported if isinstance(event, TaskCompleted)}
    assert all(task_id.startswith("hama-refresh-by-hand-") for task_id in ids)


async def test_on_request_one_refresh_runs(room: Room) -> None:
    room.gate.clear()
    first = asyncio.create_task(room.scheduler.fire_now())
    async with asyncio.timeout(GUARD_SECONDS):
        while not room.refreshed:
            await asyncio.sleep(0.01)
    with pytest.raises(BusyScheduleError, match="wait for its answer"):
        await room.scheduler.fire_now()
    room.gate.set()
    assert (await first).refreshed == 3


async def test_without_a_server_the_status_is_the_last_known_and_a_request_refreshes(
    start_server: Callable[..., StreamServer],
) -> None:
    server = start_server()
    async with open_room(server.url) as room:
        await room.slot(5)
        await asyncio.to_thread(server.stop)
        status = await room.scheduler.status()
        assert (status.available, status.running) == (False, True)
        assert status.last_slot == minutes(5)
        assert (await room.scheduler.fire_now()).refreshed == 3
