"""The only place where the parts of the analysis service are put together."""

import gc
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from streamdesk.analysis.analyses import Analyses
from streamdesk.analysis.application import Api
from streamdesk.analysis.cache import AnalysisCache
from streamdesk.analysis.computing import Computing
from streamdesk.analysis.config import Settings
from streamdesk.analysis.cron import OFF
from streamdesk.analysis.domain.hama import bars_needed
from streamdesk.analysis.domain.slots import Misfire
from streamdesk.analysis.handlers import Handlers
from streamdesk.analysis.job.indicators_job import IndicatorsJob
from streamdesk.analysis.job.task_events import TaskEvents
from streamdesk.analysis.job_schedule import job_schedule
from streamdesk.analysis.operations import Operations
from streamdesk.analysis.publication import Publication
from streamdesk.analysis.recorder import Recorder
from streamdesk.analysis.scheduler import Scheduler
from streamdesk.analysis.watched import WatchedSymbols
from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.topics import ANALYSIS_STATES, MARKET_BARS, TASKS
from streamdesk.indicators import PRESETS
from streamdesk.market import UNIVERSE, BarSource
from streamdesk.market.sources.binance.source import BinanceBarSource
from streamdesk.market.sources.chain import Chain
from streamdesk.market.sources.recorded import RecordedBarSource
from streamdesk.market.sources.simulated import SimulatedBarSource
from streamdesk.market.sources.stored import StoredBarSource
from streamdesk.market.store import BarStore
from streamdesk.runtime import (
    BadSettingError,
    Drain,
    Service,
    Work,
    listen,
    logger,
    metrics,
    serve_http,
)

log = logger("analysis")

REQUESTS_SECONDS = 5  # for requests in hand when the service stops


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[Work]]:
    """The works of the analysis service. It is ready with Redis or without."""
    async with AsyncExitStack() as stack:
        listener = listen(settings.analysis_host, settings.analysis_port, "ANALYSIS_PORT")
        stack.enter_context(listener)
        bus = await stack.enter_async_context(bus_of(settings, service))
        store = BarStore(settings.bar_store_folder) if settings.bar_store_folder else None
        sources = sources_of(settings, store)
        for source in sources:
            stack.push_async_callback(source.close)
        parts = Parts(settings, bus, store, sources)
        stack.push_async_callback(parts.close)
        yield parts.works(listener)


def bus_of(settings: Settings, service: Service) -> Bus:
    """The bus; without Redis one inside this process, so that nothing else has to be different."""
    wanted = settings.bus_config(service.name, Wait)
    if not settings.redis_enabled:
        wanted["url"] = f"memory://analysis-{secrets.token_hex(4)}"
    return Bus.connect(BusConfig(**wanted), service.bus_observer(), service.bus_tracer())


def sources_of(settings: Settings, store: BarStore | None) -> list[BarSource]:
    """The sources of bars that the settings name, in their order; a store only if there is one.

    Raises:
        BadSettingError: none is left, or a setting that one of them needs is missing.
    """
    names = [name for name in settings.bar_sources if name != "store" or store is not None]
    if not names:
        raise BadSettingError("BAR_STORE_FOLDER", "", "a folder: BAR_SOURCES names the store alone")
    return [_source(name, settings, store) for name in names]


def _source(name: str, settings: Settings, store: BarStore | None) -> BarSource:
    if name == "store" and store is not None:
        return StoredBarSource(store)
    if name == "simulated":
        return SimulatedBarSource(settings.feed_seed, utc_now)
    if name == "binance":
        return BinanceBarSource(settings.binance_url, observe=_count)
    if settings.bar_recording is None:
        expected = "a file or folder of recorded bars: BAR_SOURCES names `recorded`"
        raise BadSettingError("BAR_RECORDING", "", expected)
    return RecordedBarSource(settings.bar_recording)


def _count(source: str, outcome: str) -> None:
    metrics.BAR_SOURCE_REQUESTS.labels(source, outcome).inc()


def cache_of(settings: Settings, bus: Bus) -> AnalysisCache:
    """The cache as the settings say."""
    return AnalysisCache(
        bus.keys if settings.redis_enabled else None,
        owner=f"{settings.instance}-{secrets.token_hex(4)}",
        ttl_seconds=settings.hama_cache_ttl,
        memory_entries=settings.hama_memory_cache_symbols,
        look_seconds=settings.hama_cache_look_seconds,
        timeout_seconds=settings.hama_cache_timeout_seconds,
        clock=utc_now,
    )


