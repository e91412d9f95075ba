"""The client against a server that speaks the API; what is odd is in test_eodhd_answers.py."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from streamdesk.news_fetcher import errors
from streamdesk.news_fetcher.adapters.eodhd.client import EodhdSource
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.domain.articles import RawArticle
from streamdesk.news_fetcher.domain.quota import Quota
from streamdesk.news_fetcher.errors import SourceError
from tests import eodhd_server
from tests.eodhd_server import KEY, EodhdServer, article, status

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
GUARD_SECONDS = 60


class Client:
    """A source beside its server, and what it reported of its requests."""

    def __init__(self, server: EodhdServer, **options: Any) -> None:
        self.server = server
        self.outcomes: Counter[str] = Counter()
        self.quota = options.pop("quota", None) or Quota(100_000)
        defaults: dict[str, Any] = {
            "key": SecretStr(KEY),
            "base_url": server.url,
            "clock": lambda: NOW,
            "retry_pause_seconds": 0.001,
            "timeout_seconds": 30,
        }
        self.source = EodhdSource(
            quota=self.quota,
            on_request=lambda outcome: self.outcomes.update([outcome]),
            **defaults | options,
        )

    async def fetch(self, ticker: str | None = "AAPL.US", hours: float = 24) -> list[RawArticle]:
        async with asyncio.timeout(GUARD_SECONDS):
            query = NewsQuery(ticker=ticker, since=NOW - timedelta(hours=hours), until=NOW)
            return list(await self.source.fetch(query))

    async def failure(self, ticker: str | None = "AAPL.US") -> SourceError:
        with pytest.raises(SourceError) as caught:
            await self.fetch(ticker)
        return caught.value


@asynccontextmanager
async def client(
    server: EodhdServer | None = None, answers: list[Any] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client of a server; `answers` are what that does about the first requests."""
    server = server or EodhdServer([article(1, NOW - timedelta(hours=1))])
    server.counted_on = f"{NOW:%Y-%m-%d}"
    server.answers += answers or []
    async with server.running():
        made = Client(server, **options)
        try:
            yield made
        finally:
            await made.source.close()


def stories(count: int, symbol: str = "AAPL.US", step_seconds: float = 1) -> list[dict[str, Any]]:
    """Articles one after another, the last an hour old."""
    start = NOW - timedelta(hours=1, seconds=count * step_seconds)
    return [
        article(number, start + timedelta(seconds=number * step_seconds), (symbol,))
        for number in range(count)
    ]


def links(found: list[RawArticle]) -> list[object]:
    return [one.link for one in found]


async def test_an_article_is_taken_as_it_is() -> None:
    at = datetime(2026, 11, 20, 14, tzinfo=UTC)
    async with client(EodhdServer([article(7, at, ("AAPL.US", "MSFT.US"))])) as made:
        assert await made.fetch() == [
            RawArticle(
                title="Story 7: profit beats estimates",
                link="https://news.example/7",
                published_at="2026-11-20T14:00:00+00:00",
                content="The text of story 7. It continues elsewhere [...]",
                symbols=["AAPL.US", "MSFT.US"],
                tags=["EARNINGS RESULTS"],
                polarity=0.5,
            )
        ]
        assert made.outcomes == {"ok": 1}


async def test_a_request_names_ticker_days_and_page_and_the_key() -> None:
    async with client() as made:
        await made.fetch()
        assert made.server.news == [
            {
                "s": "AAPL.US",
                "from": "2026-11-19",
                "to": "2026-11-20",
                "limit": "1000",
                "offset": "0",
                "fmt": "json",
                "api_token": KEY,
            }
        ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("700.HK", "0700.HK"), ("5.HK", "0005.HK"), ("9988.HK", "9988.HK"), ("BRK.B.US", "BRK-B.US")],
)
async def test_a_ticker_is_asked_for_in_eodhds_spelling(ours: str, theirs: str) -> None:
    async with client(EodhdServer(stories(1, theirs))) as made:
        assert len(await made.fetch(ours)) == 1
        assert made.server.news[0]["s"] == theirs


