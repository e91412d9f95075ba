"""A look at a ledger's database that changes nothing: no table is made, no migration applied."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.database.upgrade import current, steps
from streamdesk.order_executor.adapters.ledger.contradictions import unresolved
from streamdesk.order_executor.adapters.ledger.external_trades import open_trades
from streamdesk.order_executor.adapters.ledger.kill_switch import state
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.errors import DatabaseUnavailableError
from streamdesk.trading.trading_state import TradingState

HALTS_SINCE = "0002"
"""The migration that brought the kill switch."""

STATES_SINCE = "0011"
"""The migration that brought its states."""


class LedgerInspector:
    """Reads how a ledger is.

    Args:
        database: of the ledger; may lack the ledger's tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self) -> dict[str, Any]:
        """Which migrations the tables have had, whether trading is halted, what is contradicted.

        Raises:
            DatabaseError: the database is unavailable, or cannot be read.
        """
        try:
            return await self._database.read(_look)
        except (SQLAlchemyError, OSError) as error:
            # `orig` is the driver's own error, without the statement and its parameters.
            raise DatabaseUnavailableError(str(getattr(error, "orig", error))) from error
        finally:
            await self._database.close()


def _look(connection: Connection) -> dict[str, Any]:
    known, step = steps(LEDGER), current(connection, LEDGER)
    halt = None
    if step is not None and step >= HALTS_SINCE:
        halt = state(connection, has_states=step >= STATES_SINCE)
    # The orders of an older step lack columns that this version reads.
    is_newest = step == known[-1]
    found = unresolved(connection) if is_newest else []
    external = open_trades(connection) if is_newest else []
    return {
        "error": "",
        "step": step,
        "newest": known[-1],
        "known": step is None or step in known,
        "halted_since": halt.at.isoformat() if halt else "",
        "reason": halt.reason if halt else "",
        "trading_state": halt.state if halt else TradingState.ACTIVE,
        "contradictions": [
            f"{item.code} {item.order.client_order_id} {item.order.intent.symbol} "
            f"since {item.since.isoformat(timespec='seconds')}"
            for item in found
        ],
        "external_trades": [
            f"{item.trade.trade_id}: {item.trade.side or 'traded'} {item.trade.quantity} "
            f"{item.trade.symbol or '(unknown symbol)'} at {item.trade.price} "
            f"{item.trade.currency}, seen {item.seen_at.isoformat(timespec='seconds')}"
            for item in external
        ],
    }
