"""The only place where objects are wired."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from streamdesk.bus import Bus, BusConfig, RetryPolicy, Wait
from streamdesk.contracts.topics import (
    MARKET_BARS,
    TRADING_ORDERS,
    TRADING_RISK,
    TRADING_SIGNALS,
)
from streamdesk.order_executor.application.publish_outbox import Publication
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.desk import Desk
from streamdesk.runtime import BadSettingError, Drain, Service, Work

NAME = "order-executor"
GROUP = TRADING_SIGNALS.groups[0]
Run = Callable[[Drain], Awaitable[None]]
GATE_SECONDS = 0.02
"""How often a starting executor looks whether its books are reconciled."""


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[list[Work]]:
    """The order-executor's works.

    Args:
        settings: what it was told.
        service: the process it lives in.
    """
    make_folders(settings)
    config = replace(
        BusConfig(**settings.bus_config(NAME, Wait)),
        retry=RetryPolicy(max_retries=settings.signal_max_retries),
    )
    bus = Bus.connect(config, observer=service.bus_observer(), tracer=service.bus_tracer())
    async with bus, Desk(settings) as desk:
        keys = {TRADING_ORDERS.name: settings.orders_key, TRADING_RISK.name: settings.risk_key}
        publication = Publication(desk.outbox, bus, keys)
        desk.on_commit = publication.announce
        service.ready_when("trading open", lambda: desk.gate.is_open)
        service.ready_when("redis", lambda: bus.connected)
        yield [
            Work("reconciliation", desk.reconciliation.run),
            Work("signals", _signals(settings, bus, desk)),
            Work("bars", _bars(settings, bus, desk)),
            Work("portfolio", desk.protection.watch),
            Work("publication", publication.run),
            Work("book-check", desk.book_check.run),
        ]
        await publication.close()


def make_folders(settings: Settings) -> None:
    """Make the folders of the files that the settings name.

    Raises:
        BadSettingError: one cannot be made.
    """
    for name in ("ledger_url", "paper_broker_url"):
        _make_folder(name, getattr(settings, name).get_secret_value())


def _make_folder(name: str, url: str) -> None:
    scheme, _, path = url.partition(":///")
    if not scheme.startswith("sqlite"):
        return
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettingError(
            name.upper(), url, f"a folder that can be written ({error})"
        ) from error


def _signals(settings: Settings, bus: Bus, desk: Desk) -> Run:
    topic = TRADING_SIGNALS.configured(key=settings.signal_queue_key)
    workers = settings.order_executor_workers

    async def run(drain: Drain) -> None:
        # What is taken now would only wait here, and count as handed out if this process died.
        while not desk.gate.is_open:
            if await drain.sleep(GATE_SECONDS):
                return
        subscription = bus.subscribe(topic, GROUP, desk.handler, batch=workers, concurrency=workers)
        await subscription.run(drain.requested)

    return run


def _bars(settings: Settings, bus: Bus, desk: Desk) -> Run:
    topic = MARKET_BARS.configured(key=settings.bars_key)

    async def run(drain: Drain) -> None:
        since_ms = round((time.time() - settings.bars_replay_seconds) * 1000)
        bars = bus.tail(topic, since=f"{max(since_ms, 0)}-0", stop=drain.requested)
        await desk.protection.follow(bars, drain)

    return run
