"""The day, the minute and the circuit: what the client does not ask for."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from streamdesk.news_fetcher import errors
from streamdesk.news_fetcher.adapters.eodhd.client import EodhdSource
from streamdesk.news_fetcher.adapters.eodhd.minute_pace import MinutePace
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.domain.quota import Quota
from tests import eodhd_server
from tests.eodhd_server import KEY, Asked, EodhdServer, article, status

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
QUERY = NewsQuery(ticker="AAPL.US", since=NOW - timedelta(hours=24), until=NOW)
GUARD_SECONDS = 60
LONG_SECONDS = 3_600.0


class Outcomes(Counter[str]):
    """Counts the outcomes that a source reports of its requests."""

    def __call__(self, outcome: str) -> None:
        self[outcome] += 1


@asynccontextmanager
async def running(
    server: EodhdServer, **options: Any
) -> AsyncIterator[tuple[EodhdSource, Outcomes]]:
    server.articles = [article(1, NOW - timedelta(hours=1))]
    server.counted_on = server.counted_on or f"{NOW:%Y-%m-%d}"
    outcomes = Outcomes()
    defaults: dict[str, Any] = {
        "quota": Quota(100_000),
        "clock": lambda: NOW,
        "retry_pause_seconds": 0.001,
        "timeout_seconds": 30,
        "pause_seconds": LONG_SECONDS,
    }
    async with server.running(), asyncio.timeout(GUARD_SECONDS):
        source = EodhdSource(SecretStr(KEY), server.url, on_request=outcomes, **defaults | options)
        try:
            yield source, outcomes
        finally:
            await source.close()


async def failure(source: EodhdSource) -> errors.SourceError:
    with pytest.raises(errors.SourceError) as caught:
        await source.fetch(QUERY)
    return caught.value


async def pause_is_over(source: EodhdSource) -> None:
    while True:
        try:
            return source._circuit.check()
        except errors.CircuitOpenError:
            await asyncio.sleep(0.01)


async def test_the_first_request_asks_for_the_providers_count_and_later_ones_do_not() -> None:
    server = EodhdServer(used=700, calls_per_day=5_000)
    async with running(server) as (source, _):
        await asyncio.gather(*(source.fetch(QUERY) for _ in range(4)))
        assert [one.path for one in server.requests].count("/api/user") == 1
        assert server.requests[0].path == "/api/user"
        assert (source.quota.used, source.quota.limit) == (740, 5_000)


async def test_the_count_of_a_day_that_is_over_is_none_of_today() -> None:
    server = EodhdServer(used=5_000, calls_per_day=5_000, counted_on="2026-11-19")
    async with running(server) as (source, _):
        assert await source.learn_quota()
        assert source.quota.left(NOW) == 5_000


async def test_calls_that_were_bought_beyond_the_days_are_left_too() -> None:
    server = EodhdServer(used=5_000, calls_per_day=5_000, extra_calls=300)
    async with running(server) as (source, _):
        assert await source.learn_quota()
        assert source.quota.left(NOW) == 300


@pytest.mark.parametrize(
    "answer",
    [
        status(500),
        status(404),
        status(403),
        status(200, b"nothing"),
        status(200, b"[]"),
        status(200, b'{"apiRequests": -1, "dailyRateLimit": 5}'),
        status(200, b'{"apiRequests": true, "dailyRateLimit": 5}'),
        status(200, b'{"apiRequests": null}'),
        eodhd_server.cut(-1),
    ],
)
async def test_a_count_that_cannot_be_had_is_no_failure_of_the_news(answer: Any) -> None:
    async with running(EodhdServer(user=answer)) as (source, outcomes):
        assert not await source.learn_quota()
        assert len(await source.fetch(QUERY)) == 1
        assert outcomes == {"ok": 1}
        assert source.quota.used == 10


async def test_nothing_is_asked_for_that_the_day_has_no_calls_for() -> None:
    server = EodhdServer(calls_per_day=25)
    async with running(server) as (source, outcomes):
        for _ in range(2):
            await source.fetch(QUERY)
        error = await failure(source)
        assert isinstance(error, errors.QuotaExhaustedError)
        assert error.until == datetime(2026, 11, 21, tzinfo=UTC)
        assert len(server.news) == 2
        assert server.used == 20
        assert outcomes == {"ok": 2, "quota-exhausted": 1}


async def test_after_a_402_nothing_is_asked_for_until_midnight() -> None:
    now = NOW
    server = EodhdServer(answers=[eodhd_server.quota_gone()])
    async with running(server, clock=lambda: now) as (source, _):
        for _ in range(5):
            assert isinstance(await failure(source), errors.QuotaExhaustedError)
        assert len(server.news) == 1
        now = datetime(2026, 11, 21, tzinfo=UTC)
        await source.fetch(QUERY)
        assert len(server.news) == 2


async def test_a_day_that_is_used_up_by_others_shows_after_a_429() -> None:
    server = EodhdServer(calls_per_day=1_000)
    async with running(server) as (source, _):
        await source.fetch(QUERY)
        server.used = 1_000
        server.answers = [eodhd_server.too_many("0.5")]
        assert isinstance(await failure(source), errors.SourceBusyError)
        source._pace = MinutePace()  # the minute is over
        assert isinstance(await failure(source), errors.QuotaExhaustedError)
        assert len(server.news) == 2


async def test_after_a_429_nothing_is_asked_for_as_long_as_the_server_says() -> None:
    server = EodhdServer(answers=[eodhd_server.too_many("120")])
    async with running(server) as (source, outcomes):
        first = await failure(source)
        assert (type(first), first.retry_after_seconds) == (errors.SourceBusyError, 120)
        second = await failure(source)
        assert isinstance(second, errors.SourceBusyError)
        assert 0 < (second.retry_after_seconds or 0) <= 120
        assert len(server.news) == 1
        assert outcomes == {"rate-limited": 2}


async def test_requests_wait_when_the_server_says_that_little_of_the_minute_is_left() -> None:
    server = EodhdServer(calls_per_minute=1_000_000)
    few_left = status(200, b"[]", X_RateLimit_Limit="1000", X_RateLimit_Remaining="99")
    async with running(server) as (source, _):
        loop = asyncio.get_running_loop()
        server.answers = [few_left]
        started_at = loop.time()
        await source.fetch(QUERY)
        await source.fetch(QUERY)
        assert loop.time() - started_at >= 0.59  # a minute for a hundred requests; loops wake early


async def test_more_requests_than_the_minute_allows_wait_for_their_turn() -> None:
    server = EodhdServer()
    async with running(server, calls_per_minute=2) as (source, _):
        waiting = asyncio.create_task(source.fetch(QUERY))
        while not source._limiter._waiters:
            await asyncio.sleep(0.01)
        # The count took the one place there is; the next is free in a minute.
        assert [one.path for one in server.requests] == ["/api/user"]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_source_that_fails_all_the_time_is_left_alone() -> None:
    server = EodhdServer(always=status(500, b"broken"))
    async with running(server, failures=5) as (source, outcomes):
        await failure(source)
        assert not source.circuit_open
        for _ in range(4):
            error = await failure(source)
        assert isinstance(error, errors.CircuitOpenError)
        assert "500: broken" in str(error)
        assert 0 < (error.retry_after_seconds or 0) <= LONG_SECONDS
        assert source.circuit_open
        assert len(server.news) == 5
        assert outcomes["unavailable"] == 5
        assert outcomes["circuit-open"] == 4  # they count: the source is still what fails
        assert source.quota.used == 50


async def test_an_answer_between_failures_keeps_the_circuit_closed() -> None:
    server = EodhdServer(always=eodhd_server.every(2, status(200, b"not JSON")))
    async with running(server, failures=2) as (source, outcomes):
        for _ in range(6):  # one after another: the order is what matters
            await asyncio.gather(source.fetch(QUERY), return_exceptions=True)
            assert not source.circuit_open
        assert outcomes == {"ok": 3, "unreadable": 3}


@pytest.mark.parametrize("code", [401, 403, 404, 422, 429])
async def test_a_refusal_is_an_answer_and_opens_no_circuit(code: int) -> None:
    async with running(EodhdServer(always=status(code)), failures=1) as (source, _):
        await failure(source)
        assert not source.circuit_open


async def test_after_the_pause_one_request_goes_first_and_the_others_wait_for_it() -> None:
    opened = asyncio.Event()
    server = EodhdServer(always=status(500))
    async with running(server, failures=1, pause_seconds=0.05) as (source, outcomes):
        await failure(source)
        assert source.circuit_open
        await pause_is_over(source)
        server.always, before = eodhd_server.gate(opened), len(server.news)
        asking = [asyncio.create_task(source.fetch(QUERY)) for _ in range(4)]
        while len(server.news) == before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(server.news) == before + 1  # the probe alone
        opened.set()
        assert [len(found) for found in await asyncio.gather(*asking)] == [1, 1, 1, 1]
        assert not source.circuit_open
        assert outcomes["ok"] == 4


async def test_a_clock_that_is_set_back_leaves_no_source_alone_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = EodhdServer(always=status(500))
    async with running(server, failures=1, pause_seconds=0.05) as (source, _):
        await failure(source)
        assert source.circuit_open
        before = time.time() - 10 * LONG_SECONDS
        monkeypatch.setattr(time, "time", lambda: before)
        await pause_is_over(source)
        server.always = None
        assert len(await source.fetch(QUERY)) == 1
        assert not source.circuit_open


async def test_requests_that_wait_for_a_probe_that_fails_are_not_made() -> None:
    opened = asyncio.Event()

    async def late_failure(server: EodhdServer, writer: asyncio.StreamWriter, _: Asked) -> None:
        await opened.wait()
        await server.send(writer, 500, b"still broken")

    server = EodhdServer(always=status(500))
    async with running(server, failures=1) as (source, _):
        await failure(source)
        source._circuit._breaker._open_until = time.monotonic()  # the pause is over
        server.always, before = late_failure, len(server.news)
        asking = [asyncio.create_task(source.fetch(QUERY)) for _ in range(4)]
        while len(server.news) == before:
            await asyncio.sleep(0.01)
        opened.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(result) for result in results} == {errors.CircuitOpenError}
        assert all("still broken" in str(result) for result in results)
        assert len(server.news) == before + 1


async def test_a_probe_that_fails_leaves_the_source_alone_again() -> None:
    server = EodhdServer(always=status(500))
    async with running(server, failures=1, pause_seconds=0.05) as (source, _):
        await failure(source)
        while len(server.news) < 3:  # each time the pause is over
            assert isinstance(
                await failure(source),
                errors.CircuitOpenError | errors.NewsSourceUnavailableError,
            )
            assert source.circuit_open
            await asyncio.sleep(0.01)
        server.always = None
        while source.circuit_open:
            await asyncio.gather(source.fetch(QUERY), return_exceptions=True)
            await asyncio.sleep(0.01)
        assert len(await source.fetch(QUERY)) == 1