async def test_an_article_without_sentiment_or_text_is_an_article() -> None:
    bare = article(1, NOW, polarity=None, content=None, tags=None)
    async with client(EodhdServer([bare])) as made:
        [found] = await made.fetch()
        assert (found.polarity, found.content, found.tags) == (None, "", ())


async def test_no_news_is_an_empty_list_and_a_success() -> None:
    async with client(EodhdServer()) as made:
        assert await made.fetch() == []
        assert made.outcomes == {"ok": 1}


async def test_articles_of_the_day_before_since_are_left_out_and_the_rest_is_oldest_first() -> None:
    since = NOW - timedelta(hours=2)
    ages = [timedelta(0), timedelta(seconds=1), timedelta(hours=-1), timedelta(minutes=-90)]
    server = EodhdServer([article(number, since - age) for number, age in enumerate(ages)])
    async with client(server) as made:
        assert links(await made.fetch(hours=2)) == [
            f"https://news.example/{number}" for number in (0, 2, 3)
        ]


async def test_an_article_without_a_readable_date_is_left_to_the_rules() -> None:
    odd = article(1, NOW, date="2026-11-20 soon")
    async with client(EodhdServer([odd])) as made:
        assert links(await made.fetch()) == ["https://news.example/1"]


async def test_ten_thousand_articles_at_once_all_come_each_once_in_eleven_requests() -> None:
    async with client(EodhdServer(stories(10_000))) as made:
        found = await made.fetch()
        assert links(found) == [f"https://news.example/{number}" for number in range(10_000)]
        assert len(made.server.news) == 11
        assert made.quota.used == made.server.used == 110


async def test_no_page_is_asked_for_that_can_only_hold_older_articles() -> None:
    async with client(EodhdServer(stories(3_000, step_seconds=10))) as made:
        found = await made.fetch(hours=2)
        assert len(found) == 360
        assert len(made.server.news) == 1


@pytest.mark.parametrize("largest_page", [50, 100, 500])
async def test_a_server_that_sends_shorter_pages_than_asked_for_loses_nothing(
    largest_page: int,
) -> None:
    server = EodhdServer(stories(largest_page * 3), largest_page=largest_page)
    async with client(server) as made:
        assert len(await made.fetch()) == largest_page * 3


async def test_a_server_that_ignores_the_offset_is_an_error_and_no_endless_loop() -> None:
    page = json.dumps(stories(1_000)[::-1]).encode()
    server = EodhdServer(always=status(200, page))
    async with client(server) as made:
        error = await made.failure()
        assert isinstance(error, errors.SourceUnreadableError)
        assert "no end" in str(error)
        assert made.outcomes["unreadable"] == 1
        assert len(server.news) <= 5


async def test_a_page_that_fails_fails_the_query_and_nothing_of_it_is_passed_on() -> None:
    server = EodhdServer(stories(2_500))
    server.after_page = [lambda server: server.answers.append(status(404, b"gone"))]
    async with client(server) as made:
        assert isinstance(await made.failure(), errors.BadRequestError)
        assert made.outcomes == {"ok": 1, "bad-request": 1}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (status(401, b"Unauthenticated"), errors.KeyRefusedError, "EODHD_API_KEY"),
        (status(403, b'{"error":"no"}'), errors.KeyRefusedError, "EODHD_API_KEY"),
        (status(200, b"Unauthenticated"), errors.KeyRefusedError, "EODHD_API_KEY"),
        (status(200, b'{"error":"no","code":403}'), errors.KeyRefusedError, "EODHD_API_KEY"),
        (eodhd_server.quota_gone(), errors.QuotaExhaustedError, "2026-11-21 00:00"),
        (status(429, b"Daily limit reached"), errors.QuotaExhaustedError, "2026-11-21 00:00"),
        (status(200, b'{"code":402}'), errors.QuotaExhaustedError, "2026-11-21 00:00"),
        (eodhd_server.too_many("7"), errors.SourceBusyError, "7 s"),
        (eodhd_server.too_many(), errors.SourceBusyError, "60 s"),
        (status(422, b'{"errors":{"s":["bad"]}}'), errors.BadRequestError, "bad"),
        (status(301, b"", Location="http://192.0.2.1/"), errors.SourceUnreadableError, "EODHD_URL"),
        (status(200, b"<html>Soon back</html>"), errors.SourceUnreadableError, "not JSON"),
        (status(200, b""), errors.SourceUnreadableError, "empty"),
        (status(200, b"{}"), errors.SourceUnreadableError, "an object"),
        (status(200, b"null"), errors.SourceUnreadableError, "null"),
        (status(200, b'["a", 1]'), errors.SourceUnreadableError, "none of them"),
        (status(200, b"[" * 100_000), errors.SourceUnreadableError, "not JSON"),
        (status(204, b""), errors.SourceUnreadableError, "204"),
        (eodhd_server.flood(), errors.SourceUnreadableError, "more than"),
        (status(200, b"[" * 9, Content_Encoding="gzip"), errors.SourceUnreadableError, "Decoding"),
    ],
)
async def test_an_answer_without_articles_is_an_error_of_its_kind_and_not_asked_for_twice(
    answer: Any, kind: type[SourceError], words: str
) -> None:
    async with client(answers=[answer]) as made:
        error = await made.failure()
        assert type(error) is kind
        assert words in str(error)
        assert len(made.server.news) == 1
        assert made.outcomes == {kind.reason: 1}


