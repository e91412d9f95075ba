"""The daily job by its schedule: one run a slot, and an interrupted run is resumed."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamdesk.analysis.adapters.process_pool.pool import ProcessPool
from streamdesk.analysis.adapters.run_folder.run_folder import ResultsFolder
from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.analysis.application.daily_job.job_schedule import NAME, job_schedule
from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob
from streamdesk.analysis.application.schedule.firing import SchedulePace
from streamdesk.analysis.application.schedule.slot_runner import SlotRunner
from streamdesk.analysis.domain.slots import SlotState
from streamdesk.analysis.entrypoints.schedule import run_schedule
from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import TASKS
from streamdesk.market.store import BarStore
from streamdesk.runtime import Drain
from tests import job_replica
from tests.servers import StreamServer

StoreOf = Callable[..., BarStore]
FRIDAY = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
MONDAY = FRIDAY + timedelta(days=3)
LINE = "30 22 * * 1-5"
STOCKS = 160
STATE_KEY = "analysis:scheduler:indicators:state"
GUARD_SECONDS = 180  # only ends a wait that would never end


@pytest.fixture
def server(start_server: Callable[..., StreamServer]) -> StreamServer:
    return start_server()


class Night:
    """A clock, processes that go by it, and what is left of their runs."""

    def __init__(self, server: StreamServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.set_clock(MONDAY - timedelta(hours=1))

    def set_clock(self, now: datetime) -> None:
        new = self._folder / "clock-new"
        new.write_text(str(now.timestamp()))
        new.rename(self._folder / "clock")

    def start(self) -> None:
        program = [sys.executable, job_replica.__file__, self._server.url, str(self._folder)]
        process = subprocess.Popen(program)
        self.processes[process.pid] = process

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
            process.wait(GUARD_SECONDS)

    def state(self) -> SlotState | None:
        text = self._server.ask("GET", STATE_KEY)
        return None if text is None else SlotState.model_validate_json(text)

    def attempts(self, run_id: str) -> list[int]:
        path = self._folder / "attempts"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == run_id]

    def kill_in(self, run_id: str) -> int:
        """Kill the process that is at this run as soon as its plan is made."""
        pattern = f"store/indicators/day=*/run={run_id}/_run/plan.json"
        wait_for(lambda: any(self._folder.glob(pattern)), "the plan")
        pid = self.attempts(run_id)[0]
        killed = self.processes.pop(pid)
        killed.kill()
        killed.wait(GUARD_SECONDS)
        return pid

    def has_ended(self, slot: datetime) -> bool:
        state = self.state()
        last = state.last if state is not None else None
        return last is not None and last.slot == slot and last.ended_at is not None

    def published(self, run_id: str) -> Counter[str]:
        """Events of the run by type and, of stocks, by name."""
        entries = [
            dict(zip(flat[::2], flat[1::2], strict=True))
            for _, flat in self._server.ask("XRANGE", TASKS.key, "-", "+")
        ]
        return Counter(
            f"{entry['t']} {entry['b'] if 'Stock' in entry['t'] else ''}"
            for entry in entries
            if entry["k"] == run_id
        )


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GUARD_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)


@pytest.fixture
def night(server: StreamServer, tmp_path: Path) -> Iterator[Night]:
    with ExitStack() as stack:
        night = Night(server, tmp_path)
        stack.callback(night.stop)
        yield night


def test_of_a_replica_killed_in_the_job_another_resumes_the_run_and_ends_it_once(
    store_of: StoreOf, night: Night
) -> None:
    store_of(STOCKS)
    night.start()
    night.start()
    wait_for(lambda: night.state() is not None, "the first look")
    for day in range(4):  # a kill that comes when all is done shows nothing: again the next day
        slot = MONDAY + timedelta(days=day)
        run_id = f"daily-{slot:%Y-%m-%d}-at-2230"
        night.set_clock(slot)
        killed = night.kill_in(run_id)
        wait_for(lambda: night.has_ended(slot), "the end of the run")  # noqa: B023 - awaited at once
        published = night.published(run_id)
        assert len([name for name in published if "Stock" in name]) == STOCKS
        assert [
            name for name in published if published[name] > 1 and "Progressed" not in name
        ] == []
        attempts = night.attempts(run_id)
        if len(attempts) > 1:
            assert set(attempts[1:]) != {killed}
            return
        night.start()
    pytest.fail("no kill hit a job in the middle of its work")


async def has_ended(runner: SlotRunner, slot: datetime) -> str | None:
    state = (await runner.snapshot()).state
    last = state.last if state is not None else None
    ended = last is not None and last.slot == slot and last.ended_at is not None
    return last.outcome if last is not None and ended else None


class Runner:
    """The schedule in this process."""

    def __init__(self, bus: Bus, store: BarStore, events: Bus | None = None) -> None:
        self.now = FRIDAY - timedelta(hours=1)
        job = IndicatorsJob(
            store,
            TaskEvents(events or bus, TASKS),
            ResultsFolder(store.folder / "indicators"),
            ProcessPool(1),
            clock=lambda: self.now,
        )
        self.job = job
        self._runner = job_schedule(
            ScheduleRecord(NAME, bus.keys, auto_start=True),
            job,
            LINE,
            clock=lambda: self.now,
            pace=SchedulePace(beat_seconds=0.05),
            again_seconds=0.2,
        )
        self._drain = Drain()
        self._running = asyncio.create_task(run_schedule(self._runner, self._drain))

    async def looked(self) -> None:
        async with asyncio.timeout(GUARD_SECONDS):
            while (await self._runner.snapshot()).state is None:
                await asyncio.sleep(0.01)

    async def slot(self, slot: datetime) -> str:
        """The outcome of a slot, once it has ended."""
        self.now = slot
        async with asyncio.timeout(GUARD_SECONDS):
            while (outcome := await has_ended(self._runner, slot)) is None:
                await asyncio.sleep(0.01)
        return outcome

    async def close(self) -> None:
        self._drain.request()
        await self._running


async def test_a_slot_is_a_run_named_after_it_and_weekends_have_none(
    server: StreamServer, store_of: StoreOf
) -> None:
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        runner = Runner(bus, store_of(12))
        try:
            await runner.looked()
            outcome = await runner.slot(FRIDAY)
            runner.now = FRIDAY + timedelta(days=2, minutes=1)
            await asyncio.sleep(0.3)  # a few looks
            await runner.slot(MONDAY)
            runs = runner.job.runs()
        finally:
            await runner.close()
    assert outcome.startswith("daily-2026-11-20-at-2230: 12 stocks, 0 failed")
    assert {(run.run_id, run.state) for run in runs} == {
        ("daily-2026-11-20-at-2230", "completed"),
        ("daily-2026-11-23-at-2230", "completed"),
    }


async def test_what_the_bus_did_not_accept_is_published_when_it_is_back(
    server: StreamServer, start_server: Callable[..., StreamServer], store_of: StoreOf
) -> None:
    down = start_server()
    impatient = BusConfig(url=down.url, socket_timeout_seconds=1, publish_timeout_seconds=2)
    async with Bus.connect(BusConfig(url=server.url)) as bus, Bus.connect(impatient) as events:
        runner = Runner(bus, store_of(12), events)
        try:
            await runner.looked()
            await asyncio.to_thread(down.stop)
            runner.now = FRIDAY
            async with asyncio.timeout(GUARD_SECONDS):
                while [run.state for run in runner.job.runs()] != ["unpublished"]:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(down.start)
            await runner.slot(FRIDAY)
        finally:
            await runner.close()
    entries = down.ask("XRANGE", TASKS.key, "-", "+")
    types = [dict(zip(flat[::2], flat[1::2], strict=True))["t"] for _, flat in entries]
    assert types.count("StockIndicatorsCompleted") == 12
    assert types.count("TaskCompleted") == 1


async def test_without_bars_the_slot_says_what_to_do(server: StreamServer, tmp_path: Path) -> None:
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        runner = Runner(bus, BarStore(tmp_path / "empty"))
        try:
            await runner.looked()
            outcome = await runner.slot(FRIDAY)
        finally:
            await runner.close()
    assert outcome.startswith("failed: the bar store")
    assert "let the feed fill it" in outcome
