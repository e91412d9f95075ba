"""Whatever fails, the key is nowhere to be read."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
import structlog
from prometheus_client import generate_latest
from pydantic import SecretStr

from streamdesk.news_fetcher.adapters.eodhd.client import EodhdSource
from streamdesk.news_fetcher.adapters.eodhd.http import EodhdHttp
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.domain.quota import Quota
from streamdesk.news_fetcher.errors import SourceError
from tests import eodhd_server
from tests.eodhd_server import EodhdServer, article, status

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
QUERY = NewsQuery(ticker="AAPL.US", since=NOW - timedelta(hours=24), until=NOW)
SECRET = "not/a real+key&1234.5678"  # noqa: S105 - a placeholder with all that is written differently in an address
SPELLINGS = {SECRET, quote(SECRET, safe=""), quote_plus(SECRET), quote(SECRET), SECRET[:12]}
REPEATED = f"api_token={quote(SECRET, safe='')} or {SECRET} or {quote_plus(SECRET)} ".encode()
LONG = b"x" * 100 + REPEATED * 20  # cut in the middle of a key, the rest must not show

FAILURES: dict[str, Any] = {
    "401 that repeats the key": status(401, REPEATED),
    "402": eodhd_server.quota_gone(),
    "403 that repeats the key": status(403, LONG),
    "404": status(404, REPEATED),
    "429": eodhd_server.too_many("30"),
    "500 that repeats the key": status(500, LONG),
    "redirect": status(302, b"", Location=f"https://192.0.2.1/?{REPEATED.decode()}"),
    "cut before the head": eodhd_server.cut(-1),
    "cut in the body": eodhd_server.cut(10),
    "silence": eodhd_server.silence(),
    "drip": eodhd_server.drip(),
    "not JSON": status(200, REPEATED),
    "object": status(200, b'{"error": "' + REPEATED + b'"}'),
    "list of texts": status(200, b'["' + REPEATED + b'"]'),
    "not gzip": status(200, REPEATED, Content_Encoding="gzip"),
    "no HTTP": eodhd_server.raw(REPEATED + b"\r\n\r\n"),
    "broken head": eodhd_server.raw(b"HTTP/1.1 200 OK\r\n" + REPEATED + b"\r\n\r\n"),
    "broken chunk": eodhd_server.raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + REPEATED + b"\r\n"
    ),
}


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[list[object]]:
    """Everything that any logger logs, at the lowest level."""
    loud = [name for name in logging.root.manager.loggerDict if name.startswith("http")]
    before = {name: logging.getLogger(name).level for name in loud}
    caplog.set_level(logging.DEBUG)
    for name in loud:
        logging.getLogger(name).setLevel(logging.DEBUG)
    with structlog.testing.capture_logs() as structured:
        found: list[object] = [structured, caplog.handler.stream]
        yield found
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def shown_by(error: BaseException | None) -> Iterator[str]:
    """All that an exception can be made to show, and what it is chained to."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        ours = [frame for frame in stack if "/tests/" not in frame.filename]  # a test knows the key
        assert ours
        yield from (f"{frame.line} {frame.locals}" for frame in ours)
        yield from map(repr, getattr(error, "__notes__", []))
        assert error.__cause__ is None
        error = error.__context__


async def fetched(source: EodhdSource) -> SourceError:
    async with asyncio.timeout(60):
        with pytest.raises(SourceError) as caught:
            await source.fetch(QUERY)
    return caught.value


def assert_hidden(texts: Iterator[str]) -> None:
    for text in texts:
        for spelling in SPELLINGS:
            assert spelling not in text, text


@pytest.mark.parametrize("name", FAILURES)
async def test_no_failure_shows_the_key(
    name: str, all_logs: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    server = EodhdServer([article(1, NOW)], key=SECRET, always=FAILURES[name])
    endless = name in {"silence", "drip"}
    timeout_seconds = 0.5 if endless else 30.0
    async with server.running():
        source = EodhdSource(
            SecretStr(SECRET),
            server.url,
            quota=Quota(100_000),
            timeout_seconds=timeout_seconds,
            retry_pause_seconds=0.001,
            clock=lambda: NOW,
        )
        error = await fetched(source)
        sent = {one["api_token"] for one in server.news}
        assert sent == {SECRET} or (endless and not sent)  # a slow machine may not come that far
        assert_hidden(shown_by(error))
        shown = [repr(source), repr(vars(source)), repr(source._http), repr(vars(source._http))]
        assert_hidden(iter(shown))
        await source.close()
    assert "HTTP Request: GET" in caplog.text or endless
    assert_hidden(iter([caplog.text, repr(all_logs), generate_latest().decode()]))


async def test_a_server_that_cannot_be_reached_shows_no_key(
    all_logs: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    for url in ("http://127.0.0.1:1", "nonsense://127.0.0.1"):
        source = EodhdSource(
            SecretStr(SECRET), url, quota=Quota(100_000), retry_pause_seconds=0.001
        )
        assert_hidden(shown_by(await fetched(source)))
        await source.close()
    assert_hidden(iter([caplog.text, repr(all_logs)]))


async def test_a_client_that_is_closed_says_so_without_the_key() -> None:
    http = EodhdHttp(SecretStr(SECRET), "http://127.0.0.1:1", timeout_seconds=1.0, connections=1)
    await http.close()
    with pytest.raises(SourceError, match="closed") as caught:
        await http.get("/api/news", {})
    assert_hidden(shown_by(caught.value))


async def test_the_address_in_an_answer_has_no_key() -> None:
    async with EodhdServer(key=SECRET).running() as server:
        http = EodhdHttp(SecretStr(SECRET), server.url, timeout_seconds=30.0, connections=1)
        async with http._http.stream("GET", "/api/user") as response:
            assert response.status_code == 200  # the key was right
            assert isinstance(response.request.url, httpx.URL)
            assert_hidden(iter([str(response.url), repr(response), repr(response.request)]))
        await http.close()
