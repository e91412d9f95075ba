"""Wires the news fetcher. Another source becomes one more line here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_RAW
from streamdesk.news_fetcher.config import Settings
from streamdesk.news_fetcher.domain import Limits, SeenWindow
from streamdesk.news_fetcher.handlers import NewsFetcher, Pace
from streamdesk.news_fetcher.source_simulated import SimulatedSource
from streamdesk.runtime import Service, Work


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[Work]]:
    """The works of the news fetcher."""
    bus = Bus.connect(
        BusConfig(**settings.bus_config(service.name, Wait)),
        observer=service.bus_observer(),
        tracer=service.bus_tracer(),
    )
    service.ready_when("bus", lambda: bus.connected)
    topic = NEWS_RAW.configured(key=settings.news_raw_key)

    async def publish(event: NewsFetched) -> str:
        return await bus.publish(topic, event)

    async with bus:
        fetcher = NewsFetcher(
            source=SimulatedSource(
                seed=settings.news_seed,
                articles_per_round=settings.news_articles_per_round,
                clock=utc_now,
            ),
            publish=publish,
            seen=SeenWindow(settings.news_seen_max),
            limits=Limits(
                content_max_chars=settings.news_content_max_chars,
                future_tolerance=timedelta(seconds=settings.news_future_tolerance_seconds),
            ),
            pace=Pace(
                interval_seconds=settings.news_interval_seconds,
                timeout_seconds=settings.news_timeout_seconds,
                lookback=timedelta(hours=settings.news_lookback_hours),
                overlap=timedelta(seconds=settings.news_overlap_seconds),
            ),
            clock=utc_now,
        )
        yield [Work("rounds", fetcher.run)]
