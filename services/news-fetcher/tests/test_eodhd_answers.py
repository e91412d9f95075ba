"""Whatever comes, it is articles or a SourceError; and what single answers mean."""

import asyncio
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from streamdesk.news_fetcher.adapters.eodhd.answers import (
    Usage,
    rate_limit,
    read_usage,
    retry_after_seconds,
)
from streamdesk.news_fetcher.adapters.eodhd.client import EodhdSource
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle, accept, published
from streamdesk.news_fetcher.domain.quota import Quota
from streamdesk.news_fetcher.errors import ArticleError, SourceError
from tests.eodhd_server import KEY, Answer, EodhdServer, raw

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
QUERY = NewsQuery(ticker="AAPL.US", since=NOW - timedelta(hours=24), until=NOW)
LIMITS = FetchLimits(content_max_chars=1_000, future_tolerance=timedelta(minutes=5))

# -- unforeseen answers ------------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),  # also NaN and Infinity, which Python's JSON has
    st.text(max_size=20),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
dates = st.one_of(
    anything,
    st.datetimes().map(lambda at: at.isoformat()),
    st.integers(0, 100_000).map(lambda age: (NOW - timedelta(seconds=age)).isoformat()),
)
NAMES = ("date", "title", "content", "link", "symbols", "tags", "sentiment", "polarity")
articles = st.fixed_dictionaries(
    {},
    optional={
        "date": dates,
        "title": st.one_of(st.text(max_size=30), anything),
        "content": st.one_of(st.text(max_size=30), anything),
        "link": st.one_of(st.just("https://news.example/1"), st.text(max_size=30), anything),
        "symbols": st.one_of(st.lists(st.text(max_size=8), max_size=3), anything),
        "tags": anything,
        "sentiment": st.one_of(st.fixed_dictionaries({"polarity": anything}), anything),
    },
)
codes = st.sampled_from([200, 301, 400, 401, 402, 403, 404, 422, 429, 500, 503])
found_errors = st.fixed_dictionaries({"code": st.one_of(codes, anything), "error": anything})
documents = st.one_of(
    st.lists(articles, max_size=4),
    st.lists(st.one_of(articles, anything), max_size=4),
    # As long as a page that was capped: another one is asked for.
    st.builds(lambda one, count: [one] * count, articles, st.sampled_from([50, 100, 1_000])),
    found_errors,
    anything,
)
texts = st.sampled_from(
    [b"Unauthenticated", b"Forbidden", b"<html>", b"\xff\xfe", b"\x00", b"[" * 9]
)
bodies = st.one_of(
    documents.map(lambda found: json.dumps(found).encode()),
    documents.map(lambda found: json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")),
    documents.map(lambda found: json.dumps(found).encode("utf-16")),
    documents.map(lambda found: json.dumps(found).encode()[:-1]),
    st.binary(max_size=60),
    texts,
)
odd_values = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1e9", "9" * 400, "nan", "soon", "Fri, 20 Nov 2026 15:31:00 GMT", "\xe9"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Retry-After",
            "Date",
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "Content-Type",
            "Location",
            "Set-Cookie",
            "Connection",
            "Content-Encoding",
            "Transfer-Encoding",
        ]
    ),
    odd_values,
    max_size=3,
)
lengths = st.sampled_from(["right"] * 6 + ["none", "short", "long", "nonsense"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The bytes of an answer, and its body as it was meant."""
    body = draw(bodies)
    fields = draw(headers)
    sent = body
    if draw(st.integers(0, 9)) == 0:
        fields, sent = fields | {"Content-Encoding": "gzip"}, gzip.compress(body)
    length = {"right": len(sent), "short": len(sent) // 2, "long": len(sent) + 9}
    named = draw(lengths)
    if named != "none":
        fields = fields | {"Content-Length": str(length.get(named, "many"))}
    code = draw(st.one_of(st.just(200), st.just(200), codes, st.integers(100, 999)))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {code} Said\r\n{head}\r\n".encode("latin-1", "replace") + sent, body


async def asked(answer: Answer) -> list[RawArticle] | SourceError:
    """What the client makes of an answer that the server gives to every request."""
    async with EodhdServer(always=answer, user=answer).running() as server:
        source = EodhdSource(
            SecretStr(KEY),
            server.url,
            quota=Quota(10**9),
            calls_per_minute=10**6,
            retry_pause_seconds=0.0001,
            timeout_seconds=30,
            clock=lambda: NOW,
        )
        try:
            async with asyncio.timeout(120):
                return list(await source.fetch(QUERY))
        except SourceError as error:
            return error
        finally:
            await source.close()


def check_error(error: SourceError) -> None:
    assert str(error)
    assert error.reason != SourceError.reason
    assert error.retry_after_seconds is None or error.retry_after_seconds >= 0
    assert error.__cause__ is None


def check(result: list[RawArticle] | SourceError, body: bytes) -> None:
    """Articles that the rules can judge, an error that says something, or nothing for nothing."""
    if isinstance(result, SourceError):
        check_error(result)
        return
    sent = json.loads(body)
    assert isinstance(sent, list)
    if not result:  # then every one of them is too old
        dated = [published(RawArticle(title="", link="", published_at=one["date"])) for one in sent]
        assert all(at is not None and at < QUERY.since for at in dated)
    for one in result:
        try:
            accept(one, source="eodhd", fetched_at=NOW, limits=LIMITS)
        except ArticleError as error:
            assert error.reason  # noqa: PT017 - either is right


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answer=answers())
def test_whatever_is_answered_it_is_articles_or_a_typed_error(answer: tuple[bytes, bytes]) -> None:
    check(asyncio.run(asked(raw(answer[0]))), answer[1])


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=200))
def test_whatever_bytes_come_instead_of_http_it_is_a_typed_error(noise: bytes) -> None:
    assert isinstance(asyncio.run(asked(raw(noise))), SourceError)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n[]",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 500,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n[]",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500_000 + b"\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n[]",
        b"HTTP/2 200\r\n\r\n[]",
        b"[]",
    ],
)
async def test_http_that_goes_wrong_is_a_typed_error(answer: bytes) -> None:
    assert isinstance(await asked(raw(answer)), SourceError)


async def test_an_answer_of_a_deep_or_long_number_is_no_crash() -> None:
    for body in (b"[" * 200_000 + b"]" * 200_000, b"[" + b"9" * 50_000 + b"]", b"[1e999999]"):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        assert isinstance(await asked(raw(head + body)), SourceError)


# -- single answers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 17 "}, 17),
        ({"retry-after": "9" * 400}, 3_600),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 15:31:00 GMT"}, None),
        (
            {
                "retry-after": "Fri, 20 Nov 2026 15:31:00 GMT",
                "date": "Fri, 20 Nov 2026 15:30:20 GMT",
            },
            40,
        ),
        (
            {
                "retry-after": "Fri, 20 Nov 2026 15:31:00 GMT",
                "date": "Fri, 20 Nov 2026 15:32:00 GMT",
            },
            0,
        ),
        (
            {"retry-after": "Fri, 20 Nov 2026 15:31:00 GMT", "date": "Fri, 20 Nov 2026 15:31:00"},
            None,
        ),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers) == seconds


@pytest.mark.parametrize(
    ("limit", "left", "expected"),
    [
        ("1000", "999", (1000, 999)),
        ("1000", "", None),
        ("", "3", None),
        ("many", "3", None),
        ("1000", "-1", None),
        ("²", "3", None),
    ],
)
def test_the_minutes_headers_count_where_both_are_numbers(
    limit: str, left: str, expected: tuple[int, int] | None
) -> None:
    headers = {"x-ratelimit-limit": limit, "x-ratelimit-remaining": left}
    assert rate_limit(headers) == expected


def usage(**changes: Any) -> Usage | None:
    found = {"apiRequests": 7, "apiRequestsDate": "2026-11-20", "dailyRateLimit": 20}
    return read_usage(json.dumps(found | changes).encode(), date(2026, 11, 20))


def test_the_count_is_todays_and_bought_calls_are_on_top_of_it() -> None:
    assert usage() == Usage(7, 20)
    assert usage(apiRequests="7", dailyRateLimit="20") == Usage(7, 20)
    assert usage(apiRequestsDate="2026-11-19") == Usage(0, 20)
    assert usage(extraLimit=500) == Usage(7, 520)
    assert usage(apiRequests=25, extraLimit=495) == Usage(25, 520)
    assert usage(apiRequests=None) is None
    assert usage(dailyRateLimit=2.5) is None
