"""The filter as a process, with a FinBERT model in place of the lexicon."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from tests.news_processes import NewsProcess
from tests.servers import StreamServer
from tests.tiny_finbert import write_model

GUARD_SECONDS = 120
TITLES = ("Profit rises", "Profit falls", "Profit", "Profit rises")


async def publish(bus: Bus, make_article: Callable[..., NewsFetched]) -> None:
    now = datetime.now(UTC)
    for number, title in enumerate(TITLES):
        changes = {"title": title, "content": "", "published_at": now, "fetched_at": now}
        await bus.publish(NEWS_RAW, make_article(number, **changes))


async def filtered(bus: Bus, count: int) -> list[NewsFiltered]:
    found: list[NewsFiltered] = []
    stop = asyncio.Event()
    async with asyncio.timeout(GUARD_SECONDS):
        async for message in bus.tail(NEWS_FILTERED, since="0", stop=stop):
            found.append(message.event)
            if len(found) >= count:
                stop.set()
    return found


async def test_a_filter_with_a_model_passes_what_the_model_likes_and_remembers_it(
    start_server: Callable[..., StreamServer],
    make_article: Callable[..., NewsFetched],
    tmp_path: Path,
) -> None:
    server = start_server()
    settings = {"SENTIMENT_SCORER": "finbert", "FINBERT_FOLDER": str(write_model(tmp_path))}
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        await publish(bus, make_article)
        with NewsProcess("news_filter", server.url, **settings) as process:
            found = await filtered(bus, 2)
            assert process.stop() == 0
        cached = await bus.keys.names("news:sentiment:finbert:")
    assert {article.title for article in found} == {"Profit rises"}
    assert all(article.sentiment > 0.8 for article in found)
    assert all(article.words == ("positive +0.9",) for article in found)
    assert len(cached) == len(set(TITLES))


@pytest.mark.parametrize("folder", ["absent", ""])
def test_a_filter_without_its_model_does_not_start_and_says_why(
    tmp_path: Path, folder: str
) -> None:
    where = str(tmp_path / folder)
    settings = {"SENTIMENT_SCORER": "finbert", "FINBERT_FOLDER": where}
    process = NewsProcess("news_filter", "redis://127.0.0.1:1/0", **settings)
    assert process.wait() != 0
    said = " ".join(str(line) for line in process.log)
    assert "FINBERT_FOLDER" in said
    assert where in said
