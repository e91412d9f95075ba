"""Wires the news filter."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.events import NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.adapters.scorers import SentimentScorer, scorer_of
from streamdesk.news_filter.adapters.sentiment_cache import SentimentCache
from streamdesk.news_filter.application.filter_articles import NewsFilter
from streamdesk.news_filter.application.reload_rules import RuleBook
from streamdesk.news_filter.application.score_articles import Scoring
from streamdesk.news_filter.config import Settings
from streamdesk.news_filter.errors import FinbertModelError
from streamdesk.runtime import BadSettingError, Drain, Service, Work

GROUP = "news-filter-group"
BATCH = 200
SLOW_BATCH = 16  # a model takes tens of milliseconds an article, and the last one waits for all
CONCURRENCY = 2  # one batch is computed while another waits for the server


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def set_scorer(settings: Settings) -> SentimentScorer:
    """The scorer that is set.

    Raises:
        BadSettingError: it cannot be used.
    """
    try:
        return scorer_of(settings.sentiment_scorer, settings.finbert_folder)
    except FinbertModelError as error:
        expected = f"the folder of a FinBERT model ({error})"
        raise BadSettingError("FINBERT_FOLDER", settings.finbert_folder, expected) from error


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[Work]]:
    """The works of the news filter."""
    book = RuleBook(settings)
    book.tell()
    scorer = set_scorer(settings)
    bus = Bus.connect(
        BusConfig(**settings.bus_config(service.name, Wait)),
        observer=service.bus_observer(),
        tracer=service.bus_tracer(),
    )
    service.ready_when("bus", lambda: bus.connected)
    raw = NEWS_RAW.configured(key=settings.news_raw_key)
    filtered = NEWS_FILTERED.configured(key=settings.news_filtered_key)
    seconds = settings.sentiment_cache_seconds
    cache = SentimentCache(bus.keys, seconds, scorer.name, scorer.version) if seconds else None

    async def publish(events: Sequence[NewsFiltered], event_ids: Sequence[str]) -> object:
        return await bus.publish_many(filtered, events, event_ids=event_ids)

    async def watch_rules(drain: Drain) -> None:
        await book.watch(settings.news_rules_reload_seconds, drain)

    async with bus:
        news_filter = NewsFilter(
            rules=lambda: book.rules,
            scoring=Scoring(scorer, cache),
            publish=publish,
            clock=utc_now,
        )
        batch = SLOW_BATCH if scorer.slow else BATCH
        subscription = bus.subscribe_batches(
            raw, GROUP, news_filter.handle, batch=batch, concurrency=CONCURRENCY
        )

        async def consume(drain: Drain) -> None:
            await subscription.run(drain.requested)

        yield [Work("articles", consume), Work("rules", watch_rules)]
