"""The filter as a process, on a real Valkey server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW

GUARD_SECONDS = 120
Start = Callable[..., subprocess.Popen[str]]
Article = Callable[..., NewsFetched]
Server = Any  # tests.servers.StreamServer: what a member tests stands without the root


@pytest.fixture
def server(start_server: Callable[[], Server]) -> Server:
    return start_server()


@pytest.fixture
async def bus(server: Server) -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        yield bus


@pytest.fixture
def start(server: Server) -> Iterator[Start]:
    """`start("why", "title", NAME="value")` runs the filter as a user would."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        common = {
            "REDIS_URL": server.url,
            "METRICS_PORT": "0",
            "METRICS_HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "streamdesk.news_filter", *arguments],
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


@pytest.fixture
def fresh(make_article: Article) -> Callable[..., NewsFetched]:
    """An article that is an hour old by the clock of the processes."""

    def make(number: int, **changes: Any) -> NewsFetched:
        now = datetime.now(UTC)
        times = {"published_at": now - timedelta(hours=1), "fetched_at": now}
        return make_article(number, **(times | changes))

    return make


async def filtered(bus: Bus, count: int) -> list[str]:
    """The link hashes of the first `count` filtered articles, waited for."""
    hashes: list[str] = []
    stop = asyncio.Event()
    async with asyncio.timeout(GUARD_SECONDS):
        async for message in bus.tail(NEWS_FILTERED, since="0", stop=stop):
            hashes.append(message.event.link_hash)
            if len(hashes) >= count:
                stop.set()
    return hashes


async def settled(bus: Bus) -> None:
    """Wait until no raw article waits or is pending."""
    async with asyncio.timeout(GUARD_SECONDS):
        while (lag := (await bus.lag(NEWS_RAW))[0]).waiting or lag.pending or lag.delayed:
            await asyncio.sleep(0.01)


def end(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Stop it in order; its log."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=GUARD_SECONDS)
    assert (process.returncode, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def events(log: Sequence[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in log]


async def test_articles_are_filtered_and_the_process_stops_without_a_word_of_complaint(
    bus: Bus, start: Start, fresh: Article
) -> None:
    news_filter = start(LOG_LEVEL="debug")
    good = [fresh(number) for number in range(50)]
    bad = [
        fresh(100, symbols=("LKFD.US",)),
        fresh(101, published_at=datetime.now(UTC) - timedelta(days=2)),
        fresh(102, title="Apple to report on Monday", content=""),
    ]
    await bus.publish_many(NEWS_RAW, good[:25] + bad + good[25:])
    assert set(await filtered(bus, 50)) == {article.link_hash for article in good}
    await settled(bus)
    log = end(news_filter)
    assert [line for line in log if line["level"] in ("warning", "error")] == []
    dropped = {line["outcome"] for line in log if line["event"] == "article dropped"}
    assert dropped == {"too-old", "ticker-not-listed", "sentiment-weak"}
    assert await bus.dead(NEWS_RAW) == []


async def test_what_a_killed_filter_had_in_hand_is_filtered_by_another_and_nothing_twice(
    bus: Bus, start: Start, fresh: Article
) -> None:
    articles = [fresh(number) for number in range(2_000)]
    first = start(BUS_LEASE_SECONDS="5")
    await bus.publish_many(NEWS_RAW, articles[:500])
    await filtered(bus, 1)
    first.send_signal(signal.SIGSTOP)  # so that something is left, whatever was pending
    await bus.publish_many(NEWS_RAW, articles[500:])
    first.kill()
    second = start(BUS_LEASE_SECONDS="5")
    third = start(BUS_LEASE_SECONDS="5")
    await settled(bus)
    hashes = await filtered(bus, 2_000)
    end(second)
    end(third)
    assert (await bus.lag(NEWS_FILTERED))[0].length == 2_000
    assert sorted(hashes) == [article.link_hash for article in articles]
    assert await bus.dead(NEWS_RAW) == []


async def test_filtering_goes_on_after_an_outage_of_the_server(
    server: Server, bus: Bus, start: Start, fresh: Article
) -> None:
    news_filter = start()
    await bus.publish(NEWS_RAW, fresh(1))
    await filtered(bus, 1)
    server.kill()
    server.start()
    await bus.publish(NEWS_RAW, fresh(2))
    assert fresh(2).link_hash in await filtered(bus, 2)
    await settled(bus)
    log = events(end(news_filter))
    assert log.count("redis lost") == log.count("redis back") <= 1


async def test_rules_change_without_a_restart_and_a_bad_file_changes_nothing(
    bus: Bus, start: Start, fresh: Article, tmp_path: Path
) -> None:
    path = tmp_path / "rules.yaml"

    def write(content: str) -> None:
        path.with_suffix(".new").write_text(content)
        path.with_suffix(".new").rename(path)

    async def until_logged(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
        assert process.stdout is not None
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                line: dict[str, Any] = json.loads(await asyncio.to_thread(process.stdout.readline))
                if line["event"] == event:
                    return line

    write("keywords: {exclude: [beats]}")
    news_filter = start(NEWS_RULES_FILE=str(path), NEWS_RULES_RELOAD_SECONDS="0.1")
    await until_logged(news_filter, "started")
    await bus.publish(NEWS_RAW, fresh(1))
    await settled(bus)
    write("keywords:\n  exclude: beats")
    refused = await until_logged(news_filter, "rules refused, the old ones stay")
    assert refused["problem"] == f"{path}, line 2: keywords.exclude: expected a list, not 'beats'"
    await bus.publish(NEWS_RAW, fresh(2))
    await settled(bus)
    write("keywords: {exclude: []}")
    await until_logged(news_filter, "rules in force")
    await bus.publish(NEWS_RAW, fresh(3))
    await settled(bus)
    assert await filtered(bus, 1) == [fresh(3).link_hash]
    end(news_filter)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("NEWS_TICKERS_FILE", None, "expected a YAML list of symbols"),
        ("NEWS_RULES_FILE", None, "cannot be read: No such file"),
        ("NEWS_RULES_FILE", "\npatterns: {include: ['(?=a)']}", "line 2: patterns.include.0"),
        ("FINBERT_FOLDER", None, "expected the folder of a FinBERT model"),
    ],
)
def test_a_bad_setting_ends_the_process_with_one_line(
    start: Start, tmp_path: Path, name: str, content: str | None, problem: str
) -> None:
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_text(content)
    process = start(
        **{name: str(path), "SENTIMENT_SCORER": "finbert" if "FINBERT" in name else "vader"}
    )
    out, err = process.communicate(timeout=GUARD_SECONDS)
    assert process.returncode == 2
    assert err.startswith(f"news-filter: {name}={path}: expected")
    assert problem in err
    assert (err.count("\n"), '"error"' in out) == (1, False)


def test_why_needs_no_server(start: Start) -> None:
    process = start("why", "Apple beats estimates", "--json", REDIS_URL="redis://127.0.0.1:1/0")
    out, err = process.communicate(timeout=GUARD_SECONDS)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["words"] == ["beats estimates +2.5"]


def test_help_names_every_setting(start: Start) -> None:
    out, err = start("--help").communicate(timeout=GUARD_SECONDS)
    assert err == ""
    assert all(name in out for name in ("NEWS_RAW_KEY", "NEWS_RULES_FILE", "SENTIMENT_SCORER"))
