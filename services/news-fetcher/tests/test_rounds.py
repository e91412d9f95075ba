import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streamdesk.bus import Bus, BusConfig, BusUnavailableError
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_RAW
from streamdesk.news_fetcher.domain import Limits, SeenWindow
from streamdesk.news_fetcher.errors import SourceError
from streamdesk.news_fetcher.handlers import NewsFetcher, Pace
from streamdesk.news_fetcher.source import RawArticle
from streamdesk.runtime import Drain

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
LOOKBACK = timedelta(hours=24)
OVERLAP = timedelta(hours=1)
Answer = Sequence[RawArticle] | Exception | None


def article(number: int, **changes: Any) -> RawArticle:
    values: dict[str, Any] = {
        "title": f"Story {number}",
        "link": f"https://news.example/{number}",
        "published_at": NOW,
    }
    return RawArticle(**(values | changes))


class Scripted:
    """A source that answers as told: articles, an error, or (None) never; then stops the loop."""

    def __init__(self, *answers: Answer) -> None:
        self.name = f"scripted-{id(self)}"  # metrics of its own
        self.drain = Drain()
        self.asked: list[datetime] = []
        self._answers = list(answers)

    async def fetch(self, since: datetime) -> Sequence[RawArticle]:
        self.asked.append(since)
        answer = self._answers.pop(0)
        if not self._answers:
            self.drain.request()
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    def counted(self, metric: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(metric, {"source": self.name} | labels) or 0


Publish = Callable[[NewsFetched], Any]


def fetcher(source: Any, publish: Publish, **changes: Any) -> NewsFetcher:
    pace: dict[str, Any] = {"interval_seconds": 0.001, "timeout_seconds": 30}
    return NewsFetcher(
        source=source,
        publish=publish,
        seen=SeenWindow(1_000),
        limits=Limits(content_max_chars=1_000, future_tolerance=timedelta(minutes=5)),
        pace=Pace(lookback=LOOKBACK, overlap=OVERLAP, **(pace | changes)),
        clock=lambda: NOW,
    )


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=f"memory://{uuid4().hex}")) as bus:
        yield bus


async def published(bus: Bus) -> list[NewsFetched]:
    stop = asyncio.Event()
    length = (await bus.lag(NEWS_RAW))[0].length
    if not length:
        return []
    events: list[NewsFetched] = []
    async for message in bus.tail(NEWS_RAW, since="0", stop=stop):
        events.append(message.event)
        if len(events) == length:
            stop.set()
    return events


async def test_new_articles_are_published_in_the_order_of_the_source(bus: Bus) -> None:
    source = Scripted([article(1), article(2)], [])
    await fetcher(source, lambda event: bus.publish(NEWS_RAW, event)).round(source.drain)
    assert [event.title for event in await published(bus)] == ["Story 1", "Story 2"]
    assert {event.source for event in await published(bus)} == {source.name}


async def test_an_article_is_published_once_whatever_its_link_is_decorated_with(bus: Bus) -> None:
    again = article(1, link="https://news.example/1/?utm_source=mail", title="Story 1, updated")
    source = Scripted([article(1), article(1), again], [again, article(2)], [])
    running = fetcher(source, lambda event: bus.publish(NEWS_RAW, event))
    first = await running.round(source.drain)
    second = await running.round(source.drain)
    assert [event.title for event in await published(bus)] == ["Story 1", "Story 2"]
    assert (first.duplicates, second.duplicates) == (2, 1)
    assert source.counted("news_duplicates_total") == 3
    assert source.counted("news_fetched_total") == 5


