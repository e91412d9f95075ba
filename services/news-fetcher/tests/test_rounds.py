import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from streamdesk.bus import Bus, BusConfig, BusUnavailableError
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_RAW
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.application.fetch_round import CHUNK, FetchRounds, Reach
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle
from streamdesk.news_fetcher.domain.links import SeenWindow
from streamdesk.news_fetcher.errors import (
    KeyRefusedError,
    NewsSourceUnavailableError,
    QuotaExhaustedError,
    SourceError,
)
from streamdesk.runtime import Drain

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
LOOKBACK = timedelta(hours=24)
OVERLAP = timedelta(hours=1)
APPLE, TENCENT = "AAPL.US", "700.HK"
Answer = Sequence[RawArticle] | Exception | None


def article(number: int, **changes: Any) -> RawArticle:
    values: dict[str, Any] = {
        "title": f"Story {number}",
        "link": f"https://news.example/{number}",
        "published_at": NOW,
    }
    return RawArticle(**(values | changes))


class Scripted:
    """A source that answers about each ticker as set up: articles, an error, or (None) never."""

    by_ticker = True
    quota = None
    circuit_open = False

    def __init__(self, **answers: Sequence[Answer]) -> None:
        self.name = f"scripted-{uuid4().hex}"  # state and metrics of its own
        self.asked: list[NewsQuery] = []
        self.at_once = self.most_at_once = 0
        self._answers = {name: list(found) for name, found in answers.items()}

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:
        self.asked.append(query)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        answers = self._answers.get(str(query.ticker).replace(".", "_"), [])
        answer = answers.pop(0) if answers else []
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    async def learn_quota(self) -> bool:
        return False

    async def close(self) -> None:
        pass

    def counted(self, metric: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(metric, {"source": self.name} | labels) or 0


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=f"memory://{uuid4().hex}")) as bus:
        yield bus


async def asking(
    bus: Bus, source: Any, publish: Any = None, tickers: Sequence[str] = (APPLE,), **reach: Any
) -> FetchRounds:
    """FetchRounds of a process that leads."""

    async def publish_all(events: Sequence[NewsFetched], ids: Sequence[str]) -> Sequence[str]:
        return await bus.publish_many(NEWS_RAW, events, event_ids=ids)

    keeper = StateKeeper(bus.keys, source.name, lease_seconds=600)
    assert await keeper.lead()
    return FetchRounds(
        source=source,
        tickers=tickers,
        publish=publish or publish_all,
        keeper=keeper,
        seen=SeenWindow(10_000),
        limits=FetchLimits(content_max_chars=1_000, future_tolerance=timedelta(minutes=5)),
        reach=replace(Reach(lookback=LOOKBACK, overlap=OVERLAP, concurrency=4), **reach),
        clock=lambda: NOW,
    )


async def published(bus: Bus) -> list[NewsFetched]:
    return [message.event async for message in bus.replay(NEWS_RAW, "0")]


async def test_new_articles_are_published_in_the_order_of_the_source(bus: Bus) -> None:
    source = Scripted(AAPL_US=[[article(1), article(2)]])
    result = await (await asking(bus, source)).round(Drain())
    events = await published(bus)
    assert [event.title for event in events] == ["Story 1", "Story 2"]
    assert {(event.source, event.ticker) for event in events} == {(source.name, APPLE)}
    assert (result.fetched, result.published, result.broken) == (2, 2, "")


async def test_an_article_is_published_once_whatever_its_link_is_decorated_with(bus: Bus) -> None:
    again = article(1, link="https://news.example/1/?utm_source=mail", title="Story 1, updated")
    source = Scripted(AAPL_US=[[article(1), article(1), again], [again, article(2)]])
    rounds = await asking(bus, source)
    first, second = await rounds.round(Drain()), await rounds.round(Drain())
    assert [event.title for event in await published(bus)] == ["Story 1", "Story 2"]
    assert (first.duplicates, second.duplicates) == (2, 1)
    assert source.counted("news_duplicates_total") == 3
    assert source.counted("news_fetched_total") == 5


