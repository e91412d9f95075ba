"""The process: an executor, the bus, and the tasks that connect them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from streamdesk.bus import Bus, BusConfig, RetryPolicy, Wait
from streamdesk.contracts.topics import (
    MARKET_BARS,
    TRADING_ORDERS,
    TRADING_RISK,
    TRADING_SIGNALS,
    bars_handled,
)
from streamdesk.order_executor.application.publish_outbox import OutboxPublisher
from streamdesk.order_executor.application.report_bars import BarsReport
from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.config.folders import make_folders
from streamdesk.order_executor.entrypoints import bus as bus_entrypoint
from streamdesk.order_executor.entrypoints import schedule
from streamdesk.order_executor.entrypoints.market_bars import AfterItsBar, MarketBars
from streamdesk.order_executor.factory.executor import OrderExecutor
from streamdesk.runtime import Drain, Service, ServiceTask


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[list[ServiceTask]]:
    """The order-executor's tasks.

    Args:
        settings: of the service.
        service: the process it runs in.
    """
    make_folders(settings)
    config = replace(
        BusConfig(**settings.bus_config(NAME, Wait)),
        retry=RetryPolicy(max_retries=settings.signal_max_retries),
    )
    bus = Bus.connect(config, observer=service.bus_observer(), tracer=service.bus_tracer())
    async with bus, OrderExecutor(settings) as executor:
        market = market_bars(settings, bus, executor)
        keys = {TRADING_ORDERS.name: settings.orders_key, TRADING_RISK.name: settings.risk_key}
        publisher = OutboxPublisher(executor.outbox, bus, keys)
        executor.on_commit = publisher.announce
        service.ready_when("trading open", lambda: executor.gate.is_open)
        service.ready_when("redis", lambda: bus.connected)
        service.ready_when("market known", market.warm.is_set)
        yield [
            ServiceTask("reconciliation", executor.keep_reconciled),
            ServiceTask("signals", _signals(settings, bus, executor, market)),
            ServiceTask("bars", market.follow),
            ServiceTask("bars-report", market.report.run),
            ServiceTask("portfolio", executor.keep_protected),
            ServiceTask("requests", executor.keep_requested),
            ServiceTask("publication", lambda drain: schedule.keep_published(publisher, drain)),
            ServiceTask("book-check", executor.keep_checked),
            ServiceTask("exchange-rates", executor.keep_rates),
        ]
        await publisher.close()


def market_bars(settings: Settings, bus: Bus, executor: OrderExecutor) -> MarketBars:
    """The bars of the bus, on their way to the executor."""
    topic = MARKET_BARS.configured(key=settings.bars_key)
    parts = executor.on_bar, executor.guard, executor.gate, _bars_report(settings, bus)
    return MarketBars(bus, topic, settings.bars_replay_seconds, executor.view, *parts)


def _signals(
    settings: Settings, bus: Bus, executor: OrderExecutor, market: MarketBars
) -> Callable[[Drain], Awaitable[None]]:
    topic = TRADING_SIGNALS.configured(key=settings.signal_queue_key)
    handler = AfterItsBar(executor.handler, market)
    workers = settings.order_executor_workers
    return lambda drain: bus_entrypoint.consume_signals(
        bus, topic, handler, executor.gate, market.warm, workers, drain
    )


def _bars_report(settings: Settings, bus: Bus) -> BarsReport:
    topic = bars_handled(settings.bars_key)
    return BarsReport(settings.instance, lambda report: bus.publish(topic, report))
