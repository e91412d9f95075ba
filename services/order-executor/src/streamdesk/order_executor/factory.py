"""The only place where objects are wired."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from streamdesk.bus import Bus, BusConfig, Message, Outcome, RetryPolicy, Wait
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import (
    MARKET_BARS,
    TRADING_ORDERS,
    TRADING_RISK,
    TRADING_SIGNALS,
)
from streamdesk.order_executor.adapters.database import Database, TableSet
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.audit import Findings, verify
from streamdesk.order_executor.adapters.ledger.digest import digest
from streamdesk.order_executor.adapters.ledger.inspection import LedgerInspector
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.adapters.ledger.outbox import Outbox
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.adapters.paper_broker import PAPER, Faults, PaperBroker
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.execute_signal import SignalExecution
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.application.publish_outbox import OutboxPublisher
from streamdesk.order_executor.application.reconcile import Reconciliation
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.entrypoints import bus as bus_entrypoint
from streamdesk.order_executor.entrypoints import schedule
from streamdesk.order_executor.errors import DatabaseError, DatabaseRefusedError
from streamdesk.runtime import BadSettingError, Drain, Service, ServiceTask, logger

log = logger(__name__)
FIRST_PAUSE_SECONDS = 0.25
LONGER_PAUSES = 4
"""Pauses get longer up to this one, of four seconds."""

INSPECTION_SECONDS = 3.0
"""An inspection waits less for a database than a start does: a person is waiting for it."""


class OrderExecutor:
    """Everything between a signal and its trades, without the bus. An async context manager.

    A replay calls `on_signal` and `on_bar` one after the other: the same calls give the same
    ledger (`digest`).

    Args:
        settings: of the service.
        clock: gives the time of writing.
        faults: what goes wrong at the paper broker, for tests.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = wall_clock,
        faults: Faults | None = None,
    ) -> None:
        self._settings = settings
        self.on_commit: Callable[[], None] = _ignore
        self.gate = TradingGate()
        self._wire_adapters(settings, clock, faults)
        self._wire_use_cases(settings, clock)

    def _wire_adapters(
        self, settings: Settings, clock: Callable[[], datetime], faults: Faults | None
    ) -> None:
        policy, database = settings.policy(), _database(settings, settings.ledger_url, LEDGER)
        self.ledger = Ledger(
            database,
            policy,
            settings.rates(),
            settings.initial_cash,
            executor=settings.instance,
            clock=clock,
        )
        self.kill_switch = KillSwitch(database, clock)
        self.loss_limits = LossLimits(database, policy, settings.rates(), clock)
        self.outbox = Outbox(
            database,
            owner=settings.instance,
            lease_seconds=settings.outbox_lease_seconds,
            keep=settings.outbox_keep,
            clock=clock,
        )
        self.broker = PaperBroker(
            _database(settings, settings.paper_broker_url, PAPER),
            policy,
            settings.paper_slippage_bps,
            faults,
        )

    def _wire_use_cases(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.execution = OrderExecution(
            self.ledger, self.broker, self.gate, settings.broker_timeout_seconds, self._booked
        )
        self.protection = Protection(
            self.ledger,
            self.execution,
            self.gate,
            self.loss_limits,
            settings.valuation_interval_seconds,
        )
        self.reconciliation = Reconciliation(self.ledger, self.execution, self.gate)
        self.book_check = BookCheck(lambda: verify(self.ledger), self.verify)
        signal_execution = SignalExecution(
            self.ledger,
            self.execution,
            self.protection,
            self.gate,
            clock=clock,
            announce=self._announce,
        )
        self.handler = bus_entrypoint.SignalHandler(signal_execution, settings.signal_max_retries)

    def _booked(self) -> None:
        self.protection.positions_changed()
        self._announce()

    def _announce(self) -> None:
        self.on_commit()

    async def __aenter__(self) -> Self:
        try:
            await _open_when_available("LEDGER_URL", self.ledger.open)
            await _open_when_available("PAPER_BROKER_URL", self.broker.open)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        await self.ledger.close()
        await self.broker.close()

    async def on_signal(self, signal_id: str, signal: SignalGenerated) -> Outcome:
        """Handle a signal as if it had come over the bus, for the first time."""
        if not self.gate.is_open:
            await self.reconciliation.reconcile()
        return await self.handler(Message(id=signal_id, event=signal, topic=TRADING_SIGNALS.name))

    async def on_bar(self, bar: BarClosed) -> None:
        """Handle a bar as if it had come over the bus."""
        await self.protection.on_bar(bar)

    async def keep_reconciled(self, drain: Drain) -> None:
        """Reconcile with the broker, again and again."""
        interval = self._settings.reconcile_interval_seconds
        await schedule.keep_reconciled(self.reconciliation, self.gate, interval, drain)

    async def keep_protected(self, drain: Drain) -> None:
        """Act on crossings that had to wait, and value the portfolio, again and again."""
        await schedule.keep_protected(self.protection, drain)

    async def keep_checked(self, drain: Drain) -> None:
        """Check the books, again and again."""
        interval = self._settings.book_check_interval_seconds
        await schedule.keep_checked(self.book_check, lambda: self.gate.is_open, interval, drain)

    async def verify(self) -> Findings:
        """What does not agree: the ledger with itself, and with the broker's reports."""
        return await verify(self.ledger, await self.broker.all_reports())

    async def digest(self) -> str:
        """The ledger as one hash, without random ids and the wall clock."""
        return await digest(self.ledger)


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
        keys = {TRADING_ORDERS.name: settings.orders_key, TRADING_RISK.name: settings.risk_key}
        publisher = OutboxPublisher(executor.outbox, bus, keys)
        executor.on_commit = publisher.announce
        service.ready_when("trading open", lambda: executor.gate.is_open)
        service.ready_when("redis", lambda: bus.connected)
        yield [
            ServiceTask("reconciliation", executor.keep_reconciled),
            ServiceTask("signals", _signals(settings, bus, executor)),
            ServiceTask("bars", _bars(settings, bus, executor)),
            ServiceTask("portfolio", executor.keep_protected),
            ServiceTask("publication", lambda drain: schedule.keep_published(publisher, drain)),
            ServiceTask("book-check", executor.keep_checked),
        ]
        await publisher.close()


def _signals(
    settings: Settings, bus: Bus, executor: OrderExecutor
) -> Callable[[Drain], Awaitable[None]]:
    topic = TRADING_SIGNALS.configured(key=settings.signal_queue_key)
    workers = settings.order_executor_workers
    return lambda drain: bus_entrypoint.consume_signals(
        bus, topic, executor.handler, executor.gate, workers, drain
    )


def _bars(
    settings: Settings, bus: Bus, executor: OrderExecutor
) -> Callable[[Drain], Awaitable[None]]:
    topic = MARKET_BARS.configured(key=settings.bars_key)

    async def run(drain: Drain) -> None:
        bars = bus_entrypoint.recent_bars(bus, topic, settings.bars_replay_seconds, drain)
        await bus_entrypoint.follow_bars(bars, executor.protection, executor.gate, drain)

    return run


@asynccontextmanager
async def open_kill_switch(settings: Settings) -> AsyncIterator[KillSwitch]:
    """The kill switch of the configured ledger, whose tables are brought up to date."""
    async with _open_ledger(settings) as executor:
        yield executor.kill_switch


@asynccontextmanager
async def open_loss_limits(settings: Settings) -> AsyncIterator[LossLimits]:
    """The limits on loss of the configured ledger, likewise."""
    async with _open_ledger(settings) as executor:
        yield executor.loss_limits


def _open_ledger(settings: Settings) -> OrderExecutor:
    make_folders(settings)
    return OrderExecutor(settings)


def inspector_of(url: str) -> LedgerInspector:
    """An inspector of the ledger at this URL."""
    return LedgerInspector(Database(url, LEDGER, INSPECTION_SECONDS, INSPECTION_SECONDS))


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


def _database(settings: Settings, url: SecretStr, tables: TableSet) -> Database:
    waits = settings.database_timeout_seconds, settings.database_answer_seconds
    return Database(url.get_secret_value(), tables, *waits)


async def _open_when_available(variable: str, opened: Callable[[], Awaitable[None]]) -> None:
    """Open tables as soon as their database is available."""
    for attempt in itertools.count():
        try:
            await opened()
        except DatabaseRefusedError as error:
            expected = f"a database that this version can work with: {error}"
            raise BadSettingError(variable, "(hidden)", expected) from error
        except DatabaseError as error:
            if attempt == 0:
                log.warning("waiting for the database", setting=variable, error=str(error))
        else:
            return
        await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** min(attempt, LONGER_PAUSES))


def _ignore() -> None:
    """Nothing: what is committed is not published."""