async def test_an_article_about_several_tickers_is_published_for_the_first_that_brings_it(
    bus: Bus,
) -> None:
    source = Scripted(AAPL_US=[[article(1), article(2)]], **{"700_HK": [[article(2), article(3)]]})
    before = REGISTRY.get_sample_value("news_articles_total", {"ticker": TENCENT}) or 0
    rounds = await asking(bus, source, tickers=(APPLE, TENCENT), concurrency=1)
    result = await rounds.round(Drain())
    events = {event.title: event.ticker for event in await published(bus)}
    assert events == {"Story 1": APPLE, "Story 2": APPLE, "Story 3": TENCENT}
    assert (result.published, result.duplicates) == (3, 1)
    assert REGISTRY.get_sample_value("news_articles_total", {"ticker": TENCENT}) == before + 1


async def test_a_bad_article_is_counted_by_its_reason_and_the_others_are_published(
    bus: Bus,
) -> None:
    bad = [
        article(1, title=None),
        article(2, link=""),
        article(3, link="ftp://x"),
        article(4, published_at="soon"),
        article(5, published_at=NOW + timedelta(days=400)),
        article(7, published_at=NOW - timedelta(days=400)),
        RawArticle(title=object(), link=object(), published_at=object(), symbols=object()),
    ]
    source = Scripted(AAPL_US=[[*bad, article(6)]])
    result = await (await asking(bus, source)).round(Drain())
    assert result.rejected == {
        "title-missing": 2,
        "link-missing": 1,
        "link-invalid": 1,
        "date-invalid": 1,
        "date-in-future": 1,
        "date-too-old": 1,
    }
    assert [event.title for event in await published(bus)] == ["Story 6"]
    assert source.counted("news_articles_invalid_total", reason="title-missing") == 2


async def test_more_articles_than_fit_into_one_publish_all_arrive(bus: Bus) -> None:
    many = [article(number) for number in range(2 * CHUNK + 1)]
    result = await (await asking(bus, Scripted(AAPL_US=[many]))).round(Drain())
    assert [event.title for event in await published(bus)] == [raw.title for raw in many]
    assert result.published == len(many)


async def test_the_failure_of_a_ticker_does_not_keep_the_others_from_their_news(bus: Bus) -> None:
    source = Scripted(AAPL_US=[NewsSourceUnavailableError("503")], **{"700_HK": [[article(1)]]})
    rounds = await asking(bus, source, tickers=(APPLE, TENCENT))
    result = await rounds.round(Drain())
    assert (result.failed, result.published) == ({APPLE: "unavailable"}, 1)
    assert not result.over
    await rounds.round(Drain())
    since = {query.ticker: query.since for query in source.asked[-2:]}
    assert since == {APPLE: NOW - LOOKBACK, TENCENT: NOW - OVERLAP}


@pytest.mark.parametrize(
    "error",
    [
        QuotaExhaustedError("all used", until=NOW + timedelta(hours=8), now=NOW),
        KeyRefusedError("403"),
    ],
)
async def test_a_used_up_quota_and_a_refused_key_end_the_round(
    bus: Bus, error: SourceError
) -> None:
    source = Scripted(AAPL_US=[error])
    tickers = (APPLE, TENCENT, "5.HK", "9988.HK")
    result = await (await asking(bus, source, tickers=tickers, concurrency=1)).round(Drain())
    assert [query.ticker for query in source.asked] == [APPLE]
    assert result.stop is error


async def test_no_more_tickers_are_asked_about_at_a_time_than_is_set(bus: Bus) -> None:
    source = Scripted()
    tickers = tuple(f"T{number}.US" for number in range(30))
    await (await asking(bus, source, tickers=tickers, concurrency=3)).round(Drain())
    assert [query.ticker for query in source.asked] == list(tickers)
    assert source.most_at_once == 3


