import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from streamdesk.news_fetcher.adapters.round_timer import RoundTimer

GUARD_SECONDS = 60


class Clock:
    """The wall clock, set forward or back."""

    def __init__(self) -> None:
        self.jump = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.jump


class Wakings:
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    def wake(self) -> None:
        self.count += 1

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(GUARD_SECONDS):
            while self.count < count:
                await asyncio.sleep(0.005)


@pytest.fixture
def wakings() -> Wakings:
    return Wakings()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timer(wakings: Wakings, clock: Clock) -> AsyncIterator[RoundTimer]:
    timer = RoundTimer(0.0, clock)
    timer.start(wakings.wake)
    yield timer
    timer.stop()


def left_seconds(timer: RoundTimer) -> float:
    assert timer.next_at is not None
    return (timer.next_at - datetime.now(UTC)).total_seconds()


async def test_it_wakes_at_once_and_then_each_interval(timer: RoundTimer, wakings: Wakings) -> None:
    timer.plan(None, 0.02)
    assert wakings.count == 1
    await wakings.reach(5)


async def test_it_wakes_when_it_is_planned_to(timer: RoundTimer, wakings: Wakings) -> None:
    begun_at = datetime.now(UTC)
    timer.plan(begun_at + timedelta(seconds=0.2), 600)
    await wakings.reach(1)
    assert datetime.now(UTC) - begun_at > timedelta(seconds=0.19)
    assert 500 < left_seconds(timer) <= 600


async def test_a_time_that_has_passed_is_now(timer: RoundTimer, wakings: Wakings) -> None:
    timer.plan(datetime.now(UTC) - timedelta(hours=1), 600)
    await wakings.reach(1)


async def test_a_new_plan_replaces_the_old_one(timer: RoundTimer, wakings: Wakings) -> None:
    timer.plan(None, 0.01)
    timer.plan(datetime.now(UTC) + timedelta(hours=1), 3_600)
    count = wakings.count
    assert timer.interval_seconds == 3_600
    assert left_seconds(timer) > 3_000
    await asyncio.sleep(0.1)
    assert wakings.count == count


async def test_nothing_wakes_after_it_was_cancelled(timer: RoundTimer) -> None:
    timer.plan(datetime.now(UTC) + timedelta(hours=1), 600)
    timer.cancel()
    timer.cancel()
    assert (timer.next_at, timer.interval_seconds) == (None, None)


async def test_a_round_comes_later_by_some_of_the_jitter_and_never_earlier(
    wakings: Wakings, clock: Clock
) -> None:
    timer = RoundTimer(1_000.0, clock)
    timer.start(wakings.wake)
    late = []
    for _ in range(50):
        timer.plan(datetime.now(UTC) + timedelta(seconds=5_000), 600)
        late.append(left_seconds(timer) - 5_000)
    timer.stop()
    assert -60 < min(late) < 500 < max(late) <= 1_000


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_clock_that_jumps_moves_the_plan_and_nothing_waits_for_the_old_time(
    timer: RoundTimer, clock: Clock, hours: int
) -> None:
    timer.plan(clock() + timedelta(hours=2), 600)
    assert timer.resync() == 0
    clock.jump = timedelta(hours=hours)
    assert timer.resync() == pytest.approx(hours * 3_600, abs=60)
    assert 500 < left_seconds(timer) <= 600
    assert timer.resync() == 0
