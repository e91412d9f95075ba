"""Wires the news filter."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.events import NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.config import ANY_TICKER, Settings
from streamdesk.news_filter.domain import Keywords, RecentLinks, Rules
from streamdesk.news_filter.errors import TickerFileError
from streamdesk.news_filter.handlers import NewsFilter
from streamdesk.news_filter.sentiment import VaderScorer, finance_overlay
from streamdesk.news_filter.tickers import load_tickers
from streamdesk.runtime import BadSettingError, Drain, Service, Work

GROUP = "news-filter-group"


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def tickers_of(settings: Settings) -> frozenset[str] | None:
    """The symbols that pass; None for any.

    Raises:
        BadSettingError: NEWS_TICKERS_FILE is set and cannot be used.
    """
    path = settings.news_tickers_file
    if path is None:
        any_ticker = settings.news_tickers == ANY_TICKER
        return None if any_ticker else frozenset(settings.news_tickers)
    try:
        return frozenset(load_tickers(path))
    except TickerFileError as error:
        expected = f"a YAML list of symbols, alone or under `tickers:` ({error})"
        raise BadSettingError("NEWS_TICKERS_FILE", path, expected) from error


def rules_of(settings: Settings) -> Rules:
    """The rules as set."""
    return Rules(
        max_age=timedelta(hours=settings.news_max_age_hours),
        future_tolerance=timedelta(seconds=settings.news_future_tolerance_seconds),
        tickers=tickers_of(settings),
        keywords=Keywords(settings.news_keywords),
        blocked=Keywords(settings.news_blocked_keywords),
        threshold=settings.sentiment_threshold,
        mode=settings.sentiment_mode,
    )


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[Work]]:
    """The works of the news filter."""
    rules = rules_of(settings)
    bus = Bus.connect(
        BusConfig(**settings.bus_config(service.name, Wait)),
        observer=service.bus_observer(),
        tracer=service.bus_tracer(),
    )
    service.ready_when("bus", lambda: bus.connected)
    raw = NEWS_RAW.configured(key=settings.news_raw_key)
    filtered = NEWS_FILTERED.configured(key=settings.news_filtered_key)

    async def publish(event: NewsFiltered, event_id: str) -> str:
        return await bus.publish(filtered, event, event_id=event_id)

    async with bus:
        news_filter = NewsFilter(
            rules=rules,
            scorer=VaderScorer(finance_overlay()),
            recent=RecentLinks(settings.news_remembered_links),
            publish=publish,
            clock=utc_now,
        )
        # One at a time: a repeat is judged after the article it repeats. A judgement takes well
        # under a millisecond, far less than news needs.
        subscription = bus.subscribe(raw, GROUP, news_filter.handle, concurrency=1)

        async def consume(drain: Drain) -> None:
            await subscription.run(drain.requested)

        yield [Work("articles", consume)]
