"""Plain keys beside the streams: each service may use its own and no others."""

from typing import Any

import hiredis
import pytest

from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from tests.charts.redis_sentinel_clients import SERVICES, ask_as, bus_of
from tests.servers import StreamServer

# Whose, a key, and a lease beside it.
OWNED = [
    ("analysis", "hama:analysis:AAPL.US", "analysis:scheduler:hama:lease"),
    ("analysis", "analysis:scheduler:hama:state", "analysis:scheduler:hama:lease"),
    ("news-fetcher", "news:fetcher:eodhd", "news:fetcher:eodhd:lease"),
    ("news-filter", "news:sentiment:vader:1:0123456789abcdef", None),
]


@pytest.mark.parametrize(("owner", "name", "lease"), OWNED)
async def test_a_service_has_keys_of_its_own(
    server: StreamServer, owner: str, name: str, lease: str | None
) -> None:
    async with bus_of(server, owner) as bus:
        await bus.keys.put({name: b"1"}, 60)
        assert await bus.keys.get(name, f"{name}-2") == [b"1", None]
        if lease:
            await bus.keys.drop(name)
            assert await bus.keys.get(name) == [None]


@pytest.mark.parametrize(("owner", "name", "lease"), OWNED)
def test_no_other_service_may_use_these_keys(
    server: StreamServer, owner: str, name: str, lease: str | None
) -> None:
    for service in {*SERVICES} - {owner}:
        for key in (name, lease or name):
            for words in (("GET", key), ("MGET", key), ("SET", key, "1"), ("DEL", key)):
                with pytest.raises(hiredis.ReplyError, match="NOPERM"):
                    ask_as(server, service, *words)


@pytest.mark.parametrize(("owner", "name", "lease"), [row for row in OWNED if row[2]])
async def test_a_leader_writes_its_state_under_a_fenced_lease(
    server: StreamServer, owner: str, name: str, lease: str
) -> None:
    async with bus_of(server, owner) as bus:
        held = bus.keys.lease(lease, 60)
        assert await held.acquire()
        assert await held.acquire()
        assert await held.put(name, b"1", expected=None)
        assert await held.put(name, b"2", expected=b"1")
        assert not await held.put(name, b"3", expected=b"1")
        await held.release()
        await bus.keys.drop(name)


async def test_the_analysis_claims_symbols_and_gives_them_back(server: StreamServer) -> None:
    name = "hama:analysis:AAPL.US"
    async with bus_of(server, "analysis") as bus:
        await bus.keys.drop(name)
        assert await bus.keys.claim([name], "me", 60) == [True]
        assert name in await bus.keys.names(name[:-2])
        await bus.keys.give_back([name], "me")
        assert await bus.keys.get(name) == [None]


@pytest.mark.parametrize(
    ("service", "topic", "model"),
    [
        ("news-fetcher", NEWS_RAW, NewsFetched),
        ("news-filter", NEWS_FILTERED, NewsFiltered),
    ],
)
async def test_an_article_is_published_once_under_its_id(
    server: StreamServer, service: str, topic: Topic[Any], model: type[Event]
) -> None:
    article = model.model_validate(model.model_json_schema()["examples"][0])
    ids = [f"{service}-{number}" for number in range(3)]
    async with bus_of(server, service) as bus:
        first = await bus.publish_many(topic, [article] * 3, event_ids=ids)
        assert await bus.publish_many(topic, [article] * 3, event_ids=ids) == first


def test_only_the_analysis_sees_names_of_keys(server: StreamServer) -> None:
    for service in SERVICES:
        if service == "analysis":
            assert ask_as(server, service, "SCAN", 0)
            continue
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, service, "SCAN", 0)


async def test_the_alert_relay_has_a_book_and_a_fenced_lease_on_it(server: StreamServer) -> None:
    async with bus_of(server, "alert-relay") as bus:
        lease = bus.keys.lease("alert-relay:lease", 60)
        assert await lease.acquire()
        assert await lease.put("alert-relay:book", b"1", expected=None)
        assert await bus.keys.get("alert-relay:book") == [b"1"]
        await lease.release()
        await bus.keys.drop("alert-relay:book")
    for service in {*SERVICES} - {"alert-relay"}:
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, service, "SET", "alert-relay:book", "1")