async def test_a_bad_article_is_counted_by_its_reason_and_the_others_are_published(
    bus: Bus,
) -> None:
    bad = [
        article(1, title=None),
        article(2, link=""),
        article(3, link="ftp://x"),
        article(4, published_at="soon"),
        article(5, published_at=NOW + timedelta(days=400)),
        RawArticle(title=object(), link=object(), published_at=object(), symbols=object()),
    ]
    source = Scripted([*bad, article(6)], [])
    result = await fetcher(source, lambda event: bus.publish(NEWS_RAW, event)).round(source.drain)
    assert result.rejected == {
        "title-missing": 2,
        "link-missing": 1,
        "link-invalid": 1,
        "date-invalid": 1,
        "date-in-future": 1,
    }
    assert [event.title for event in await published(bus)] == ["Story 6"]
    assert source.counted("news_articles_invalid_total", reason="title-missing") == 2


async def test_a_failing_source_is_asked_again_and_complained_about_once(bus: Bus) -> None:
    lost = SourceError("503 from the source")
    source = Scripted(lost, lost, [article(1)], lost, [])
    with capture_logs() as logs:
        await fetcher(source, lambda event: bus.publish(NEWS_RAW, event)).run(source.drain)
    told = [line["event"] for line in logs if line["event"].startswith("source")]
    assert told == ["source lost", "source back", "source lost", "source back"]
    assert source.counted("news_source_errors_total") == 3
    assert len(await published(bus)) == 1


async def test_a_bug_in_a_source_does_not_end_the_loop_and_is_logged_with_its_traceback(
    bus: Bus,
) -> None:
    source = Scripted(KeyError("date"), [article(1)], [])
    with capture_logs() as logs:
        await fetcher(source, lambda event: bus.publish(NEWS_RAW, event)).run(source.drain)
    assert isinstance(logs[0]["exc_info"], KeyError)
    assert len(await published(bus)) == 1


async def test_a_source_that_never_answers_is_given_up_for_the_round() -> None:
    source = Scripted(None, [article(1)], [])
    sent: list[NewsFetched] = []

    async def publish(event: NewsFetched) -> None:
        sent.append(event)

    with capture_logs() as logs:
        await fetcher(source, publish, timeout_seconds=0.01).run(source.drain)
    assert "no answer in 0.01 s" in logs[0]["error"]
    assert len(sent) == 1


async def test_what_could_not_be_published_comes_again_in_the_next_round() -> None:
    batch = [article(1), article(2), article(3)]
    source = Scripted(batch, batch, batch)
    sent: list[str] = []
    outage = iter([False, True])

    async def publish(event: NewsFetched) -> None:
        if next(outage, False):
            raise BusUnavailableError("no server")
        sent.append(event.title)

    running = fetcher(source, publish)
    first = await running.round(source.drain)
    second = await running.round(source.drain)
    assert (first.published, second.published, second.duplicates) == (1, 2, 1)
    assert sent == ["Story 1", "Story 2", "Story 3"]
    assert source.asked == [NOW - LOOKBACK, NOW - LOOKBACK]  # the first round was not complete


async def test_the_first_round_looks_back_far_and_later_ones_overlap_the_last_good_one() -> None:
    source = Scripted([], SourceError("down"), [], [])

    async def publish(_event: NewsFetched) -> None:
        raise AssertionError("there was nothing to publish")

    await fetcher(source, publish).run(source.drain)
    assert source.asked == [NOW - LOOKBACK, NOW - OVERLAP, NOW - OVERLAP, NOW - OVERLAP]


async def test_a_stop_ends_a_round_between_two_articles_and_remembers_what_was_sent() -> None:
    drain = Drain()
    source = Scripted([article(1), article(2)], [])
    sent: list[str] = []

    async def publish(event: NewsFetched) -> None:
        sent.append(event.title)
        drain.request()

    result = await fetcher(source, publish).round(drain)
    assert (sent, result.published, result.fetched) == (["Story 1"], 1, 2)


async def test_a_cancelled_publish_ends_the_loop_rather_than_hiding_in_it() -> None:
    source = Scripted([article(1)], [])

    async def publish(_event: NewsFetched) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(fetcher(source, publish).run(source.drain))
    while not source.asked:
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
