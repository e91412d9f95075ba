"""Each article is published once, and none is left out, whatever happens to whom."""

from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import HealthCheck, currently_in_test_context, event, given, settings
from hypothesis import strategies as st

from streamdesk.bus import Bus, BusConfig, LeaseLostError
from tests.news_world import (
    TICKERS,
    KilledError,
    Mishap,
    World,
    WorldFetcher,
    entries,
    killed_soon,
)


@dataclass(frozen=True)
class News:
    """A story that comes out so many minutes after its date."""

    late_minutes: int
    tickers: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    minutes: int


@dataclass(frozen=True)
class Ask:
    """A fetcher does a round, in which something may happen."""

    replica: int
    failing: frozenset[str]
    at: int
    mishap: Mishap | None


@dataclass(frozen=True)
class Restart:
    """A fetcher ends in order, and another takes its place."""

    replica: int


@dataclass(frozen=True)
class Expire:
    """The lease runs out, whoever has it."""


REPLICAS = st.integers(0, 1)
SOME_TICKERS = st.sets(st.sampled_from(TICKERS), min_size=1).map(lambda s: tuple(sorted(s)))
NEWS = st.builds(News, late_minutes=st.integers(-4, 10), tickers=SOME_TICKERS)
ASK = st.builds(
    Ask,
    replica=REPLICAS,
    failing=st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(TICKERS))),
    at=st.integers(1, 16),
    mishap=st.one_of(st.none(), st.sampled_from(get_args(Mishap))),
)
STEP = st.one_of(
    NEWS,
    NEWS,
    st.builds(Wait, minutes=st.integers(1, 40)),
    ASK,
    ASK,
    st.builds(Restart, replica=REPLICAS),
    st.builds(Expire),
)
HISTORIES = st.lists(STEP, min_size=8, max_size=30)


def note(what: str) -> None:
    """For the statistics of a property test."""
    if currently_in_test_context():
        event(what)


class History:
    """Lives through the steps with two fetchers that fight for one lease."""

    def __init__(self, bus: Bus, world: World) -> None:
        self.world = world
        self._bus = bus
        self.fetchers = [self._new(), self._new()]

    def _new(self) -> WorldFetcher:
        return WorldFetcher(self._bus, self.world)

    async def live(self, step: object) -> None:
        match step:
            case News(late_minutes, tickers):
                self.world.add_story(timedelta(minutes=late_minutes), tickers)
            case Wait(minutes):
                self.world.now += timedelta(minutes=minutes)
            case Ask():
                await self._ask(step)
            case Restart(replica):
                await self.fetchers[replica].keeper.leave()
                self.fetchers[replica] = self._new()
            case Expire():
                await self.fetchers[0].rob()

    async def _ask(self, ask: Ask) -> None:
        fetcher, other = self.fetchers[ask.replica], self.fetchers[1 - ask.replica]

        async def rob() -> None:
            await fetcher.rob()
            assert await other.round() is not None

        if ask.mishap is not None:
            fetcher.steps.plan(ask.at, ask.mishap, rob)
        self.world.failing = ask.failing
        try:
            result = await fetcher.round()
        except (KilledError, BaseExceptionGroup):
            assert fetcher.steps.dead, "a bug, and no murder"
            note("killed")
            await fetcher.rob()  # its lease runs out, in time
            self.fetchers[ask.replica] = self._new()
        else:
            note("not leading" if result is None else result.broken or "went well")
        fetcher.steps.forget()
        self.world.failing = frozenset()

    async def end(self) -> None:
        """All is well again: a round, and one more that must find nothing new."""
        last = self._new()
        await last.rob()
        assert await last.round() is not None
        again = await last.round()
        assert again is not None
        assert (again.published, again.broken, again.failed) == (0, "", {})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=HISTORIES, whole_days=st.booleans())
async def test_each_article_is_published_exactly_once_in_any_history(
    valkey_url: str, steps: list[object], *, whole_days: bool
) -> None:
    world = World(whole_days=whole_days)
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        history = History(bus, world)
        for step in steps:
            await history.live(step)
        await history.end()
        published = sorted(article.link_hash for article in await entries(bus, world))
    assert published == world.expected


@pytest.mark.parametrize("mishap", get_args(Mishap))
async def test_nothing_is_lost_or_doubled_at_whichever_step_of_a_round_it_happens(
    valkey_url: str, mishap: Mishap
) -> None:
    at, happened = 1, True
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        while happened:
            history = History(bus, World())
            for number in range(6):
                await history.live(News(number, TICKERS[number % 2 :]))
            fetcher = history.fetchers[0]
            await history.live(Ask(0, frozenset(), at, mishap))
            happened = fetcher.steps.taken >= at
            await history.end()
            published = sorted(one.link_hash for one in await entries(bus, history.world))
            assert published == history.world.expected, f"{mishap} at step {at}"
            at += 1
    assert at > 12, "there are steps to be disturbed at"


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(st.integers(0, 150), min_size=1, max_size=6))
async def test_a_process_that_ends_at_any_turn_of_its_loop_leaves_nothing_undone_or_doubled(
    valkey_url: str, turns: list[int]
) -> None:
    world = World()
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        for count in turns:
            world.add_story(timedelta(minutes=count % 11), TICKERS)
            world.add_story(timedelta(minutes=1), TICKERS[:1])
            fetcher = WorldFetcher(bus, world)
            await fetcher.rob()
            broken_off = await killed_soon(fetcher.round(), count)
            note(f"broken off in turn {count // 25 * 25}…" if broken_off else "ended before")
            world.now += timedelta(minutes=5)
        await History(bus, world).end()
        published = sorted(article.link_hash for article in await entries(bus, world))
    assert published == world.expected


async def test_a_round_tells_of_an_article_once_over_all_tickers_and_processes(
    valkey_url: str,
) -> None:
    world = World()
    for late in range(5):
        world.add_story(timedelta(minutes=late), TICKERS)
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        first, second = WorldFetcher(bus, world), WorldFetcher(bus, world)
        result = await first.round()
        assert await second.round() is None, "the first one has the lease"
        await first.keeper.leave()
        again = await second.round()
    assert result is not None
    assert again is not None
    assert (result.fetched, result.published, result.duplicates) == (30, 5, 25)
    assert (again.fetched, again.published, again.duplicates) == (30, 0, 30)
    assert sorted(first.reported) == world.expected
    assert second.reported == []


async def test_a_fetcher_that_was_frozen_while_another_took_over_cannot_write_the_state(
    valkey_url: str,
) -> None:
    world = World()
    world.add_story(timedelta(0), TICKERS)
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        frozen, other = WorldFetcher(bus, world), WorldFetcher(bus, world)
        assert await frozen.keeper.lead()
        before = frozen.keeper.state
        await frozen.rob()
        world.now += timedelta(minutes=30)
        world.add_story(timedelta(0), TICKERS)
        assert await other.round() is not None
        written = await bus.keys.get(other.keeper.key)
        assert frozen.keeper.leading, "it does not know"
        with pytest.raises(LeaseLostError, match="not ours"):
            await frozen.keeper.write(lambda _state: before)
        assert await bus.keys.get(other.keeper.key) == written
        assert not frozen.keeper.leading
        assert not await frozen.keeper.lead()
