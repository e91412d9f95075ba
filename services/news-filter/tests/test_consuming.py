"""The filter on the bus: what is consumed, what is published, what survives."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from streamdesk.bus import Batch, Bus, BusConfig, BusUnavailableError, RetryPolicy
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.adapters.sentiment_cache import SentimentCache
from streamdesk.news_filter.adapters.vader.lexicon import finance_overlay
from streamdesk.news_filter.adapters.vader.scorer import VaderScorer
from streamdesk.news_filter.application.filter_articles import NewsFilter
from streamdesk.news_filter.application.score_articles import Scoring
from streamdesk.news_filter.domain.rules import FilterRules
from streamdesk.news_filter.domain.sentiment import Score
from streamdesk.news_filter.entrypoints.bus import RawArticleConsumer
from streamdesk.news_filter.factory import BATCH, CONCURRENCY, GROUP

Article = Callable[..., NewsFetched]
SCORER = VaderScorer(finance_overlay())
UNSCORABLE = "no score for this"
UNPUBLISHABLE = "no place for this"


class Scorer:
    """Ours, but some titles break it."""

    name = SCORER.name
    version = SCORER.version
    slow = False

    def score_many(self, articles: Sequence[tuple[str, str]]) -> list[Score]:
        if any(title == UNSCORABLE for title, _ in articles):
            raise ValueError("broken by the title")
        return SCORER.score_many(articles)


class Desk:
    """A bus, filters on it, and what a test asks of both."""

    def __init__(self, bus: Bus, rules: FilterRules, now: datetime) -> None:
        self.bus = bus
        self.rules = rules
        self.failures = 0
        self._now = now

    def filter(self) -> NewsFilter:
        cache = SentimentCache(self.bus.keys, 3600, Scorer.name, Scorer.version)
        return NewsFilter(
            rules=lambda: self.rules,
            scoring=Scoring(Scorer(), cache),
            publish=self.publish,
            clock=lambda: self._now,
        )

    async def publish(self, events: Sequence[NewsFiltered], event_ids: Sequence[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise BusUnavailableError("no server")
        if any(UNPUBLISHABLE in event.title for event in events):
            raise ValueError("broken by the article")
        await self.bus.publish_many(NEWS_FILTERED, events, event_ids=event_ids)

    @asynccontextmanager
    async def filtering(
        self, count: int = 1, concurrency: int = 1, lease_seconds: float | None = None
    ) -> AsyncIterator[None]:
        stop = asyncio.Event()
        running = [
            asyncio.create_task(
                self.bus.subscribe_batches(
                    NEWS_RAW,
                    GROUP,
                    RawArticleConsumer(self.filter()).handle,
                    batch=BATCH,
                    concurrency=concurrency,
                    lease_seconds=lease_seconds,
                ).run(stop)
            )
            for _ in range(count)
        ]
        try:
            yield
            await self.settled()
        finally:
            stop.set()
            await asyncio.gather(*running)

    async def settled(self) -> None:
        async with asyncio.timeout(120):
            while True:
                lag = (await self.bus.lag(NEWS_RAW))[0]
                if not (lag.waiting or lag.pending or lag.delayed):
                    return
                await asyncio.sleep(0.01)

    async def passed(self) -> list[Any]:
        length = (await self.bus.lag(NEWS_FILTERED))[0].length
        stop = asyncio.Event()
        messages: list[Any] = []
        if length:
            async for message in self.bus.tail(NEWS_FILTERED, since="0", stop=stop):
                messages.append(message)
                if len(messages) == length:
                    stop.set()
        return messages


async def desk_on(url: str, rules: FilterRules, now: datetime) -> AsyncIterator[Desk]:
    config = BusConfig(
        url=url,
        service="news-filter",
        retry=RetryPolicy(base_seconds=0.01, cap_seconds=0.02),
    )
    async with Bus.connect(config) as bus:
        yield Desk(bus, rules, now)


@pytest.fixture
async def desk(make_rules: Callable[..., FilterRules], now: datetime) -> AsyncIterator[Desk]:
    async for desk in desk_on(f"memory://{secrets.token_hex(4)}", make_rules(), now):
        yield desk


@pytest.fixture
async def real_desk(
    start_server: Callable[[], Any], make_rules: Callable[..., FilterRules], now: datetime
) -> AsyncIterator[Desk]:
    """The same on a Valkey server of its own."""
    async for desk in desk_on(start_server().url, make_rules(), now):
        yield desk


def processed(outcome: str) -> float:
    name = "news_filter_processed_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0


async def test_of_many_articles_only_the_good_ones_come_out_in_their_order(
    desk: Desk, make_article: Article, now: datetime
) -> None:
    before = {name: processed(name) for name in ("passed", "too-old", "sentiment-weak")}
    articles = [
        make_article(1),
        make_article(2, published_at=now - timedelta(hours=24)),
        make_article(3, symbols=("LKFD.US",)),
        make_article(4, title="Apple shares plunge after downgrade"),
        make_article(5, title="Apple to report results on Monday", content=""),
        make_article(6, title="Tencent tops forecasts, raises guidance", symbols=("700.HK",)),
    ]
    await desk.bus.publish_many(NEWS_RAW, articles)
    async with desk.filtering():
        pass
    passed = [message.event for message in await desk.passed()]
    assert [event.link_hash for event in passed] == [articles[0].link_hash, articles[5].link_hash]
    assert passed[1].reason.startswith("sentiment ")
    assert passed[1].reason.endswith("about 700.HK")
    assert passed[1].words
    changes = {name: processed(name) - value for name, value in before.items()}
    assert changes == {"passed": 2, "too-old": 1, "sentiment-weak": 2}


async def test_each_raw_article_is_judged_by_one_of_many_filters_and_published_once(
    real_desk: Desk, make_article: Article
) -> None:
    articles = [make_article(number) for number in range(1_000)]
    async with real_desk.filtering(count=3, concurrency=CONCURRENCY):
        for start in range(0, 1_000, 100):
            await real_desk.bus.publish_many(NEWS_RAW, articles[start : start + 100])
    hashes = [message.event.link_hash for message in await real_desk.passed()]
    assert len(hashes) == 1_000
    assert set(hashes) == {article.link_hash for article in articles}


async def test_an_article_whose_publish_failed_comes_again_and_is_published(
    desk: Desk, make_article: Article
) -> None:
    before = processed("passed")
    desk.failures = 2
    await desk.bus.publish_many(NEWS_RAW, [make_article(1), make_article(2, symbols=())])
    async with desk.filtering():
        pass
    assert len(await desk.passed()) == 1
    assert await desk.bus.dead(NEWS_RAW) == []
    assert processed("passed") == before + 1


async def test_what_is_judged_again_after_a_crash_is_not_published_twice(
    real_desk: Desk, make_article: Article
) -> None:
    await real_desk.bus.publish(NEWS_RAW, make_article(1))
    killed = asyncio.Event()

    async def judge_and_die(batch: Batch[NewsFetched]) -> None:
        await RawArticleConsumer(real_desk.filter()).handle(batch)
        killed.set()
        await asyncio.Event().wait()  # never acknowledged

    dying = asyncio.create_task(
        real_desk.bus.subscribe_batches(NEWS_RAW, GROUP, judge_and_die, lease_seconds=2).run(
            asyncio.Event()
        )
    )
    await asyncio.wait_for(killed.wait(), 60)
    dying.cancel()
    await asyncio.wait([dying])
    assert len(await real_desk.passed()) == 1
    async with real_desk.filtering(lease_seconds=2):
        pass
    assert len(await real_desk.passed()) == 1


@pytest.mark.parametrize(
    ("title", "reason"), [(UNSCORABLE, "unscorable"), (UNPUBLISHABLE, "unpublishable")]
)
async def test_an_article_that_cannot_go_on_is_dead_alone_and_all_others_pass(
    desk: Desk, make_article: Article, title: str, reason: str
) -> None:
    before = processed(reason)
    if reason == "unpublishable":
        title = f"Apple beats estimates and raises guidance: {title}"
    articles = [make_article(number) for number in range(100)]
    articles[50] = make_article(50, title=title)
    await desk.bus.publish_many(NEWS_RAW, articles)
    async with desk.filtering():
        pass
    passed = {message.event.link_hash for message in await desk.passed()}
    assert passed == {a.link_hash for a in articles} - {articles[50].link_hash}
    dead = await desk.bus.dead(NEWS_RAW)
    assert [stored.letter.reason for stored in dead] == [reason]
    assert "ValueError: broken by the" in dead[0].letter.detail
    assert processed(reason) == before + 1


async def test_an_event_that_cannot_be_read_is_dead_and_the_others_pass(
    desk: Desk, make_article: Article
) -> None:
    broken = make_article(1).model_copy(update={"link_hash": "no hash"})
    await desk.bus.publish_many(NEWS_RAW, [make_article(2), broken, make_article(3)])
    async with desk.filtering():
        pass
    dead = await desk.bus.dead(NEWS_RAW)
    assert [stored.letter.reason for stored in dead] == ["invalid-body"]
    assert "link_hash" in dead[0].letter.detail
    assert len(await desk.passed()) == 2


async def test_other_rules_are_in_force_from_the_next_batch_on(
    desk: Desk, make_rules: Callable[..., FilterRules], make_article: Article
) -> None:
    async with desk.filtering():
        await desk.bus.publish(NEWS_RAW, make_article(1))
        await desk.settled()
        desk.rules = make_rules(threshold=0.99)
        await desk.bus.publish(NEWS_RAW, make_article(2))
        await desk.settled()
        desk.rules = make_rules()
        await desk.bus.publish(NEWS_RAW, make_article(3))
    hashes = [message.event.link_hash for message in await desk.passed()]
    assert hashes == [make_article(1).link_hash, make_article(3).link_hash]


async def test_the_way_of_an_article_from_its_fetch_is_measured(
    desk: Desk, make_article: Article, now: datetime
) -> None:
    def total() -> float:
        return REGISTRY.get_sample_value("news_end_to_end_seconds_sum") or 0

    before = total()
    await desk.bus.publish_many(
        NEWS_RAW,
        [
            make_article(1, fetched_at=now - timedelta(seconds=7)),
            make_article(2, fetched_at=now - timedelta(seconds=100), symbols=()),
        ],
    )
    async with desk.filtering():
        pass
    assert total() - before == pytest.approx(7)