class Parts:
    """The service's parts.

    Args:
        settings: what it was told.
        bus: where events and values go.
        store: the bar store, if there is one.
        sources: where bars come from, the first one first.
    """

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        store: BarStore | None,
        sources: Sequence[BarSource],
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._store = store
        tasks = TASKS.configured(key=settings.tasks_key)
        states = ANALYSIS_STATES.configured(key=settings.analysis_key)
        self.publication = Publication(bus, states, tasks)
        self.watched = WatchedSymbols(bus.keys, settings.hama_scheduler_watched_minutes * 60)
        self.analyses = Analyses(
            cache_of(settings, bus),
            Computing(
                # Each preset takes the first source that has as many bars as it needs.
                {preset: Chain(sources, bars_needed(preset)) for preset in PRESETS},
                settings.hama_bars,
                utc_now,
            ),
            preset=settings.hama_preset,
            interval_seconds=settings.hama_interval_seconds,
            ttl_seconds=settings.hama_cache_ttl,
            on_change=self.publication.changed,
        )
        self.scheduler = self._scheduler()
        self.job = self._job(store, TaskEvents(bus, tasks))
        self.handlers = Handlers(
            self.analyses,
            self._usual_symbols,
            self.watched.asked_for,
            max_batch=settings.analysis_max_batch,
            redis_wanted=settings.redis_enabled,
        )
        self.operations = Operations(
            self.scheduler,
            self.job,
            self.handlers,
            enabled=settings.hama_scheduler_enabled,
            ttl_seconds=settings.hama_cache_ttl,
        )

    @property
    def _usual_symbols(self) -> tuple[str, ...]:
        return self._settings.hama_symbols or tuple(each.symbol for each in UNIVERSE)

    def _scheduler(self) -> Scheduler:
        settings = self._settings

        async def symbols() -> Sequence[str]:
            if settings.hama_scheduler_watched_only:
                return await self.watched.current()
            return self._usual_symbols

        return Scheduler(
            self._bus.keys,
            self.analyses.refresh,
            symbols,
            self.publication.report,
            interval_seconds=settings.hama_scheduler_interval * 60,
            misfire=Misfire(settings.hama_scheduler_misfire),
            auto_start=settings.hama_scheduler_auto_start,
        )

    def _job(self, store: BarStore | None, events: TaskEvents) -> IndicatorsJob | None:
        folder = self._settings.bar_store_folder
        if store is None or folder is None:
            return None
        return IndicatorsJob(
            store,
            events,
            folder / "indicators",
            workers=self._settings.job_workers,
            keep_days=self._settings.bar_store_keep_days,
        )

    def works(self, listener: socket.socket) -> list[Work]:
        """What the service does all the time.

        Args:
            listener: where requests come in.
        """
        settings = self._settings
        app = Api(self.handlers, self.operations).application()

        async def serve(drain: Drain) -> None:
            host, port = listener.getsockname()[:2]
            gc.freeze()  # what is loaded stays: collections that look through it cost 50 ms
            log.info("listening", host=host, port=port, redis=settings.redis_enabled)
            await serve_http(
                app,
                listener,
                drain,
                close_seconds=REQUESTS_SECONDS,
                websockets="none",
                behind_proxy=False,
            )

        works = [
            Work("http", serve),
            Work("publication", self.publication.run),
            Work("watched", self.watched.run),
        ]
        if settings.hama_scheduler_enabled:
            works.append(Work("scheduler", self.scheduler.run))
        if self._store is not None:
            bars = MARKET_BARS.configured(key=settings.bars_key)
            recorder = Recorder(
                self._bus, bars, self._store, keep_days=settings.bar_store_keep_days
            )
            works.append(Work("record", recorder.run))
        if self.job is not None and settings.job_schedule != OFF:
            schedule = job_schedule(self._bus.keys, self.job, settings.job_schedule)
            works.append(Work("job-schedule", schedule.run))
        return works

    async def close(self) -> None:
        """End what was begun here."""
        await self.operations.close()
        await self.analyses.close()
        await self.publication.close()
