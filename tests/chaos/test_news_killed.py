"""Filters are killed with pending articles: each article is still filtered exactly once."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from tests.benchmarks.news_articles import article, hash_of
from tests.benchmarks.news_filters import GROUP, FilterPool, filters, finish
from tests.benchmarks.news_rows import ANYTHING_LOUD, SHORT_LEASE
from tests.benchmarks.ours import run
from tests.servers import StreamServer, wait_until

ARTICLES_A_KILL = 2_000  # far more than a filter takes at once: some are pending when it is killed
KILLS = 4
JUDGED = 500


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


@pytest.fixture
def pool(server: StreamServer) -> Iterator[FilterPool]:
    """Two filters that pass every clearly positive or negative article."""
    with filters(server, **SHORT_LEASE, **ANYTHING_LOUD) as both:
        yield both


def publish(server: StreamServer, first: int, count: int) -> None:
    now = datetime.now(UTC)
    events = [article(number, now, is_loud=True) for number in range(first, first + count)]

    async def write() -> None:
        async with Bus.connect(BusConfig(url=server.url)) as bus:
            await bus.publish_many(NEWS_RAW, events, event_ids=[each.link_hash for each in events])

    run(write())


def filtered(server: StreamServer) -> list[str]:
    """The hash of every filtered article, with duplicates."""
    entries = server.ask("XRANGE", NEWS_FILTERED.key, "-", "+", timeout_seconds=60)
    fields = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
    return [json.loads(each["b"])["link_hash"] for each in fields]


def test_no_article_is_lost_or_filtered_twice_when_filters_with_pending_articles_are_killed(
    server: StreamServer, pool: FilterPool
) -> None:
    left = 0
    for number in range(KILLS):
        publish(server, number * ARTICLES_A_KILL, ARTICLES_A_KILL)
        left += pool.kill_one()
        pool.add()
    assert left > 0, "every filter was killed without pending articles"
    finish(server)
    wanted = [hash_of(number) for number in range(KILLS * ARTICLES_A_KILL)]
    assert sorted(filtered(server)) == sorted(wanted)


def test_an_article_that_was_filtered_but_not_acknowledged_is_not_filtered_twice(
    server: StreamServer, pool: FilterPool
) -> None:
    publish(server, 0, JUDGED)
    finish(server)
    before = filtered(server)
    # As if all of them had been killed between the publish and the acknowledgement.
    server.ask("XGROUP", "SETID", NEWS_RAW.key, GROUP, "0")

    def judged_again() -> bool:
        return pool.total("news_filter_processed_total") >= 2 * JUDGED

    wait_until(judged_again, "a second judgement of each")
    finish(server)
    assert filtered(server) == before
    assert sorted(before) == sorted(hash_of(number) for number in range(JUDGED))
