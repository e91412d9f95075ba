import secrets
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import REGISTRY

from streamdesk.bus import Bus, BusConfig
from streamdesk.news_filter.adapters.sentiment_cache import SentimentCache
from streamdesk.news_filter.adapters.vader.lexicon import finance_overlay
from streamdesk.news_filter.adapters.vader.scorer import VaderScorer
from streamdesk.news_filter.domain.sentiment import Score, Weighted
from tests.servers import StreamServer

BEATS = ("Apple beats estimates", "Revenue rose.")
MISSES = ("Apple misses estimates", "")
SCORES = [Score(0.5423, (Weighted("beats estimates", 2.5),)), Score(-0.5423)]


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("news_sentiment_cache_total", {"outcome": outcome}) or 0.0


@pytest.fixture
async def bus(valkey_url: str) -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=valkey_url, service="test-news-filter")) as connected:
        yield connected


@pytest.fixture
def name() -> str:
    """A scorer of this test's own: the server is shared."""
    return f"test{secrets.token_hex(4)}"


async def test_what_was_scored_is_known_from_then_on_to_every_filter(bus: Bus, name: str) -> None:
    cache = SentimentCache(bus.keys, 60, name, "1")
    assert await cache.get_many([BEATS, MISSES]) == [None, None]
    await cache.put_many([BEATS, MISSES], SCORES)
    assert await cache.get_many([MISSES, ("Another", ""), BEATS]) == [SCORES[1], None, SCORES[0]]
    assert await SentimentCache(bus.keys, 60, name, "1").get_many([BEATS]) == [SCORES[0]]


async def test_another_version_or_scorer_knows_nothing_of_it(bus: Bus, name: str) -> None:
    await SentimentCache(bus.keys, 60, name, "1").put_many([BEATS], SCORES[:1])
    assert await SentimentCache(bus.keys, 60, name, "2").get_many([BEATS]) == [None]
    assert await SentimentCache(bus.keys, 60, f"{name}x", "1").get_many([BEATS]) == [None]


async def test_the_title_and_what_is_read_of_the_text_tell_articles_apart(
    bus: Bus, name: str
) -> None:
    cache = SentimentCache(bus.keys, 60, name, "1")
    long = "x" * 1_000
    await cache.put_many([("Title", long)], SCORES[:1])
    found = await cache.get_many([("Title", f"{long}more"), ("Title", "x"), ("Titl", f"e{long}")])
    assert found == [SCORES[0], None, None]


async def test_every_sentiment_has_an_end(start_server: Callable[..., StreamServer]) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test-news-filter")) as bus:
        await SentimentCache(bus.keys, 86_400, "test", "1").put_many([BEATS], SCORES[:1])
        (key,) = await bus.keys.names("news:sentiment:test:1:")
    assert 86_400 - 600 < server.ask("TTL", key) <= 86_400


async def test_with_no_time_to_live_nothing_is_kept_or_asked(bus: Bus, name: str) -> None:
    before = counted("miss")
    cache = SentimentCache(bus.keys, 0, name, "1")
    await cache.put_many([BEATS], SCORES[:1])
    assert await cache.get_many([BEATS]) == [None]
    assert await bus.keys.names(f"news:sentiment:{name}:") == []
    assert counted("miss") == before


@pytest.mark.parametrize(
    "value",
    [b"", b"x", b"[]", b"7", b"[0.5]", b'["a",[]]', b"[2,[]]", b"[NaN,[]]", b'[0.5,[["a"]]]',
     b"[0.5,7]", b"\xff", b'{"a":1,"b":2}'],
)  # fmt: skip
async def test_a_value_that_cannot_be_read_is_scored_again(
    bus: Bus, name: str, value: bytes
) -> None:
    cache = SentimentCache(bus.keys, 60, name, "1")
    await cache.put_many([BEATS], SCORES[:1])
    (key,) = await bus.keys.names(f"news:sentiment:{name}:1:")
    await bus.keys.put({key: value}, 60)
    assert await cache.get_many([BEATS]) == [None]


async def test_hits_and_misses_are_counted(bus: Bus, name: str) -> None:
    cache = SentimentCache(bus.keys, 60, name, "1")
    await cache.put_many([BEATS], SCORES[:1])
    hits, misses = counted("hit"), counted("miss")
    await cache.get_many([BEATS, MISSES, ("Another", "")])
    assert (counted("hit") - hits, counted("miss") - misses) == (1, 2)


async def test_while_the_server_is_away_nothing_is_known_and_nothing_fails(
    start_server: Callable[..., StreamServer],
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test-news-filter")) as bus:
        cache = SentimentCache(bus.keys, 60, "test", "1")
        await cache.put_many([BEATS], SCORES[:1])
        server.kill()
        before = counted("unavailable")
        assert await cache.get_many([BEATS, MISSES]) == [None, None]
        await cache.put_many([BEATS], SCORES[:1])
        assert counted("unavailable") - before == 2


async def test_a_full_server_keeps_nothing_and_nothing_fails(
    start_server: Callable[..., StreamServer],
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test-news-filter")) as bus:
        cache = SentimentCache(bus.keys, 60, "test", "1")
        server.ask("CONFIG", "SET", "maxmemory", "1")
        await cache.put_many([BEATS], SCORES[:1])
        server.ask("CONFIG", "SET", "maxmemory", "0")
        assert await cache.get_many([BEATS]) == [None]


async def test_a_score_of_ours_comes_back_as_it_was(bus: Bus, name: str) -> None:
    titles = ["Apple beats estimates", "Shares plunge!!", "Results", "腾讯 soars", "\ud800 jumps"]
    articles = [(title, "Sales rise. Costs fall. It is good.") for title in titles]
    scores = VaderScorer(finance_overlay()).score_many(articles)
    cache = SentimentCache(bus.keys, 60, name, "1")
    await cache.put_many(articles, scores)
    assert await cache.get_many(articles) == scores
