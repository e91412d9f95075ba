"""Locks: what keeps new positions from being opened, for a time or until a person lifts it.

A lock concerns entries alone; what closes a position is never locked. It ends in event time: a
signal is held against it by the time of its bar, so that a replay locks as the market did.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

EVERY_SYMBOL = "*"
"""The symbol of a lock that concerns all of them."""


class LockCode(StrEnum):
    """Why entries are locked; each is a code of a refusal as well."""

    DAILY_LOSS = "DAILY_LOSS"
    DRAWDOWN = "DRAWDOWN"
    STOPLOSS_GUARD = "STOPLOSS_GUARD"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    LOW_PROFIT_PAIRS = "LOW_PROFIT_PAIRS"
    COOLDOWN_PERIOD = "COOLDOWN_PERIOD"
    PRICE_JUMP = "PRICE_JUMP"


@dataclass(frozen=True, slots=True)
class EntryLock:
    """No new position in a symbol, or in any.

    Attributes:
        symbol: which, or `EVERY_SYMBOL`.
        code: why, for programs.
        until: end, which is no longer locked; None: until a person lifts it.
        reason: why, for people.
        made_at: event time of what caused it.
        value, limit: what was measured, and what it was held against, in one unit.
    """

    symbol: str
    code: LockCode
    until: datetime | None
    reason: str
    made_at: datetime
    value: Decimal
    limit: Decimal

    def covers(self, symbol: str, at: datetime) -> bool:
        """Whether it keeps a position in the symbol from being opened at this time."""
        return self.symbol in {symbol, EVERY_SYMBOL} and self.lasts_beyond(at)

    def lasts_beyond(self, at: datetime) -> bool:
        """Whether it is in force at this time."""
        return self.until is None or self.until > at


def longest(locks: Iterable[EntryLock]) -> EntryLock | None:
    """The lock that ends last; of several that end together the first."""
    found = list(locks)
    endless = next((lock for lock in found if lock.until is None), None)
    if endless is not None or not found:
        return endless
    return max(found, key=lambda lock: lock.until or lock.made_at)