@pytest.mark.parametrize(
    "answer",
    [
        status(500, b"oops"),
        status(503, b"busy", Retry_After="0"),
        status(408, b""),
        eodhd_server.cut(-1),
        eodhd_server.cut(0),
        eodhd_server.cut(40),
        eodhd_server.raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"),
    ],
)
async def test_what_may_be_gone_in_a_moment_is_asked_for_again_and_each_time_is_counted(
    answer: Any,
) -> None:
    async with client(answers=[answer, answer]) as made:
        assert len(await made.fetch()) == 1
        assert made.outcomes == {"unavailable": 2, "ok": 1}
        assert made.quota.used == 30


async def test_after_three_attempts_the_failure_is_the_answer() -> None:
    async with client(EodhdServer(always=status(503, b"down"))) as made:
        error = await made.failure()
        assert isinstance(error, errors.NewsSourceUnavailableError)
        assert "503: down" in str(error)
        assert len(made.server.news) == 3


async def test_a_server_that_wants_to_be_left_alone_for_long_is_not_asked_again_now() -> None:
    server = EodhdServer(always=status(503, b"", Retry_After="120"))
    async with client(server) as made:
        assert (await made.failure()).retry_after_seconds == 120
        assert len(server.news) == 1


@pytest.mark.parametrize("answer", [eodhd_server.silence(), eodhd_server.drip()])
async def test_an_answer_that_is_not_whole_in_time_is_given_up(answer: Any) -> None:
    async with client(EodhdServer(always=answer), timeout_seconds=0.2) as made:
        error = await made.failure()
        assert isinstance(error, errors.NewsSourceUnavailableError)
        assert "in 0.2 s" in str(error)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with client(base_url="http://127.0.0.1:1") as made:
        error = await made.failure()
        assert isinstance(error, errors.NewsSourceUnavailableError)
        assert "http://127.0.0.1:1" in str(error)


async def test_a_query_without_a_ticker_is_an_error_and_costs_nothing() -> None:
    async with client() as made:
        assert isinstance(await made.failure(None), errors.BadRequestError)
        assert made.server.requests == []


async def test_a_key_from_a_file_may_end_in_a_line_end() -> None:
    async with client(key=SecretStr(f"{KEY}\n")) as made:
        assert len(await made.fetch()) == 1


async def test_an_address_may_end_in_a_slash() -> None:
    async with EodhdServer(stories(1)).running() as server:
        made = Client(server, base_url=f"{server.url}/")
        assert len(await made.fetch()) == 1
        await made.source.close()


def test_what_is_no_address_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match=r"'http://127\.0\.0\.1:many' is no address: Invalid port"):
        EodhdSource(SecretStr(KEY), "http://127.0.0.1:many", quota=Quota(1))
