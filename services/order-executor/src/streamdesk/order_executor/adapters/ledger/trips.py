"""Rows of positions from their first share to their last, and the locks that follow a close.

Every function runs inside a caller's transaction.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, or_, select, update

from streamdesk.order_executor.adapters.ledger import rows, trade_locks
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, ROUND_TRIPS
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Intent, Origin
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Booking, Holding
from streamdesk.trading.protections import (
    MaxDrawdown,
    RoundTrip,
    TripHistory,
    locks_after_close,
    longest_lookback,
)

_THIS_TRIP = update(ROUND_TRIPS).where(ROUND_TRIPS.c.entry_order_id == rows.THIS)
_SOLD = _THIS_TRIP.values(
    profit=ROUND_TRIPS.c.profit + bindparam("gained"), cost=ROUND_TRIPS.c.cost + bindparam("spent")
)
_AGAIN = _THIS_TRIP.values(closed_at=None, by_stop=None)
_INSERT = insert(ROUND_TRIPS)


def note_fill(
    connection: Connection, before: Holding | None, intent: Intent, booking: Booking
) -> None:
    """Write what a booked fill adds to its position's row."""
    if before is None:
        if booking.holding is not None:
            _open(connection, intent)
        return
    if booking.holding is not None and booking.holding.quantity > before.quantity:
        return
    sold_cost = booking.cash_amount - booking.realized_pnl - booking.fx_gain
    values: dict[str, Any] = {
        "this": before.entry_order_id,
        "gained": booking.realized_pnl,
        "spent": sold_cost,
    }
    if booking.holding is None:
        values |= {"closed_at": intent.as_of, "by_stop": intent.origin is Origin.STOP_LOSS}
    connection.execute(_SOLD, values)


def _open(connection: Connection, entry: Intent) -> None:
    # What is filled after its position was closed opens that position again: it is one trip.
    if connection.execute(_AGAIN, {"this": entry.client_order_id}).rowcount == 0:
        trip = {"entry_order_id": entry.client_order_id, "symbol": entry.symbol}
        connection.execute(_INSERT, {**trip, "profit": ZERO, "cost": ZERO})


def lock_after_close(
    connection: Connection, symbol: str, at: datetime, policy: Policy, now: datetime
) -> None:
    """Make the locks that the close of a position calls for.

    Args:
        connection: of the transaction that booked the close.
        symbol: of the position.
        at: event time of the close.
        policy: has the protections.
        now: time of writing.
    """
    protections = policy.limits.protections
    if not protections:
        return
    lookback = longest_lookback(protections)
    closed = ROUND_TRIPS.c.closed_at
    recent = select(ROUND_TRIPS).where(closed > at - lookback).order_by(closed)
    # A drawdown is of all positions; the others look at stops, and at the symbol's own positions.
    if not any(isinstance(rule, MaxDrawdown) for rule in protections):
        recent = recent.where(or_(ROUND_TRIPS.c.by_stop, ROUND_TRIPS.c.symbol == symbol))
    trips = [_trip(row) for row in connection.execute(recent).mappings()]
    # What was not gained by positions that are still open was gained by closed ones.
    of_open = select(func.sum(ROUND_TRIPS.c.profit)).where(closed.is_(None)).scalar_subquery()
    query = select(ACCOUNT.c.initial_cash, ACCOUNT.c.realized_pnl, of_open)
    start, gained, open_profit = connection.execute(query).one()
    history = TripHistory(at, trips, start, gained - (open_profit or ZERO))
    held = trade_locks.in_force(connection)
    for lock in locks_after_close(symbol, history, protections, held):
        trade_locks.make(connection, lock, now)


def _trip(row: RowMapping) -> RoundTrip:
    names = "symbol", "closed_at", "profit", "cost", "by_stop"
    return RoundTrip(**{name: row[name] for name in names})
