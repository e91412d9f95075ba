"""Schedules on a real server, several replicas in this process, by a clock that the test sets."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.application.schedule.firing import Fire, SchedulePace
from streamdesk.analysis.application.schedule.slot_runner import MOST_ATTEMPTS, SlotRunner
from streamdesk.analysis.domain.slots import Every, Misfire
from streamdesk.analysis.entrypoints.schedule import run_schedule
from streamdesk.analysis.errors import UnreadableScheduleError
from streamdesk.bus import Bus, BusConfig, BusUnavailableError, Lease
from streamdesk.runtime import Drain
from tests.servers import StreamServer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PACE = SchedulePace(beat_seconds=0.05)
LEASE_SECONDS = 10
GUARD_SECONDS = 120  # only ends a wait that would never end

MakeDesk = Callable[..., "Desk"]


def new_name() -> str:
    """Of a schedule of the test's own, on a server that others use."""
    return f"test-{secrets.token_hex(4)}"


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


class Desk:
    """Replicas of one schedule, each with a bus of its own, and the fires of all of them."""

    def __init__(
        self, url: str, misfire: Misfire = Misfire.ONCE, *, auto_start: bool = True
    ) -> None:
        self.url, self.misfire, self.auto_start = url, misfire, auto_start
        self.name = new_name()
        self.now = minutes(1)
        self.fires: list[Fire] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False
        self.runners: list[SlotRunner] = []
        self._stack = AsyncExitStack()
        self._running: list[tuple[Drain, asyncio.Task[None]]] = []

    async def work(self, fire: Fire) -> str:
        self.fires.append(fire)
        await self.gate.wait()
        if self.fails:
            raise RuntimeError("no luck")
        return f"did {len(self.fires)}"

    async def start(self, replicas: int = 1) -> SlotRunner:
        """So many more; returns the last one."""
        for _ in range(replicas):
            config = BusConfig(url=self.url, socket_timeout_seconds=1)
            bus = await self._stack.enter_async_context(Bus.connect(config))
            record = ScheduleRecord(
                self.name, bus.keys, auto_start=self.auto_start, lease_seconds=LEASE_SECONDS
            )
            runner = SlotRunner(
                record,
                Every(300),
                self.work,
                misfire=self.misfire,
                clock=lambda: self.now,
                pace=PACE,
            )
            drain = Drain()
            self._running.append((drain, asyncio.create_task(run_schedule(runner, drain))))
            self.runners.append(runner)
        await until_looked(self.runners[-1])
        return self.runners[-1]

    async def stop(self) -> None:
        """All of them, in order."""
        for drain, _ in self._running:
            drain.request()
        for _, task in self._running:
            await task
        self._running.clear()

    async def close(self) -> None:
        self.gate.set()
        await self.stop()
        await self._stack.aclose()

    def slots(self) -> list[float]:
        """Fired slots in minutes after noon, first attempts only."""
        firsts = [fire for fire in self.fires if fire.attempt == 1]
        return [(fire.slot - NOON) / timedelta(minutes=1) for fire in firsts]

    async def ended(self, number: float) -> None:
        """Wait until the work of this slot is noted as ended."""

        async def over() -> bool:
            state = (await self.runners[-1].snapshot()).state
            last = state.last if state is not None else None
            return last is not None and last.slot == minutes(number) and last.ended_at is not None

        async with asyncio.timeout(GUARD_SECONDS):
            while not await over():
                await asyncio.sleep(0.01)

    async def pass_by(self, number: float) -> None:
        """Move the clock to a tenth of a minute after this slot and wait until it is done."""
        self.now = minutes(number + 0.1)
        await self.ended(number)


async def until_looked(runner: SlotRunner) -> None:
    """Wait until a replica has written the schedule's state."""
    async with asyncio.timeout(GUARD_SECONDS):
        while (await runner.snapshot()).state is None:
            await asyncio.sleep(0.01)


@pytest.fixture
async def make_desk(valkey_url: str) -> AsyncIterator[MakeDesk]:
    desks: list[Desk] = []

    def make(url: str = valkey_url, misfire: Misfire = Misfire.ONCE, **more: bool) -> Desk:
        desks.append(Desk(url, misfire, **more))
        return desks[-1]

    yield make
    for desk in desks:
        await desk.close()


@pytest.fixture
def server(start_server: Callable[..., StreamServer]) -> StreamServer:
    """One of the test's own, to be stopped."""
    return start_server()


@pytest.mark.parametrize("where", ["server", "memory"])
async def test_three_replicas_fire_each_slot_once(make_desk: MakeDesk, where: str) -> None:
    desk = make_desk("memory://three") if where == "memory" else make_desk()
    await desk.start(3)
    for number in range(5, 55, 5):
        await desk.pass_by(number)
    assert desk.slots() == list(range(5, 55, 5))


