"""Both news services as processes, on a real Valkey server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW

WANTED = 12  # more articles than one deck of the source can pass: by then it has brought every kind
Start = Callable[..., subprocess.Popen[str]]
Server = Any  # tests.servers.StreamServer: what a member tests stands without the root


@pytest.fixture
def server(start_server: Callable[[], Server]) -> Server:
    return start_server()


@pytest.fixture
def start(server: Server) -> Iterator[Start]:
    """`start("news_filter", NAME="value")` runs a service as a user would."""
    begun: list[subprocess.Popen[str]] = []

    def begin(module: str, **environment: str) -> subprocess.Popen[str]:
        common = {
            "REDIS_URL": server.url,
            "METRICS_PORT": "0",
            "METRICS_HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", f"streamdesk.{module}"],
            env=os.environ | common | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


async def filtered(server: Server, count: int) -> list[NewsFiltered]:
    """The first `count` filtered articles, waited for."""
    articles: list[NewsFiltered] = []
    stop = asyncio.Event()
    async with Bus.connect(BusConfig(url=server.url)) as bus, asyncio.timeout(60):
        async for message in bus.tail(NEWS_FILTERED, since="0", stop=stop):
            articles.append(message.event)
            if len(articles) == count:
                stop.set()
    return articles[:count]


def end(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Stop it in order; its log."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


async def test_news_is_fetched_filtered_and_stopped_without_a_word_of_complaint(
    server: Server, start: Start
) -> None:
    news_filter = start("news_filter", LOG_LEVEL="debug")
    fetcher = start("news_fetcher", NEWS_INTERVAL_SECONDS="0.1")
    articles = await filtered(server, WANTED)
    assert all(article.sentiment > 0.5 for article in articles)
    assert len({article.link_hash for article in articles}) == WANTED
    fetcher_log, filter_log = end(fetcher), end(news_filter)
    bad = [line for line in fetcher_log + filter_log if line["level"] in ("warning", "error")]
    assert bad == []
    dropped = {line["reason"] for line in filter_log if line["event"] == "article dropped"}
    assert dropped == {"too-old", "ticker-not-listed", "sentiment-weak"}
    assert sum(line.get("duplicates", 0) for line in fetcher_log) > 0
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        assert await bus.dead(NEWS_RAW) == []


async def test_a_filter_that_was_killed_is_followed_by_one_that_takes_what_it_left(
    server: Server, start: Start
) -> None:
    fetcher = start("news_fetcher", NEWS_INTERVAL_SECONDS="0.05")
    first = start("news_filter", BUS_LEASE_SECONDS="1")
    await filtered(server, 3)
    first.send_signal(signal.SIGSTOP)  # so that something is left, whatever it had in hand
    async with Bus.connect(BusConfig(url=server.url)) as bus, asyncio.timeout(60):
        while (await bus.lag(NEWS_RAW))[0].waiting < 20:
            await asyncio.sleep(0.01)
        first.kill()
        end(fetcher)
        second = start("news_filter", BUS_LEASE_SECONDS="1")
        while (lag := (await bus.lag(NEWS_RAW))[0]).waiting or lag.pending:
            await asyncio.sleep(0.01)
    assert lag.dead == 0
    end(second)


async def test_news_goes_on_after_an_outage_of_the_server(server: Server, start: Start) -> None:
    news_filter = start("news_filter")
    fetcher = start("news_fetcher", NEWS_INTERVAL_SECONDS="0.1")
    before = len(await filtered(server, 3))
    server.kill()
    server.start()
    await filtered(server, before + 10)
    for process in (fetcher, news_filter):
        log = [line["event"] for line in end(process)]
        assert log.count("redis lost") == log.count("redis back") <= 1


def test_a_bad_setting_ends_a_service_with_one_line(start: Start) -> None:
    process = start("news_filter", NEWS_TICKERS_FILE="/no/such/file.yaml")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith("news-filter: NEWS_TICKERS_FILE=/no/such/file.yaml: expected")
    assert (err.count("\n"), "error" in out) == (1, False)


@pytest.mark.parametrize("module", ["news_filter", "news_fetcher"])
def test_help_names_every_setting(module: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"streamdesk.{module}", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "NEWS_RAW_KEY" in run.stdout
