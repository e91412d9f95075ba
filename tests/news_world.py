"""A simulated news source, fetchers that can be killed at any step, and what they published."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from streamdesk.bus import Bus, BusUnavailableError
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_RAW
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.application.fetch_round import FetchRounds, Reach
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle
from streamdesk.news_fetcher.domain.links import SeenWindow, link_hash, normalise_link
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import NewsSourceUnavailableError
from streamdesk.runtime import Drain

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)
LOOKBACK = timedelta(hours=24)
TICKERS = ("AAPL.US", "MSFT.US", "700.HK")
LEASE_SECONDS = 600.0  # ends when a test says so, never by the clock of the machine

Mishap = Literal["killed", "robbed", "answer lost", "not sent"]
"""What can happen at a step: the process dies; its lease runs out and another fetcher does a whole
round; Redis executes a command, or does not, and the answer is lost either way."""


class KilledError(BaseException):
    """The process was killed; no code of it may handle this."""


@dataclass(frozen=True)
class Story:
    """An article: when it came out, how it is dated, and whose news it is."""

    number: int
    out_at: datetime
    published_at: datetime
    tickers: tuple[str, ...]

    @property
    def link(self) -> str:
        return f"https://news.example/{self.number}"


@dataclass
class World:
    """The articles that exist, by a clock that the test sets."""

    name: str = field(default_factory=lambda: f"world-{uuid4().hex[:12]}")
    now: datetime = NOON
    whole_days: bool = False
    stories: list[Story] = field(default_factory=list)
    failing: frozenset[str] = frozenset()

    def clock(self) -> datetime:
        return self.now

    def add_story(self, late: timedelta, tickers: Sequence[str]) -> None:
        """Add a story, dated so long ago."""
        number = len(self.stories)
        self.stories.append(Story(number, self.now, self.now - late, tuple(tickers)))

    def articles(self, query: NewsQuery) -> list[RawArticle]:
        """A source's answer; each article twice, with different links."""
        since = query.since
        if self.whole_days:
            since = since.replace(hour=0, minute=0, second=0, microsecond=0)
        found = [
            story
            for story in self.stories
            if query.ticker in story.tickers and story.published_at >= since
        ]
        return [
            RawArticle(
                title=f"Story {story.number}",
                link=f"{story.link}{mark}",
                published_at=story.published_at.isoformat(),
            )
            for story in sorted(found, key=lambda story: story.published_at)
            for mark in ("", f"/?utm_source={query.ticker}#top")
        ]

    @property
    def expected(self) -> list[str]:
        return sorted(link_hash(normalise_link(story.link)) for story in self.stories)


class Steps:
    """Counts the steps of a fetcher outside of itself; at one of them something may happen."""

    def __init__(self) -> None:
        self.taken = 0
        self.dead = False
        self._at: int | None = None
        self._mishap: Mishap | None = None
        self._rob: Callable[[], Awaitable[None]] | None = None

    def plan(self, at: int, mishap: Mishap, rob: Callable[[], Awaitable[None]]) -> None:
        """The step this many steps from now."""
        self._at, self._mishap, self._rob = self.taken + at, mishap, rob

    def forget(self) -> None:
        """Disarm all faults."""
        self._at = None

    async def step(self, call: Callable[[], Awaitable[Any]], *, on_bus: bool) -> Any:
        """Do what the fetcher wants done, unless something happens before or after."""
        await self._before(on_bus=on_bus)
        answer = await call()
        await self._before(on_bus=False)
        if self._at == self.taken and self._mishap == "answer lost" and on_bus:
            self.forget()
            raise BusUnavailableError("the answer was lost")
        return answer

    async def _before(self, *, on_bus: bool) -> None:
        if self.dead:
            raise KilledError
        self.taken += 1
        if self._at != self.taken:
            return
        if self._mishap == "killed":
            self.dead = True
            raise KilledError
        if self._mishap == "robbed" and self._rob is not None:
            self.forget()
            await self._rob()
        if self._mishap == "not sent" and on_bus:
            self.forget()
            raise BusUnavailableError("not sent")


