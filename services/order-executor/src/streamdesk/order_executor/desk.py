"""Everything between a signal and its trades, without the bus: for the service, and for replays."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Self

from pydantic import SecretStr

from streamdesk.bus import Message, Outcome
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import TRADING_SIGNALS
from streamdesk.order_executor.adapters.database import Book, Database
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.audit import Findings, verify
from streamdesk.order_executor.adapters.ledger.digest import digest
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.ledger.outbox import Outbox
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.adapters.paper_broker import BOOK, Faults, PaperBroker
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.execute_order import Execution
from streamdesk.order_executor.application.execute_signal import SignalHandler
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.application.reconcile import Reconciliation
from streamdesk.order_executor.application.trading_gate import Gate
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import DatabaseError, DatabaseRefusedError
from streamdesk.runtime import BadSettingError, logger

log = logger("order-executor")
FIRST_PAUSE_SECONDS = 0.25
LONGER_PAUSES = 4
"""Pauses get longer up to this one, of four seconds."""


class Desk:
    """One executor's parts, wired. Use it as an async context manager.

    A replay calls `on_signal` and `on_bar` one after the other: the same calls give the same
    ledger (`digest`).

    Args:
        settings: of the service.
        clock: tells the time of writing.
        faults: what goes wrong at the paper broker, for tests.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = wall_clock,
        faults: Faults | None = None,
    ) -> None:
        policy = settings.policy()
        database = _database(settings, settings.ledger_url, LEDGER)
        self.gate = Gate()
        self.ledger = Ledger(
            database,
            policy,
            settings.rates(),
            settings.initial_cash,
            executor=settings.instance,
            clock=clock,
        )
        self.kill_switch = KillSwitch(database, clock)
        self.outbox = Outbox(
            database,
            owner=settings.instance,
            lease_seconds=settings.outbox_lease_seconds,
            keep=settings.outbox_keep,
            clock=clock,
        )
        self.broker = PaperBroker(
            _database(settings, settings.paper_broker_url, BOOK),
            policy,
            settings.paper_slippage_bps,
            faults,
        )
        self.on_commit: Callable[[], None] = _nobody_listens
        self.execution = Execution(
            self.ledger, self.broker, self.gate, settings.broker_timeout_seconds, self._booked
        )
        self.protection = Protection(
            self.ledger, self.execution, self.gate, settings.valuation_interval_seconds
        )
        self.reconciliation = Reconciliation(
            self.ledger, self.execution, self.gate, settings.reconcile_interval_seconds
        )
        self.book_check = BookCheck(
            lambda: verify(self.ledger),
            self.verify,
            settings.book_check_interval_seconds,
            lambda: self.gate.is_open,
        )
        self.handler = SignalHandler(
            self.ledger,
            self.execution,
            self.protection,
            self.gate,
            max_retries=settings.signal_max_retries,
            clock=clock,
            announce=self._announce,
        )

    def _booked(self) -> None:
        self.protection.positions_changed()
        self._announce()

    def _announce(self) -> None:
        self.on_commit()

    async def __aenter__(self) -> Self:
        try:
            await _when_there("LEDGER_URL", self.ledger.open)
            await _when_there("PAPER_BROKER_URL", self.broker.open)
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
        """As if the signal had come over the bus, for the first time."""
        if not self.gate.is_open:
            await self.reconciliation.reconcile()
        return await self.handler(Message(id=signal_id, event=signal, topic=TRADING_SIGNALS.name))

    async def on_bar(self, bar: BarClosed) -> None:
        """As if the bar had come over the bus."""
        await self.protection.on_bar(bar)

    async def verify(self) -> Findings:
        """What does not agree: the ledger with itself, and with the broker's book."""
        return await verify(self.ledger, await self.broker.book())

    async def digest(self) -> str:
        """The ledger as one number, without random ids and the wall clock."""
        return await digest(self.ledger)


def _database(settings: Settings, url: SecretStr, book: Book) -> Database:
    waits = settings.database_timeout_seconds, settings.database_answer_seconds
    return Database(url.get_secret_value(), book, *waits)


async def _when_there(variable: str, opened: Callable[[], Awaitable[None]]) -> None:
    """Open a book as soon as its database can be had."""
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


def _nobody_listens() -> None:
    """Until there is somebody who publishes."""