async def test_the_first_slot_is_the_first_after_the_first_start(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.now = minutes(7)
    await desk.start(2)
    await desk.pass_by(10)
    assert desk.slots() == [10]


@pytest.mark.parametrize(
    ("misfire", "fired"),
    [(Misfire.SKIP, [5, 25]), (Misfire.ONCE, [5, 20, 25]), (Misfire.ALL, [5, 10, 15, 20, 25])],
)
async def test_a_clock_that_jumps_forwards_leaves_it_to_the_policy(
    make_desk: MakeDesk, misfire: Misfire, fired: list[int]
) -> None:
    desk = make_desk(misfire=misfire)
    runner = await desk.start(2)
    await desk.pass_by(5)
    desk.now = minutes(22)
    if misfire is Misfire.SKIP:
        async with asyncio.timeout(GUARD_SECONDS):
            while (state := (await runner.snapshot()).state) is None or state.missed < 3:
                await asyncio.sleep(0.01)
    else:
        await desk.ended(20)
    await desk.pass_by(25)
    assert desk.slots() == fired


async def test_a_clock_that_is_set_back_fires_nothing_twice_and_continues(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    await desk.start(2)
    await desk.pass_by(5)
    await desk.pass_by(60)
    for number in (10, 15, 50, 55):
        await desk.pass_by(number)
    desk.now = minutes(60.5)
    await desk.pass_by(65)
    assert desk.slots() == [5, 60, 10, 15, 50, 55, 65]


async def test_a_clock_set_back_before_the_first_start_continues_from_there(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    runner = await desk.start(2)
    desk.now = minutes(-59)

    async with asyncio.timeout(GUARD_SECONDS):
        while (state := (await runner.snapshot()).state) is None or state.seen > desk.now:
            await asyncio.sleep(0.01)
    await desk.pass_by(-55)
    assert desk.slots() == [-55]


@pytest.mark.parametrize(
    ("misfire", "fired"), [(Misfire.ONCE, [5, 15, 20]), (Misfire.ALL, [5, 10, 15, 20])]
)
async def test_nothing_is_fired_without_the_server_and_missed_slots_are_left_to_the_policy(
    make_desk: MakeDesk, server: StreamServer, misfire: Misfire, fired: list[int]
) -> None:
    desk = make_desk(server.url, misfire)
    runner = await desk.start(2)
    await desk.pass_by(5)
    await asyncio.to_thread(server.stop)
    desk.now = minutes(17)
    await asyncio.sleep(0.5)  # a few looks; more would be no different
    snapshot = await runner.snapshot()
    assert (snapshot.known, desk.slots()) == (False, [5])
    await asyncio.to_thread(server.start)
    await desk.ended(15)
    await desk.pass_by(20)
    assert desk.slots() == fired


async def test_an_action_continues_while_the_server_is_down_and_its_end_is_written_later(
    make_desk: MakeDesk, server: StreamServer
) -> None:
    desk = make_desk(server.url)
    await desk.start()
    desk.gate.clear()
    desk.now = minutes(5.1)
    await until(lambda: bool(desk.fires))
    await asyncio.to_thread(server.stop)
    desk.gate.set()
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.start)
    await desk.ended(5)
    assert [(fire.slot, fire.attempt) for fire in desk.fires] == [(minutes(5), 1)]


async def test_stop_on_one_replica_stops_all_and_start_on_another_starts_all(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    await desk.start(3)
    await desk.pass_by(5)
    await desk.runners[1].switch(running=False)
    assert [(await runner.snapshot()).running for runner in desk.runners] == [False] * 3
    desk.now = minutes(31)
    await asyncio.sleep(0.5)  # a few looks
    await desk.runners[2].switch(running=True)
    await desk.runners[2].switch(running=True)  # again: no change
    await desk.pass_by(35)
    assert desk.slots() == [5, 35], "what passed while it was stopped is let go"


async def test_stopped_and_the_last_slot_are_remembered_over_a_restart(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    await desk.start(2)
    await desk.pass_by(5)
    await desk.runners[0].switch(running=False)
    await desk.stop()
    again = await desk.start(2)
    snapshot = await again.snapshot()
    assert snapshot.state is not None
    assert snapshot.state.last is not None
    last = snapshot.state.last
    assert (snapshot.running, last.slot, last.outcome) == (False, minutes(5), "did 1")


async def test_without_auto_start_it_waits_to_be_started(make_desk: MakeDesk) -> None:
    desk = make_desk(auto_start=False)
    runner = await desk.start(2)
    desk.now = minutes(6)
    await asyncio.sleep(0.3)  # a few looks
    assert not (await runner.snapshot()).running
    await runner.switch(running=True)
    await desk.pass_by(10)
    assert desk.slots() == [10]


async def test_a_fire_whose_answer_was_lost_is_done_once(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk()
    await desk.start(2)
    put, lost = Lease.put, list[str]()

    async def put_and_lose(
        lease: Lease, name: str, value: bytes, *, expected: bytes | None
    ) -> bool:
        written = await put(lease, name, value, expected=expected)
        if written and not lost:
            lost.append(name)
            raise BusUnavailableError("the answer was lost")
        return written

    monkeypatch.setattr(Lease, "put", put_and_lose)
    await desk.pass_by(5)
    await desk.pass_by(10)
    assert len(lost) == 1
    assert [(fire.slot, fire.attempt) for fire in desk.fires] == [
        (minutes(5), 1),
        (minutes(10), 1),
    ]


async def test_slots_that_pass_while_work_lasts_are_missed_not_piled_up(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    await desk.start()
    desk.gate.clear()
    desk.now = minutes(5.1)
    await until(lambda: bool(desk.fires))
    desk.now = minutes(21)
    await asyncio.sleep(0.2)  # a few looks
    desk.gate.set()
    await desk.ended(20)
    assert desk.slots() == [5, 20]


async def test_work_that_fails_is_over_and_says_why(make_desk: MakeDesk) -> None:
    desk = make_desk()
    runner = await desk.start()
    desk.fails = True
    await desk.pass_by(5)
    state = (await runner.snapshot()).state
    assert state is not None
    assert state.last is not None
    assert state.last.outcome == "failed: RuntimeError('no luck')"
    desk.fails = False
    await desk.pass_by(10)
    assert desk.slots() == [5, 10]


async def test_a_slot_that_every_process_dies_of_is_given_up(make_desk: MakeDesk) -> None:
    desk = make_desk()
    await desk.start()
    desk.gate.clear()
    desk.now = minutes(5.1)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        await until(lambda: len(desk.fires) == attempt)  # noqa: B023 - awaited at once
        await abandon(desk)
        await desk.start()
    await desk.ended(5)
    state = (await desk.runners[-1].snapshot()).state
    assert state is not None
    assert state.last is not None
    assert state.last.outcome.startswith("given up: 5 processes")
    assert [fire.attempt for fire in desk.fires] == list(range(1, MOST_ATTEMPTS + 1))


async def abandon(desk: Desk) -> None:
    """End the replicas as a kill would, but for the lease, which they release."""
    for _, task in desk._running:
        task.cancel()
    for runner in desk.runners:
        if runner._action_task is not None:
            runner._action_task.cancel()
    await asyncio.gather(*(task for _, task in desk._running), return_exceptions=True)
    desk._running.clear()


async def test_metrics_count_a_fire_once_whichever_replica_does_it_and_what_was_missed(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    await desk.start(3)
    await desk.pass_by(5)
    await desk.pass_by(20)

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"name": desk.name, **labels})

    assert value("scheduler_fires_total", outcome="fired") == 2
    assert value("scheduler_missed_slots_total") == 2
    await desk.stop()
    assert value("scheduler_leader") == 0


async def test_a_state_that_cannot_be_read_fires_nothing_and_says_what_to_do(
    make_desk: MakeDesk, valkey_url: str
) -> None:
    desk = make_desk()
    runner = await desk.start()
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        await bus.keys.put({f"analysis:scheduler:{desk.name}:state": b"nonsense"})
    desk.now = minutes(6)
    await asyncio.sleep(0.3)  # a few looks
    with pytest.raises(UnreadableScheduleError, match="or delete both"):
        await runner.switch(running=False)
    assert not (await runner.snapshot()).known
    assert desk.slots() == []


async def test_a_switch_without_a_server_says_so(make_desk: MakeDesk, server: StreamServer) -> None:
    desk = make_desk(server.url)
    runner = await desk.start()
    await asyncio.to_thread(server.stop)
    with pytest.raises(BusUnavailableError):
        await runner.switch(running=False)


async def test_a_slot_is_looked_at_when_it_begins_not_at_the_next_beat(valkey_url: str) -> None:
    fires: list[Fire] = []

    async def work(fire: Fire) -> str:
        fires.append(fire)
        return ""

    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        runner = SlotRunner(
            ScheduleRecord(new_name(), bus.keys, auto_start=True, lease_seconds=3600),
            Every(1),
            work,
            misfire=Misfire.ONCE,
            clock=lambda: datetime.now(UTC),
            pace=SchedulePace(beat_seconds=3600),
        )
        drain = Drain()
        running = asyncio.create_task(run_schedule(runner, drain))
        await until(lambda: len(fires) >= 3)
        drain.request()
        await running
    slots = [fire.slot for fire in fires]
    assert len(set(slots)) == len(slots)
