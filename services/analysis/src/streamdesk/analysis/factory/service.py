"""Wires the analysis service."""

import gc
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.types import ASGIApp

from streamdesk.analysis.adapters.bar_recorder import BarRecorder
from streamdesk.analysis.adapters.cache.analysis_cache import AnalysisCache
from streamdesk.analysis.adapters.publisher import AnalysisPublisher
from streamdesk.analysis.adapters.schedule_record import ScheduleRecord
from streamdesk.analysis.adapters.watched_symbols import WatchedSymbols
from streamdesk.analysis.application import refresh
from streamdesk.analysis.application.analyses.compute_analyses import ComputeAnalyses
from streamdesk.analysis.application.analyses.get_analyses import Analyses
from streamdesk.analysis.application.daily_job import job_schedule
from streamdesk.analysis.application.daily_job.background_job import BackgroundJob
from streamdesk.analysis.application.refresh import Scheduler
from streamdesk.analysis.config import Settings
from streamdesk.analysis.domain.cron import OFF
from streamdesk.analysis.domain.hama import bars_needed
from streamdesk.analysis.domain.slots import Misfire
from streamdesk.analysis.entrypoints.http.analysis_endpoints import AnalysisEndpoints
from streamdesk.analysis.entrypoints.http.operation_endpoints import OperationEndpoints
from streamdesk.analysis.entrypoints.http.routes import Api
from streamdesk.analysis.entrypoints.schedule import run_schedule
from streamdesk.analysis.factory.daily_job import job_of, store_of, utc_now
from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.topics import ANALYSIS_STATES, MARKET_BARS, TASKS
from streamdesk.indicators import PRESETS
from streamdesk.market import UNIVERSE, BarSource
from streamdesk.market.sources.chain import Chain
from streamdesk.market.sources.recorded import RecordedBarSource
from streamdesk.market.sources.simulated import SimulatedBarSource
from streamdesk.market.sources.stored import StoredBarSource
from streamdesk.market.store import BarStore
from streamdesk.runtime import (
    BadSettingError,
    Drain,
    Service,
    ServiceTask,
    listen,
    logger,
    metrics,
    serve_http,
)

log = logger(__name__)

REQUESTS_SECONDS = 5  # for requests in flight when the service stops


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[ServiceTask]]:
    """The tasks of the analysis service. It is ready with Redis or without."""
    async with AsyncExitStack() as stack:
        listener = listen(settings.analysis_host, settings.analysis_port, "ANALYSIS_PORT")
        stack.enter_context(listener)
        bus = await stack.enter_async_context(bus_of(settings, service))
        store = store_of(settings)
        sources = sources_of(settings, store)
        for source in sources:
            stack.push_async_callback(source.close)
        parts = AnalysisParts(settings, bus, store, sources)
        stack.push_async_callback(parts.close)
        yield parts.tasks(listener)


def bus_of(settings: Settings, service: Service) -> Bus:
    """The bus; without Redis one in this process's memory, with the same interface."""
    wanted = settings.bus_config(service.name, Wait)
    if not settings.redis_enabled:
        wanted["url"] = f"memory://analysis-{secrets.token_hex(4)}"
    return Bus.connect(BusConfig(**wanted), service.bus_observer(), service.bus_tracer())