async def test_a_bug_in_a_source_is_a_failure_of_its_ticker_and_keeps_its_traceback(
    bus: Bus,
) -> None:
    source = Scripted(AAPL_US=[KeyError("date")], **{"700_HK": [[article(1)]]})
    result = await (await asking(bus, source, tickers=(APPLE, TENCENT))).round(Drain())
    assert result.failed == {APPLE: "unexpected"}
    assert isinstance(result.error, KeyError)
    assert result.error.__traceback__ is not None
    assert source.counted("news_fetch_failure_total", reason="unexpected") == 1
    assert len(await published(bus)) == 1


async def test_a_source_that_never_answers_is_given_up_for_the_round(bus: Bus) -> None:
    source = Scripted(AAPL_US=[None, [article(1)]])
    rounds = await asking(bus, source, answer_seconds=0.01)
    first = await rounds.round(Drain())
    assert first.failed == {APPLE: "unavailable"}
    assert "0.01 s" in str(first.error)
    assert (await rounds.round(Drain())).published == 1


async def test_what_could_not_be_published_comes_again_in_the_next_round(bus: Bus) -> None:
    source = Scripted(AAPL_US=[[article(1)], [article(1)], [article(1)]])
    sent: list[str] = []
    outage = iter([True])

    async def publish(_events: Sequence[NewsFetched], ids: Sequence[str]) -> Sequence[str]:
        if next(outage, False):
            raise BusUnavailableError("no server")
        sent.extend(ids)
        return ["1-1"]

    rounds = await asking(bus, source, publish)
    first, second, third = [await rounds.round(Drain()) for _ in range(3)]
    assert (first.broken, first.published) == ("no server", 0)
    assert (second.published, third.published, third.duplicates) == (1, 0, 1)
    assert len(sent) == 1
    since = [query.since for query in source.asked]
    assert since == [NOW - LOOKBACK, NOW - LOOKBACK, NOW - OVERLAP]


async def test_a_later_round_reaches_back_from_the_newest_article_and_never_too_far(
    bus: Bus,
) -> None:
    newest = NOW - timedelta(hours=2)
    dated = [article(n, published_at=newest - timedelta(hours=n)) for n in (3, 0, 1)]
    stale = [article(9, published_at=NOW - timedelta(hours=30))]
    source = Scripted(AAPL_US=[[], dated, [], []], **{"700_HK": [stale, []]})
    rounds = await asking(bus, source, tickers=(APPLE, TENCENT))
    for _ in range(3):
        await rounds.round(Drain())
    apple = [query.since for query in source.asked if query.ticker == APPLE]
    tencent = [query.since for query in source.asked if query.ticker == TENCENT]
    assert apple == [NOW - LOOKBACK, NOW - LOOKBACK, newest - OVERLAP]
    assert tencent == [NOW - LOOKBACK] * 3


async def test_a_stop_ends_a_round_between_two_tickers(bus: Bus) -> None:
    drain = Drain()
    source = Scripted(AAPL_US=[[article(1)]], **{"700_HK": [[article(2)]]})
    rounds = await asking(bus, source, tickers=(APPLE, TENCENT), concurrency=1)

    def stop_after_the_first() -> Callable[[NewsFetched], None]:
        return lambda _event: drain.request()

    rounds._on_published = stop_after_the_first()
    result = await rounds.round(drain)
    assert (result.published, result.broken) == (1, "the process is stopping")
    assert [query.ticker for query in source.asked] == [APPLE]


async def test_nothing_is_asked_without_the_lease(bus: Bus) -> None:
    source = Scripted(AAPL_US=[[article(1)]])
    rounds = await asking(bus, source)
    await rounds._keeper.leave()
    result = await rounds.round(Drain())
    assert "not ours" in result.broken
    assert source.asked == []
