"""Rows of locks of entries, and their events.

Every function runs inside a caller's transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from streamdesk.contracts.events import EntriesLocked, EntriesUnlocked, Severity
from streamdesk.contracts.topics import TRADING_RISK
from streamdesk.order_executor.adapters.ledger import events
from streamdesk.order_executor.adapters.ledger.schema import TRADE_LOCKS
from streamdesk.order_executor.domain import NumberedLock
from streamdesk.trading.locks import EVERY_SYMBOL, EntryLock, LockCode

_OPEN = select(TRADE_LOCKS).where(TRADE_LOCKS.c.ended_at.is_(None)).order_by(TRADE_LOCKS.c.id)


def open_locks(connection: Connection) -> list[NumberedLock]:
    """Every lock whose end was not noted, the oldest first."""
    return [_numbered(row) for row in connection.execute(_OPEN).mappings()]


def in_force(connection: Connection) -> tuple[EntryLock, ...]:
    """The same locks, without their numbers."""
    return tuple(item.lock for item in open_locks(connection))


HAS_ENDED = {
    "expired": "has expired",
    "lifted": "was lifted by a person",
    "returned": "has ended: the price is back",
    "adjusted": "has ended: a corporate action explains the price",
}
"""Causes of an end, and what they mean for people."""


def make(connection: Connection, lock: EntryLock, now: datetime) -> int:
    """Write a lock, and announce it; returns its number."""
    names = "symbol", "code", "until", "reason", "value", "limit", "made_at"
    values = {name: getattr(lock, name) for name in names}
    made = connection.execute(insert(TRADE_LOCKS).values(**values).returning(TRADE_LOCKS.c.id))
    number = made.scalar_one()
    end = f"until {lock.until.isoformat()}" if lock.until else "until a person lifts the lock"
    event = EntriesLocked(
        code=lock.code,
        severity=Severity.WARNING,
        message=f"entries in {_where(lock)} are locked {end}: {lock.reason}",
        symbol=_symbol(lock),
        value=float(lock.value),
        limit=float(lock.limit),
        timestamp=now,
        lock_id=number,
        until=lock.until,
    )
    events.enqueue(connection, TRADING_RISK.name, event, (str(number),), now)
    return int(number)


def expire(
    connection: Connection, locks: Sequence[NumberedLock], at: datetime, now: datetime
) -> None:
    """Note and announce the ends that have come by this event time."""
    for item in locks:
        if not item.lock.lasts_beyond(at):
            end(connection, item, "expired", now)


def end(connection: Connection, item: NumberedLock, cause: str, now: datetime) -> None:
    """Note and announce the end of a lock; the cause is one of `HAS_ENDED`."""
    mine = TRADE_LOCKS.c.id == item.number
    connection.execute(update(TRADE_LOCKS).where(mine).values(ended_at=now, ended_by=cause))
    event = EntriesUnlocked.model_validate(
        {
            "code": item.lock.code,
            "severity": Severity.INFO,
            "message": f"the lock of entries in {_where(item.lock)} {HAS_ENDED[cause]}",
            "symbol": _symbol(item.lock),
            "value": 0,
            "limit": 0,
            "timestamp": now,
            "lock_id": item.number,
            "cause": cause,
        }
    )
    events.enqueue(connection, TRADING_RISK.name, event, (str(item.number),), now)


def _numbered(row: RowMapping) -> NumberedLock:
    names = "symbol", "until", "reason", "value", "limit", "made_at"
    lock = EntryLock(code=LockCode(row["code"]), **{name: row[name] for name in names})
    return NumberedLock(row["id"], lock)


def _symbol(lock: EntryLock) -> str | None:
    return None if lock.symbol == EVERY_SYMBOL else lock.symbol


def _where(lock: EntryLock) -> str:
    return _symbol(lock) or "all symbols"
