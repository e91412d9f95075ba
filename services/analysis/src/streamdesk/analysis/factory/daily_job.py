"""Wires the daily job, for the service and for the command line."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from streamdesk.analysis.adapters.process_pool.pool import ProcessPool
from streamdesk.analysis.adapters.run_folder.run_folder import ResultsFolder
from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob
from streamdesk.analysis.config import Settings
from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.topics import TASKS
from streamdesk.market.store import BarStore
from streamdesk.runtime import BadSettingError

NAME = "analysis"
RESULTS = "indicators"
"""The folder of the results, beside the bars."""

PUBLISH_TIMEOUT_SECONDS = 10.0
"""Of the command line: its caller waits."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def store_of(settings: Settings) -> BarStore | None:
    """The bar store that the settings name; None where they name none."""
    return BarStore(settings.bar_store_folder) if settings.bar_store_folder else None


def needed_store(settings: Settings) -> BarStore:
    """The bar store that the settings name.

    Raises:
        BadSettingError: they name none.
    """
    store = store_of(settings)
    if store is None:
        raise BadSettingError("BAR_STORE_FOLDER", "", "the folder of the bar store")
    return store


def job_of(settings: Settings, store: BarStore, bus: Bus | None) -> IndicatorsJob:
    """The job.

    Args:
        settings: of the service.
        store: where the bars are.
        bus: where its events go; None to publish nothing.
    """
    tasks = TASKS.configured(key=settings.tasks_key)
    return IndicatorsJob(
        store,
        None if bus is None else TaskEvents(bus, tasks),
        ResultsFolder(store.folder / RESULTS),
        ProcessPool(settings.job_workers),
        clock=utc_now,
        keep_days=settings.bar_store_keep_days,
    )


@asynccontextmanager
async def open_job(settings: Settings, store: BarStore) -> AsyncIterator[IndicatorsJob]:
    """The job with a bus of its own, for a process that does nothing else."""
    async with AsyncExitStack() as stack:
        bus = None
        if settings.redis_enabled:
            config = BusConfig(
                **settings.bus_config(NAME, Wait), publish_timeout_seconds=PUBLISH_TIMEOUT_SECONDS
            )
            bus = await stack.enter_async_context(Bus.connect(config))
        yield job_of(settings, store, bus)
