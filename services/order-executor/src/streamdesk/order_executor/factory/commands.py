"""What commands of a person work with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from streamdesk.order_executor.adapters.database import Database, TableSet
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.audit import BookAudit
from streamdesk.order_executor.adapters.ledger.inspection import LedgerInspector
from streamdesk.order_executor.adapters.ledger.listing import (
    LedgerListing,
    must_be_this_versions,
)
from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.adapters.paper_broker import (
    PAPER,
    PaperBroker,
)
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.compare_balances import (
    AuditWithBalances,
    BalanceComparison,
)
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.config.folders import make_folders
from streamdesk.order_executor.factory.executor import OrderExecutor
from streamdesk.order_executor.factory.parts import policy_of, rates_of

COMMAND_SECONDS = 5.0
"""How long a person's halt waits for the ledger, before it is left beside it."""


INSPECTION_SECONDS = 3.0
"""An inspection waits less for a database than a start does: a person is waiting for it."""


LONGEST_READ_SECONDS = 600.0
"""A ledger of years takes minutes to list."""


@asynccontextmanager
async def open_executor(settings: Settings) -> AsyncIterator[OrderExecutor]:
    """An executor for a command; the tables are brought up to date."""
    make_folders(settings)
    async with OrderExecutor(settings) as executor:
        yield executor


@asynccontextmanager
async def open_trading(settings: Settings) -> AsyncIterator[OrderExecutor]:
    """An executor without a broker, for a person who waits: it gives up early.

    Raises:
        DatabaseError: the ledger is unavailable.
    """
    make_folders(settings)
    haste = {
        "database_timeout_seconds": COMMAND_SECONDS,
        "database_answer_seconds": COMMAND_SECONDS,
    }
    executor = OrderExecutor(settings.model_copy(update=haste))
    try:
        await executor.ledger.open()
        yield executor
    finally:
        await executor.close()


@asynccontextmanager
async def open_loss_limits(settings: Settings) -> AsyncIterator[LossLimits]:
    """The limits on loss of the configured ledger, as `open_executor`."""
    async with open_executor(settings) as executor:
        yield executor.loss_limits


def inspector_of(url: str) -> LedgerInspector:
    """An inspector of the ledger at this URL."""
    return LedgerInspector(Database(url, LEDGER, INSPECTION_SECONDS, INSPECTION_SECONDS))


def listing_of(settings: Settings) -> LedgerListing:
    """Rows of the configured ledger, which is only read."""
    return LedgerListing(_database_to_read(settings.ledger_url, LEDGER), rates_of(settings))


@asynccontextmanager
async def book_check_of(settings: Settings) -> AsyncIterator[BookCheck]:
    """The check of the configured books, which are only read."""
    policy = policy_of(settings)
    database = _database_to_read(settings.ledger_url, LEDGER)
    await database.read(must_be_this_versions)
    rates, opening = rates_of(settings), settings.opening_balances()
    ledger = Ledger(database, policy, rates, opening)
    records = _database_to_read(settings.paper_broker_url, PAPER)
    broker = PaperBroker(
        records,
        policy.instruments,
        settings.exchange_rules(policy),
        opening_balances=opening,
        rates=rates,
    )
    comparison = BalanceComparison(ledger, broker)
    try:
        yield BookCheck(AuditWithBalances(BookAudit(ledger, broker), comparison), TradingGate())
    finally:
        await database.close()
        await records.close()


def _database_to_read(url: SecretStr, tables: TableSet) -> Database:
    seconds = INSPECTION_SECONDS
    longest = LONGEST_READ_SECONDS
    return Database(url.get_secret_value(), tables, seconds, seconds, longest_read_seconds=longest)
