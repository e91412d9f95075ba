"""Wires the news fetcher. Another source becomes one more line here."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.events import NewsFetched, SystemEvent
from streamdesk.contracts.topics import NEWS_RAW, SYSTEM_EVENTS
from streamdesk.news_fetcher.adapters.eodhd.client import EodhdSource
from streamdesk.news_fetcher.adapters.metrics import request_counter
from streamdesk.news_fetcher.adapters.news_source import NewsSource
from streamdesk.news_fetcher.adapters.notices import SERVICE, Notices
from streamdesk.news_fetcher.adapters.recorded.recording import (
    SAMPLE,
    SAMPLE_FILE,
    NewsRecording,
    load_recording,
)
from streamdesk.news_fetcher.adapters.recorded.source import Playhead, RecordedNewsSource
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.adapters.round_timer import RoundTimer
from streamdesk.news_fetcher.adapters.simulated.source import SimulatedNewsSource
from streamdesk.news_fetcher.application.fetch_as_leader import NewsFetcher
from streamdesk.news_fetcher.application.fetch_once import FetchParts
from streamdesk.news_fetcher.application.fetch_round import FetchRounds, Reach
from streamdesk.news_fetcher.config import Settings, SourceName
from streamdesk.news_fetcher.domain.articles import FetchLimits
from streamdesk.news_fetcher.domain.fetcher_state import fingerprint
from streamdesk.news_fetcher.domain.links import SeenWindow
from streamdesk.news_fetcher.domain.quota import Quota
from streamdesk.news_fetcher.entrypoints.schedule import fetch_on_schedule
from streamdesk.news_fetcher.errors import RecordingError
from streamdesk.runtime import (
    BadSettingError,
    Service,
    ServiceTask,
    TickerFileError,
    load_tickers,
)

FINISH_SHARE = 0.5  # of the grace period is for the round under way
PUBLISH_TIMEOUT_SECONDS = 10.0  # of one fetch from the command line, whose caller waits


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def tickers_of(settings: Settings) -> tuple[str, ...]:
    """What is asked about.

    Raises:
        BadSettingError: NEWS_TICKERS_FILE is set and cannot be used.
    """
    path = settings.news_tickers_file
    if path is None:
        return settings.news_tickers
    try:
        tickers = load_tickers(path)
    except TickerFileError as error:
        expected = f"a YAML list of symbols, alone or under `tickers:` ({error})"
        raise BadSettingError("NEWS_TICKERS_FILE", path, expected) from error
    if not tickers:
        raise BadSettingError("NEWS_TICKERS_FILE", path, "one symbol at least")
    return tickers


def recording_of(settings: Settings) -> NewsRecording:
    """What is played.

    Raises:
        BadSettingError: NEWS_RECORDING cannot be played.
    """
    name = settings.news_recording or SAMPLE
    try:
        return load_recording(SAMPLE_FILE if name == SAMPLE else Path(name))
    except RecordingError as error:
        expected = f"`{SAMPLE}`, or a file or folder of JSON lines ({error})"
        raise BadSettingError("NEWS_RECORDING", name, expected) from error


def source_of(settings: Settings, keeper: StateKeeper) -> NewsSource:
    """The source as set; it counts its requests.

    Raises:
        BadSettingError: it cannot be made of the settings.
    """
    name = settings.news_source
    on_request = request_counter(name)
    if name is SourceName.EODHD and settings.eodhd_api_key is not None:
        return _eodhd(settings, settings.eodhd_api_key, on_request)
    if name is SourceName.RECORDED:
        speed = settings.news_recording_speed
        return RecordedNewsSource(
            recording_of(settings),
            speed=speed,
            begin=Playhead(keeper, speed, utc_now).began,
            clock=utc_now,
            on_request=on_request,
        )
    return SimulatedNewsSource(
        seed=settings.news_seed,
        articles_per_round=settings.news_articles_per_round,
        clock=utc_now,
        on_request=on_request,
    )


def _eodhd(settings: Settings, key: SecretStr, on_request: Callable[[str], None]) -> EodhdSource:
    try:
        return EodhdSource(
            key,
            settings.eodhd_url,
            quota=Quota(settings.eodhd_calls_per_day),
            calls_per_minute=settings.eodhd_calls_per_minute,
            timeout_seconds=settings.news_timeout_seconds,
            connections=settings.news_concurrency,
            on_request=on_request,
            clock=utc_now,
        )
    except ValueError as error:
        raise BadSettingError("EODHD_URL", settings.eodhd_url, f"an address ({error})") from error


@asynccontextmanager
async def parts_of(
    settings: Settings,
    bus: Bus,
    on_published: Callable[[NewsFetched], None] = lambda _article: None,
) -> AsyncIterator[FetchParts]:
    """All that fetching needs, on a bus that is not opened yet.

    Args:
        settings: as set.
        bus: where to publish; closed at the end.
        on_published: called with every article that is new in the topic.

    Raises:
        BadSettingError: a file that is named cannot be used.
    """
    tickers = tickers_of(settings)
    keeper = StateKeeper(bus.keys, settings.news_source, settings.bus_lease_seconds)
    source = source_of(settings, keeper)
    system = SYSTEM_EVENTS.configured(key=settings.system_key)

    async def report(event: SystemEvent) -> str:
        return await bus.publish(system, event)

    key = settings.eodhd_api_key if settings.news_source is SourceName.EODHD else None
    async with bus:
        try:
            yield FetchParts(
                bus=bus,
                source=source,
                keeper=keeper,
                rounds=_rounds_of(settings, bus, source, tickers, keeper, on_published),
                notices=Notices(source.name, report, utc_now),
                tickers=tickers,
                clock=utc_now,
                key=None if key is None else fingerprint(key.get_secret_value()),
            )
        finally:
            await source.close()


def _rounds_of(
    settings: Settings,
    bus: Bus,
    source: NewsSource,
    tickers: Sequence[str],
    keeper: StateKeeper,
    on_published: Callable[[NewsFetched], None],
) -> FetchRounds:
    raw = NEWS_RAW.configured(key=settings.news_raw_key)

    async def publish(articles: Sequence[NewsFetched], ids: Sequence[str]) -> Sequence[str]:
        return await bus.publish_many(raw, articles, event_ids=ids)

    return FetchRounds(
        source=source,
        tickers=tickers,
        publish=publish,
        keeper=keeper,
        seen=SeenWindow(settings.news_seen_max),
        limits=FetchLimits(
            content_max_chars=settings.news_content_max_chars,
            future_tolerance=timedelta(seconds=settings.news_future_tolerance_seconds),
        ),
        reach=Reach(
            lookback=timedelta(hours=settings.news_lookback_hours),
            overlap=timedelta(seconds=settings.news_overlap_seconds),
            concurrency=settings.news_concurrency,
        ),
        clock=utc_now,
        on_published=on_published,
    )


@asynccontextmanager
async def parts_for_one_fetch(
    settings: Settings, on_published: Callable[[NewsFetched], None]
) -> AsyncIterator[FetchParts]:
    """All that `fetch` needs, on a bus of its own.

    Args:
        settings: as set.
        on_published: called with every article that is new in the topic.

    Raises:
        BadSettingError: a file that is named cannot be used.
        BusConfigError: the bus cannot be configured as set.
    """
    config = BusConfig(
        **settings.bus_config(SERVICE, Wait), publish_timeout_seconds=PUBLISH_TIMEOUT_SECONDS
    )
    async with parts_of(settings, Bus.connect(config), on_published) as parts:
        yield parts


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[ServiceTask]]:
    """The tasks of the news fetcher."""
    bus = Bus.connect(
        BusConfig(**settings.bus_config(SERVICE, Wait)),
        observer=service.bus_observer(),
        tracer=service.bus_tracer(),
    )
    service.ready_when("bus", lambda: bus.connected)
    async with parts_of(settings, bus) as parts:
        fetcher = NewsFetcher(
            source=parts.source,
            tickers=len(parts.tickers),
            rounds=parts.rounds,
            keeper=parts.keeper,
            notices=parts.notices,
            timer=RoundTimer(settings.jitter_seconds, utc_now),
            interval_seconds=settings.interval_seconds,
            finish_seconds=settings.grace_seconds * FINISH_SHARE,
            key=parts.key,
            clock=utc_now,
        )
        service.ready_when("key", fetcher.check_key)
        lease_seconds = settings.bus_lease_seconds
        yield [ServiceTask("rounds", partial(fetch_on_schedule, fetcher, lease_seconds))]
