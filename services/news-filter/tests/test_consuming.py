"""The filter on the bus: what is consumed, what is published, what survives."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from streamdesk.bus import Bus, BusConfig, BusUnavailableError, RetryPolicy
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.domain import RecentLinks, Rules
from streamdesk.news_filter.factory import GROUP
from streamdesk.news_filter.handlers import NewsFilter
from streamdesk.news_filter.sentiment import VaderScorer, finance_overlay

Article = Callable[..., NewsFetched]


class Desk:
    """A bus, a filter on it, and what a test asks of both."""

    def __init__(self, bus: Bus, rules: Rules, now: datetime) -> None:
        self.bus = bus
        self.failures = 0
        self._rules = rules
        self._now = now

    def filter(self) -> NewsFilter:
        return NewsFilter(
            rules=self._rules,
            scorer=VaderScorer(finance_overlay()),
            recent=RecentLinks(100),
            publish=self.publish,
            clock=lambda: self._now,
        )

    async def publish(self, event: NewsFiltered, event_id: str) -> None:
        if self.failures:
            self.failures -= 1
            raise BusUnavailableError("no server")
        await self.bus.publish(NEWS_FILTERED, event, event_id=event_id)

    @asynccontextmanager
    async def filtering(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        subscription = self.bus.subscribe(NEWS_RAW, GROUP, self.filter().handle, concurrency=1)
        running = asyncio.create_task(subscription.run(stop))
        try:
            yield
            await self.settled()
        finally:
            stop.set()
            await running

    async def settled(self) -> None:
        async with asyncio.timeout(30):
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


@pytest.fixture
async def desk(make_rules: Callable[..., Rules], now: datetime) -> AsyncIterator[Desk]:
    config = BusConfig(
        url=f"memory://{secrets.token_hex(4)}",
        service="news-filter",
        retry=RetryPolicy(base_seconds=0.01, cap_seconds=0.02),
    )
    async with Bus.connect(config) as bus:
        yield Desk(bus, make_rules(), now)


def rejected(reason: str) -> float:
    return REGISTRY.get_sample_value("news_filter_rejected_total", {"reason": reason}) or 0


async def test_of_many_articles_only_the_good_ones_come_out_in_their_order(
    desk: Desk, make_article: Article, now: datetime
) -> None:
    old_before, weak_before = rejected("too-old"), rejected("sentiment-weak")
    articles = [
        make_article(1),
        make_article(2, published_at=now - timedelta(hours=24)),
        make_article(3, symbols=("LKFD.US",)),
        make_article(4, title="Apple shares plunge after downgrade"),
        make_article(5, title="Apple to report results on Monday", content=""),
        make_article(6, title="Tencent tops forecasts", symbols=("700.HK",)),
    ]
    await desk.bus.publish_many(NEWS_RAW, articles)
    async with desk.filtering():
        pass
    assert [message.event.link_hash for message in await desk.passed()] == [
        articles[0].link_hash,
        articles[5].link_hash,
    ]
    assert rejected("too-old") == old_before + 1
    assert rejected("sentiment-weak") == weak_before + 2


async def test_an_article_that_comes_twice_is_published_once(
    desk: Desk, make_article: Article
) -> None:
    before = rejected("already-published")
    await desk.bus.publish_many(NEWS_RAW, [make_article(1), make_article(1), make_article(2)])
    async with desk.filtering():
        pass
    assert len(await desk.passed()) == 2
    assert rejected("already-published") == before + 1


async def test_an_article_whose_publish_failed_comes_again_and_is_published(
    desk: Desk, make_article: Article
) -> None:
    desk.failures = 2
    await desk.bus.publish(NEWS_RAW, make_article(1))
    async with desk.filtering():
        pass
    assert len(await desk.passed()) == 1
    assert await desk.bus.dead(NEWS_RAW) == []


async def test_a_repeat_after_a_crash_has_the_same_event_id_and_link_hash(
    desk: Desk, make_article: Article
) -> None:
    await desk.bus.publish(NEWS_RAW, make_article(1))
    waiting = await desk.bus.waiting(NEWS_RAW, GROUP)
    await desk.filter().handle(waiting[0])  # published, then killed before the acknowledgement
    async with desk.filtering():
        pass
    first, second = await desk.passed()
    assert first.id == second.id == waiting[0].id
    assert first.event.link_hash == second.event.link_hash


async def test_an_event_that_cannot_be_read_is_dead_and_the_next_one_passes(
    desk: Desk, make_article: Article
) -> None:
    broken = make_article(1).model_copy(update={"link_hash": "no hash"})
    await desk.bus.publish_many(NEWS_RAW, [broken, make_article(2)])
    async with desk.filtering():
        pass
    dead = await desk.bus.dead(NEWS_RAW)
    assert [stored.letter.reason for stored in dead] == ["invalid-body"]
    assert "link_hash" in dead[0].letter.detail
    assert len(await desk.passed()) == 1