class SteppingSource:
    """The world as a NewsSource."""

    by_ticker = True
    quota = None
    circuit_open = False

    def __init__(self, world: World, steps: Steps) -> None:
        self.name = world.name
        self._world = world
        self._steps = steps

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:
        async def answer() -> Sequence[RawArticle]:
            if query.ticker in self._world.failing:
                raise NewsSourceUnavailableError("503 from the world")
            return self._world.articles(query)

        found: Sequence[RawArticle] = await self._steps.step(answer, on_bus=False)
        return found

    async def learn_quota(self) -> bool:
        return False

    async def close(self) -> None:
        pass


class SteppingKeys:
    """The bus's keys and lease, step by step."""

    def __init__(self, keys: Any, steps: Steps) -> None:
        self._keys = keys
        self._steps = steps

    async def get(self, *names: str) -> Any:
        return await self._steps.step(lambda: self._keys.get(*names), on_bus=True)

    def lease(self, name: str, ttl_seconds: float) -> "SteppingLease":
        return SteppingLease(self._keys.lease(name, ttl_seconds), self._steps)


class SteppingLease:
    """A lease whose writes are steps."""

    def __init__(self, lease: Any, steps: Steps) -> None:
        self._lease = lease
        self._steps = steps

    @property
    def held(self) -> bool:
        return bool(self._lease.held)

    @property
    def fence(self) -> int:
        return int(self._lease.fence)

    async def acquire(self) -> bool:
        return bool(await self._lease.acquire())

    async def release(self) -> None:
        await self._lease.release()

    async def put(self, name: str, value: bytes, *, expected: bytes | None) -> Any:
        put = self._lease.put
        return await self._steps.step(lambda: put(name, value, expected=expected), on_bus=True)


class WorldFetcher:
    """One process that fetches; a new one after it was killed."""

    def __init__(self, bus: Bus, world: World, *, concurrency: int = 2) -> None:
        self.steps = Steps()
        self.reported: list[str] = []
        self._bus = bus
        self._world = world
        self._topic = NEWS_RAW.configured(key=world.name)
        keys: Any = SteppingKeys(bus.keys, self.steps)
        self.keeper = StateKeeper(keys, world.name, LEASE_SECONDS)
        self._rounds = FetchRounds(
            source=SteppingSource(world, self.steps),
            tickers=TICKERS,
            publish=self._publish,
            keeper=self.keeper,
            seen=SeenWindow(1_000),
            limits=FetchLimits(content_max_chars=1_000, future_tolerance=timedelta(minutes=5)),
            reach=Reach(lookback=LOOKBACK, overlap=OVERLAP, concurrency=concurrency),
            clock=world.clock,
            on_published=lambda article: self.reported.append(article.link_hash),
        )

    async def _publish(self, articles: Sequence[NewsFetched], ids: Sequence[str]) -> Sequence[str]:
        async def write() -> list[str]:
            return await self._bus.publish_many(self._topic, articles, event_ids=ids)

        entries: Sequence[str] = await self.steps.step(write, on_bus=True)
        return entries

    async def round(self) -> RoundResult | None:
        """A round, if it leads; None if it does not."""
        try:
            return await self._rounds.round(Drain()) if await self.keeper.lead() else None
        except BusUnavailableError:  # while it took over
            return None

    async def rob(self) -> None:
        """Let its lease expire unnoticed."""
        await self._bus.keys.drop(f"{self.keeper.key}:lease")


async def entries(bus: Bus, world: World) -> list[NewsFetched]:
    """All that was published, in order."""
    replay = bus.replay(NEWS_RAW.configured(key=world.name), "0")
    return [message.event async for message in replay]


async def killed_soon(round_: Awaitable[RoundResult | None], turns: int) -> bool:
    """Begin a round, and break it off after so many turns of the loop; whether it came so far."""
    task = asyncio.ensure_future(round_)
    for _ in range(turns):
        if task.done():
            break
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    await asyncio.wait({task})
    return not ended