def sources_of(settings: Settings, store: BarStore | None) -> list[BarSource]:
    """The sources of bars that the settings name, in their order; without a store, not `store`.

    Raises:
        BadSettingError: no source is left, or a setting that one of them needs is missing.
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
        # Its HTTP client costs a start 70 ms that the other sources need not pay.
        from streamdesk.market.sources.binance.source import (  # noqa: PLC0415 - see above
            BinanceBarSource,
        )

        return BinanceBarSource(settings.binance_url, observe=_count)
    if settings.bar_recording is None:
        expected = "a file or folder of recorded bars: BAR_SOURCES names `recorded`"
        raise BadSettingError("BAR_RECORDING", "", expected)
    return RecordedBarSource(settings.bar_recording)


def _count(source: str, outcome: str) -> None:
    metrics.BAR_SOURCE_REQUESTS.labels(source, outcome).inc()


def cache_of(settings: Settings, bus: Bus) -> AnalysisCache:
    """The cache that the settings describe."""
    return AnalysisCache(
        bus.keys if settings.redis_enabled else None,
        owner=f"{settings.instance}-{secrets.token_hex(4)}",
        ttl_seconds=settings.hama_cache_ttl,
        memory_entries=settings.hama_memory_cache_symbols,
        look_seconds=settings.hama_cache_look_seconds,
        timeout_seconds=settings.hama_cache_timeout_seconds,
        clock=utc_now,
    )


class AnalysisParts:
    """The objects of the service.

    Args:
        settings: of the service.
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
        self.publisher = AnalysisPublisher(bus, states, tasks)
        self.watched = WatchedSymbols(bus.keys, settings.hama_scheduler_watched_minutes * 60)
        self.analyses = self._analyses(sources)
        self.scheduler = self._scheduler()
        self.job = None if store is None else job_of(settings, store, bus)
        self.background = None if self.job is None else BackgroundJob(self.job)

    @property
    def _default_symbols(self) -> tuple[str, ...]:
        return self._settings.hama_symbols or tuple(each.symbol for each in UNIVERSE)

    def _analyses(self, sources: Sequence[BarSource]) -> Analyses:
        settings = self._settings
        # Each preset takes the first source that has as many bars as it needs.
        chains = {preset: Chain(sources, bars_needed(preset)) for preset in PRESETS}
        return Analyses(
            cache_of(settings, self._bus),
            ComputeAnalyses(chains, settings.hama_bars, utc_now),
            preset=settings.hama_preset,
            interval_seconds=settings.hama_interval_seconds,
            ttl_seconds=settings.hama_cache_ttl,
            on_change=self.publisher.changed,
        )

    def _scheduler(self) -> Scheduler:
        settings = self._settings

        async def symbols() -> Sequence[str]:
            if settings.hama_scheduler_watched_only:
                return await self.watched.current()
            return self._default_symbols

        record = ScheduleRecord(
            refresh.NAME, self._bus.keys, auto_start=settings.hama_scheduler_auto_start
        )
        return Scheduler(
            record,
            self.analyses.refresh,
            symbols,
            self.publisher.report,
            interval_seconds=settings.hama_scheduler_interval * 60,
            clock=utc_now,
            misfire=Misfire(settings.hama_scheduler_misfire),
        )

    def _application(self) -> ASGIApp:
        """The HTTP API."""
        settings = self._settings
        analyses = AnalysisEndpoints(
            self.analyses,
            self._default_symbols,
            self.watched.asked_for,
            max_batch=settings.analysis_max_batch,
            redis_wanted=settings.redis_enabled,
        )
        operations = OperationEndpoints(
            self.scheduler,
            self.background,
            analyses,
            enabled=settings.hama_scheduler_enabled,
            ttl_seconds=settings.hama_cache_ttl,
        )
        return Api(analyses, operations).application()

    def tasks(self, listener: socket.socket) -> list[ServiceTask]:
        """The tasks of the service.

        Args:
            listener: the socket of the API.
        """
        settings = self._settings
        tasks = [
            ServiceTask("http", self._server(listener)),
            ServiceTask("publication", self.publisher.run),
            ServiceTask("watched", self.watched.run),
        ]
        if settings.hama_scheduler_enabled:
            tasks.append(ServiceTask("scheduler", partial(run_schedule, self.scheduler.runner)))
        if self._store is not None:
            bars = MARKET_BARS.configured(key=settings.bars_key)
            recorder = BarRecorder(
                self._bus, bars, self._store, keep_days=settings.bar_store_keep_days
            )
            tasks.append(ServiceTask("record", recorder.run))
        if self.job is not None and settings.job_schedule != OFF:
            record = ScheduleRecord(job_schedule.NAME, self._bus.keys, auto_start=True)
            runner = job_schedule.job_schedule(
                record, self.job, settings.job_schedule, clock=utc_now
            )
            tasks.append(ServiceTask("job-schedule", partial(run_schedule, runner)))
        return tasks

    def _server(self, listener: socket.socket) -> Callable[[Drain], Awaitable[None]]:
        app = self._application()

        async def serve(drain: Drain) -> None:
            host, port = listener.getsockname()[:2]
            # What is loaded stays: without this, each full collection walks it, for 50 ms.
            gc.freeze()
            log.info("listening", host=host, port=port, redis=self._settings.redis_enabled)
            await serve_http(
                app,
                listener,
                drain,
                close_seconds=REQUESTS_SECONDS,
                websockets="none",
                behind_proxy=False,
            )

        return serve

    async def close(self) -> None:
        """End what was started here."""
        if self.background is not None:
            await self.background.close()
        await self.analyses.close()
        await self.publisher.close()
