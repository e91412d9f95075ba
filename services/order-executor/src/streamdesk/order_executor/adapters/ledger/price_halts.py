"""Symbols whose price has jumped: bars are held back until it is known what the jump was.

Each is a lock of entries with the price that was believed before. It ends when the price comes back
("returned"), when a person lifts it ("lifted"), or when a corporate action explains it
("adjusted"); the last two mean that the new price is believed. Every executor sees the same bars,
at its own time: what one has noted, or ended, another finds here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from streamdesk.contracts.events import Severity
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import events, rows, trade_locks
from streamdesk.order_executor.adapters.ledger.schema import (
    CORPORATE_ACTIONS,
    POSITIONS,
    TRADE_LOCKS,
)
from streamdesk.trading.corporate_actions import ActionKind
from streamdesk.trading.locks import LockCode
from streamdesk.trading.money import PRICE_STEP
from streamdesk.trading.price_jumps import BelievedPrice, PriceJump
from streamdesk.trading.risk import Alert

RETURNED, LIFTED, ADJUSTED = "returned", "lifted", "adjusted"
OF_JUMPS = TRADE_LOCKS.c.code == LockCode.PRICE_JUMP
NOT_ENDED = TRADE_LOCKS.c.ended_at.is_(None)
_OPEN = select(TRADE_LOCKS).where(OF_JUMPS, NOT_ENDED)


@dataclass(frozen=True, slots=True)
class PriceHalt:
    """A symbol whose bars are held back.

    Attributes:
        since: end of the bar that jumped.
        before: what bars are held against, until one is within the bound of it.
    """

    since: datetime
    before: BelievedPrice


class PriceHalts:
    """The halts of all executors of an account.

    Args:
        database: of the ledger, open.
        clock: gives the time of writing.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def open_halts(self) -> Mapping[str, PriceHalt]:
        """Those that have not ended, by symbol.

        Raises:
            DatabaseError: they cannot be known.
        """
        return await self._database.read(_open_halts)

    async def price_of_position(self, symbol: str) -> BelievedPrice | None:
        """The last price of a held symbol; None when it is not held.

        Raises:
            DatabaseError: it cannot be known.
        """
        query = select(POSITIONS.c.market_price, POSITIONS.c.marked_at)
        query = query.where(POSITIONS.c.symbol == symbol)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return None if row is None else BelievedPrice(max(row[0], PRICE_STEP), row[1])

    async def is_believed(self, jump: PriceJump) -> bool:
        """Halt the symbol because of a jump, unless the new price is believed already.

        The same jump again, by this executor or another, changes nothing.

        Returns:
            Whether a person, or a corporate action, has said that the price is right. Otherwise
            the symbol is halted, or was when this bar came.

        Raises:
            DatabaseError: it is not known whether it was noted; the same call again is safe.
        """
        now = self._clock()
        return await self._database.write(lambda connection: _is_believed(connection, jump, now))

    async def end_returned(self, symbol: str, at: datetime) -> None:
        """End a symbol's halt: a bar is within the bound again.

        Args:
            symbol: which.
            at: end of that bar.

        Raises:
            DatabaseError: it is not known whether it was ended; the same call again is safe.
        """
        now = self._clock()
        await self._database.write(lambda connection: end(connection, symbol, RETURNED, at, now))


def end(connection: Connection, symbol: str, cause: str, at: datetime, now: datetime) -> None:
    """End a symbol's halt, if there is one; `at` is the end of the first bar that is believed."""
    for item in trade_locks.open_locks(connection):
        is_of_jump = item.lock.code is LockCode.PRICE_JUMP and item.lock.symbol == symbol
        if is_of_jump and item.lock.made_at <= at:
            trade_locks.end(connection, item, cause, now)
            mine = TRADE_LOCKS.c.id == item.number
            connection.execute(update(TRADE_LOCKS).where(mine).values(until=at))


def has_split_since(connection: Connection, symbol: str, at: datetime) -> bool:
    """Whether shares were split after a bar: its prices are those of old shares."""
    query = select(CORPORATE_ACTIONS.c.id).where(
        CORPORATE_ACTIONS.c.symbol == symbol,
        CORPORATE_ACTIONS.c.kind == ActionKind.SPLIT,
        CORPORATE_ACTIONS.c.effective_at > at,
    )
    return connection.execute(query.limit(1)).first() is not None


def _open_halts(connection: Connection) -> dict[str, PriceHalt]:
    return {
        row["symbol"]: PriceHalt(
            row["made_at"], BelievedPrice(row["believed_price"], row["believed_at"])
        )
        for row in connection.execute(_OPEN).mappings()
    }


def _is_believed(connection: Connection, jump: PriceJump, now: datetime) -> bool:
    of_symbol = OF_JUMPS & (TRADE_LOCKS.c.symbol == jump.symbol)
    if _has(connection, of_symbol & NOT_ENDED):
        return False
    # The price that the bar is held against is older than one that was said to be right.
    is_newer = (TRADE_LOCKS.c.made_at > jump.before.at) & (TRADE_LOCKS.c.made_at <= jump.at)
    if _has(connection, of_symbol & is_newer & TRADE_LOCKS.c.ended_by.in_((LIFTED, ADJUSTED))):
        return True
    # Another executor knows of a split that this one does not.
    if has_split_since(connection, jump.symbol, jump.before.at):
        return True
    # Another executor is ahead, or this one was: it has seen the price come back since.
    is_over = (TRADE_LOCKS.c.made_at <= jump.at) & (TRADE_LOCKS.c.until > jump.at)
    if _has(connection, of_symbol & is_over & (TRADE_LOCKS.c.ended_by == RETURNED)):
        return False
    number = trade_locks.make(connection, jump.lock(), now)
    connection.execute(
        update(TRADE_LOCKS)
        .where(TRADE_LOCKS.c.id == number)
        .values(believed_price=jump.before.price, believed_at=jump.before.at)
    )
    if rows.holding(connection, jump.symbol) is not None:
        events.alert(connection, _alert(jump), now)
    return False


def _has(connection: Connection, which: ColumnElement[bool]) -> bool:
    return connection.execute(select(TRADE_LOCKS.c.id).where(which).limit(1)).first() is not None


def _alert(jump: PriceJump) -> Alert:
    return Alert(
        key=f"jump:{jump.symbol}:{jump.at.isoformat()}",
        code=LockCode.PRICE_JUMP,
        severity=Severity.CRITICAL,
        message=f"{jump.lock().reason}; it is held, and no stop of it is executed until the price "
        "comes back, a corporate action explains it, or a person lifts the lock",
        value=jump.percent,
        limit=jump.bound_percent,
        symbol=jump.symbol,
    )
