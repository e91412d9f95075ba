"""Wires the signal generator. Another feed becomes one more branch here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.topics import (
    MARKET_BARS,
    STRATEGY_UPDATES,
    SYSTEM_EVENTS,
    TASKS,
    TRADING_SIGNALS,
    bars_handled,
)
from streamdesk.market.bars import BarSequence
from streamdesk.market.errors import BarFileError
from streamdesk.market.instruments import BUILT_IN, Instrument
from streamdesk.market.recordings import FileFormat
from streamdesk.runtime import BadSettingError, Service, ServiceTask
from streamdesk.signal_generator.adapters import watchlist
from streamdesk.signal_generator.adapters.feeds.port import Feed
from streamdesk.signal_generator.adapters.feeds.recorded import RecordedFeed
from streamdesk.signal_generator.adapters.feeds.simulated import (
    Published,
    SimulatedFeed,
    SimulatedMarket,
)
from streamdesk.signal_generator.adapters.position import FeedPosition
from streamdesk.signal_generator.adapters.publisher import GeneratorTopics, SignalPublisher
from streamdesk.signal_generator.application.keep_in_step import InStep
from streamdesk.signal_generator.application.report_scan import ScanReports
from streamdesk.signal_generator.application.scan_bars import BarScan
from streamdesk.signal_generator.application.scan_feed import FeedScan
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.signal_generator.entrypoints.feed import FeedRunner
from streamdesk.signal_generator.errors import WatchlistError
from streamdesk.strategy.scanner import Scanner

PUBLISH_TIMEOUT_SECONDS = 7 * 86_400.0
"""The feed waits as long as a publish waits for the server: nothing is lost or written twice."""

STOP_SHARE = 0.3
"""Of the grace period, for what is pending at a stop, and as much again to announce the stop."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def simulated_market(settings: Settings) -> SimulatedMarket:
    """The simulated market.

    Raises:
        BadSettingError: the watchlist cannot be used, or lacks one of the symbols.
    """
    instruments = _watchlist(settings.watchlist_file) or BUILT_IN
    try:
        chosen = watchlist.select(instruments, settings.symbols)
    except WatchlistError as error:
        names = ",".join(settings.symbols)
        raise BadSettingError("SYMBOLS", names, f"symbols of the watchlist: {error}") from None
    return SimulatedMarket(
        chosen,
        seed=settings.feed_seed,
        start=settings.feed_start,
        interval_seconds=settings.feed_interval_seconds,
        bars_per_second=settings.feed_bars_per_second,
        history_bars=settings.feed_history_bars,
    )


def recorded_feed(settings: Settings, path: Path) -> Feed:
    """The feed of a recording.

    Raises:
        BadSettingError: the recording or the watchlist cannot be used.
    """
    known = _watchlist(settings.watchlist_file)
    try:
        return RecordedFeed.from_path(
            path,
            FileFormat(settings.feed_symbol, settings.feed_time_format),
            steps_per_second=settings.feed_speed,
            run=settings.feed_run,
            watched=frozenset(i.symbol for i in known) if known else None,
            chosen=settings.symbols,
        )
    except BarFileError as error:
        raise BadSettingError("FEED_FILE", path, f"a usable recording: {error}") from None


def _watchlist(path: Path | None) -> tuple[Instrument, ...]:
    if path is None:
        return ()
    try:
        return watchlist.read_watchlist(path)
    except WatchlistError as error:
        raise BadSettingError("WATCHLIST_FILE", path, f"a usable watchlist: {error}") from None


def topics(settings: Settings) -> GeneratorTopics:
    """The topics under the configured keys and limit."""
    return GeneratorTopics(
        bars=MARKET_BARS.configured(key=settings.bars_key),
        # What waits for room loses no signal, so it pushes none out either.
        signals=replace(TRADING_SIGNALS, displaces=not settings.waits_for_room).configured(
            key=settings.signal_queue_key, max_backlog=settings.signal_queue_max_size
        ),
        strategy=STRATEGY_UPDATES.configured(key=settings.strategy_key),
        system=SYSTEM_EVENTS.configured(key=settings.system_key),
        tasks=TASKS.configured(key=settings.tasks_key),
    )


def feed_of(settings: Settings, published: Published) -> Feed:
    """The feed as set.

    Args:
        settings: of the service.
        published: reads bars back that were published since a time of day.

    Raises:
        BadSettingError: a file that a setting names cannot be used.
    """
    if settings.feed == "recorded" and settings.feed_file is not None:
        return recorded_feed(settings, settings.feed_file)
    return SimulatedFeed(simulated_market(settings), published, utc_now)


def feed_scan(
    feed: Feed,
    scanner: Scanner,
    publisher: SignalPublisher,
    position: FeedPosition,
    *,
    outliers: OutlierFilter,
    exit_at_end: bool,
    in_step: InStep | None = None,
) -> FeedScan:
    """The scan of a feed; a bar of an instrument that the feed does not name is refused."""
    return FeedScan(
        feed=feed,
        bars=BarScan(feed.name, BarSequence(frozenset(feed.symbols)), outliers, scanner),
        position=position,
        publisher=publisher,
        reports=ScanReports(feed, scanner, publisher, utc_now),
        clock=utc_now,
        in_step=in_step,
        exit_at_end=exit_at_end,
    )


def in_step_of(settings: Settings, bus: Bus, to: GeneratorTopics) -> InStep | None:
    """What holds a recording until everything of a time is decided; None where nothing does."""
    if settings.feed != "recorded" or not settings.feed_in_step:
        return None
    return InStep(bus, to.bars, bars_handled(settings.bars_key), to.signals)


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[ServiceTask]]:
    """The tasks of the signal generator.

    Raises:
        BadSettingError: a file that a setting names cannot be used.
    """
    bus = Bus.connect(
        BusConfig(
            **settings.bus_config(service.name, Wait),
            publish_timeout_seconds=PUBLISH_TIMEOUT_SECONDS,
        ),
        observer=service.bus_observer(),
        tracer=service.bus_tracer(),
    )
    to = topics(settings)

    async def published(since: datetime) -> AsyncIterator[BarClosed]:
        async for message in bus.replay(to.bars, since):
            yield message.event

    feed = feed_of(settings, published)
    async with bus:
        scan = feed_scan(
            feed,
            Scanner(settings.rules()),
            SignalPublisher(bus, to, utc_now, wait_for_room=settings.waits_for_room),
            FeedPosition(bus, to.bars),
            outliers=OutlierFilter(settings.outlier_factor, settings.outlier_bars),
            exit_at_end=settings.feed_exit_at_end,
            in_step=in_step_of(settings, bus, to),
        )
        service.ready_when("bus", lambda: bus.connected)
        service.ready_when("warm", lambda: scan.warm)
        yield [ServiceTask("scan", FeedRunner(scan, settings.grace_seconds * STOP_SHARE).run)]
