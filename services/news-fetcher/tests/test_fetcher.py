"""When a round is due: by the interval, the quota, the last holder, and what went wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streamdesk.bus import Bus, BusConfig, BusUnavailableError
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_RAW, SYSTEM_EVENTS
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.notices import Notices
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.adapters.round_timer import RoundTimer
from streamdesk.news_fetcher.application.fetch_as_leader import NewsFetcher
from streamdesk.news_fetcher.application.fetch_round import FetchRounds, Reach
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle
from streamdesk.news_fetcher.domain.fetcher_state import FetcherState
from streamdesk.news_fetcher.domain.links import SeenWindow
from streamdesk.news_fetcher.domain.quota import Quota
from streamdesk.news_fetcher.entrypoints.schedule import fetch_on_schedule
from streamdesk.news_fetcher.errors import NewsSourceUnavailableError, SourceBusyError
from streamdesk.runtime import Drain

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HALF_A_DAY_SECONDS = 43_200
INTERVAL_SECONDS = 600.0
LEASE_SECONDS = 600.0
GUARD_SECONDS = 60


class Counting:
    """A source with a quota, that answers with nothing, or with an error."""

    by_ticker = True
    circuit_open = False

    def __init__(self, quota: Quota | None = None, *errors: Exception) -> None:
        self.name = f"counting-{uuid4().hex}"
        self.quota = quota
        self.learnt: Callable[[Quota], None] | None = None
        self.asked = self.learned = 0
        self._errors = list(errors)

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:
        self.asked += 1
        if self.quota is not None:
            self.quota.spend(query.until, 10)
        if self._errors:
            raise self._errors.pop(0)
        story = RawArticle(title="t", link="https://news.example/1", published_at=NOON)
        return [story]

    async def learn_quota(self) -> bool:
        self.learned += 1
        if self.quota is not None and self.learnt is not None:
            self.learnt(self.quota)
        return self.learnt is not None

    async def close(self) -> None:
        pass


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=f"memory://{uuid4().hex}")) as bus:
        yield bus


def fetcher(
    bus: Bus, source: Counting, *, fails: bool = False, key: str | None = None
) -> NewsFetcher:
    async def publish(events: Sequence[NewsFetched], ids: Sequence[str]) -> Sequence[str]:
        if fails:
            raise BusUnavailableError("no server")
        return await bus.publish_many(NEWS_RAW, events, event_ids=ids)

    keeper = StateKeeper(bus.keys, source.name, lease_seconds=LEASE_SECONDS)
    rounds = FetchRounds(
        source=source,
        tickers=("AAPL.US",),
        publish=publish,
        keeper=keeper,
        seen=SeenWindow(100),
        limits=FetchLimits(content_max_chars=100, future_tolerance=timedelta(0)),
        reach=Reach(lookback=timedelta(days=1), overlap=timedelta(hours=1), concurrency=1),
        clock=lambda: NOON,
    )
    return NewsFetcher(
        source=source,
        tickers=1,
        rounds=rounds,
        keeper=keeper,
        notices=Notices(source.name, lambda event: bus.publish(SYSTEM_EVENTS, event), lambda: NOON),
        timer=RoundTimer(0, lambda: NOON),
        interval_seconds=INTERVAL_SECONDS,
        finish_seconds=GUARD_SECONDS,
        key=key,
        clock=lambda: NOON,
    )


@asynccontextmanager
async def running(one: NewsFetcher) -> AsyncIterator[None]:
    """Until the block has seen what it wants."""
    drain = Drain()
    task = asyncio.create_task(fetch_on_schedule(one, LEASE_SECONDS, drain))
    try:
        yield
    finally:
        drain.request()
        await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


def wait_seconds(one: NewsFetcher) -> float:
    """From now until the next round, to a minute."""
    assert one._timer.next_at is not None
    return (one._timer.next_at - datetime.now(UTC)).total_seconds()


def planned(one: NewsFetcher) -> bool:
    """Whether the first round is over and the next one planned."""
    return one._keeper.state.begun_at is not None and one._work is None and not one._due


async def put_state(bus: Bus, source: Counting, state: FetcherState) -> None:
    """As another process left it."""
    keeper = StateKeeper(bus.keys, source.name, lease_seconds=LEASE_SECONDS)
    assert await keeper.lead()
    await keeper.write(lambda _: state)
    await keeper.leave()


async def test_the_first_round_is_at_once_and_the_next_an_interval_later(bus: Bus) -> None:
    source = Counting()
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: planned(one))
        assert wait_seconds(one) == pytest.approx(INTERVAL_SECONDS, abs=60)
    assert source.asked == 1


async def test_a_round_is_due_when_it_would_have_been_for_the_process_before(bus: Bus) -> None:
    source = Counting()
    begun_at = NOON - timedelta(seconds=400)
    await put_state(bus, source, FetcherState(begun_at=begun_at, ended=True))
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: one._timer.next_at is not None)
        assert wait_seconds(one) == pytest.approx(INTERVAL_SECONDS - 400, abs=60)
    assert source.asked == 0


async def test_a_last_round_in_the_future_was_noted_by_a_wrong_clock_and_delays_little(
    bus: Bus,
) -> None:
    source = Counting()
    begun_at = NOON + timedelta(days=30)
    await put_state(bus, source, FetcherState(begun_at=begun_at, ended=True))
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: one._timer.next_at is not None)
        assert wait_seconds(one) == pytest.approx(INTERVAL_SECONDS, abs=60)


async def test_the_quota_is_shown_by_the_one_that_fetches_alone(bus: Bus) -> None:
    source, shown = Counting(Quota(100)), "news_quota_left_calls"
    async with running(fetcher(bus, source)):
        await until(lambda: REGISTRY.get_sample_value(shown, {"source": source.name}) == 90)
    assert REGISTRY.get_sample_value(shown, {"source": source.name}) is None


@pytest.mark.parametrize(
    "state",
    [
        FetcherState(begun_at=NOON - timedelta(seconds=10), ended=False),
        FetcherState(begun_at=NOON - timedelta(seconds=1_000), ended=True),
    ],
    ids=["broken off", "overdue"],
)
async def test_a_round_that_was_broken_off_or_is_overdue_is_done_at_once(
    bus: Bus, state: FetcherState
) -> None:
    source = Counting()
    await put_state(bus, source, state)
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: source.asked == 1)


async def test_a_quota_that_would_not_last_the_day_stretches_the_pause(bus: Bus) -> None:
    source = Counting(Quota(100))
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: planned(one) and source.asked == 1)
        assert one._timer.interval_seconds == HALF_A_DAY_SECONDS / 9
        assert wait_seconds(one) == pytest.approx(HALF_A_DAY_SECONDS / 9, abs=60)


async def test_calls_that_another_process_spent_are_spent(bus: Bus) -> None:
    quota = Quota(100)
    quota.spend(NOON, 70)
    source = Counting(Quota(100))
    await put_state(bus, source, FetcherState(quota=quota.as_json()))
    async with running(one := fetcher(bus, source)):
        await until(lambda: planned(one) and source.asked == 1)
    assert source.quota is not None
    assert source.quota.used == 80


async def test_a_count_of_ours_that_says_nothing_is_left_is_checked_with_the_source(
    bus: Bus,
) -> None:
    quota = Quota(100)
    quota.spend(NOON, 100)
    source = Counting(Quota(100))
    source.learnt = lambda quota: quota.learn(NOON, 20, 100)
    await put_state(bus, source, FetcherState(quota=quota.as_json()))
    async with running(fetcher(bus, source)):
        await until(lambda: source.asked == 1)
    assert source.learned == 1


async def test_while_nothing_is_left_the_source_is_asked_for_its_count_by_the_hour(
    bus: Bus,
) -> None:
    quota = Quota(100)
    quota.spend(NOON, 100)
    source = Counting(Quota(100))
    await put_state(bus, source, FetcherState(quota=quota.as_json()))
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: source.learned == 1 and one._work is None and not one._due)
        assert wait_seconds(one) == pytest.approx(3_600, abs=60)
    assert source.asked == 0


async def test_after_the_source_said_that_nothing_is_left_it_is_left_alone_until_midnight(
    bus: Bus,
) -> None:
    quota = Quota(100)
    quota.refuse(NOON)
    source = Counting(Quota(100))
    await put_state(bus, source, FetcherState(quota=quota.as_json(), ended=False))
    one = fetcher(bus, source)
    async with running(one):
        await until(lambda: one._timer.next_at is not None)
        assert wait_seconds(one) == pytest.approx(HALF_A_DAY_SECONDS, abs=60)
    assert (source.asked, source.learned) == (0, 0)


async def test_a_source_that_wants_to_be_left_alone_for_longer_than_the_interval_is(
    bus: Bus,
) -> None:
    one = fetcher(bus, Counting(None, SourceBusyError("429", 2_000)))
    async with running(one):
        await until(lambda: planned(one))
        assert wait_seconds(one) == pytest.approx(2_000, abs=60)


async def test_a_round_that_broke_off_because_of_redis_is_tried_again_soon(bus: Bus) -> None:
    source = Counting()
    one = fetcher(bus, source, fails=True)
    async with running(one):
        await until(lambda: one._broken == 1 and one._timer.next_at is not None)
        assert wait_seconds(one) < INTERVAL_SECONDS / 2


async def test_a_failing_source_is_reported_once_and_so_is_its_return(bus: Bus) -> None:
    lost = NewsSourceUnavailableError("503 from the source")
    source = Counting(None, lost, lost)
    one = fetcher(bus, source)
    with capture_logs() as logs:
        async with running(one):
            for count in range(1, 5):
                await until(lambda count=count: source.asked == count and planned(one))  # type: ignore[misc]
                one._strike()
            await until(lambda: source.asked == 5)
    reported = [line["event"] for line in logs if line["event"].startswith("source")]
    assert reported == ["source lost", "source back"]


async def test_an_unreadable_state_and_quota_are_begun_anew(bus: Bus) -> None:
    source = Counting(Quota(100))
    await bus.keys.put({f"news:fetcher:{source.name}": b'{"version": 9}'})
    with capture_logs() as logs:
        async with running(fetcher(bus, source)):
            await until(lambda: source.asked == 1)
    assert "state unreadable, begun anew" in [line["event"] for line in logs]
