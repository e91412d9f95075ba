"""Locks of entries, and what they follow from: closed positions, and the account's equity by day.

Positions that were opened or closed before are worked out from the fills.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Three tables, the index that counts recent orders, and the positions so far."""
    op.create_index("orders_as_of", "orders", ["as_of"])
    round_trips = _round_trips()
    _trade_locks()
    op.create_table(
        "equity_track",
        sa.Column("account", sa.String(32), sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("day", sa.Date(), nullable=False),
        _whole("day_equity"),
        _whole("peak_equity"),
    )
    if rows := _trips():
        op.bulk_insert(round_trips, rows)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _time(name: str, *, nullable: bool) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _round_trips() -> sa.Table:
    made = op.create_table(
        "round_trips",
        sa.Column(
            "entry_order_id",
            sa.String(64),
            sa.ForeignKey("orders.client_order_id"),
            primary_key=True,
        ),
        sa.Column("symbol", sa.String(24), nullable=False),
        _whole("profit"),
        _whole("cost"),
        _time("closed_at", nullable=True),
        sa.Column("by_stop", sa.Boolean()),
    )
    op.create_index("round_trips_closed_at", "round_trips", ["closed_at"])
    return made


def _trade_locks() -> None:
    op.create_table(
        "trade_locks",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        _time("until", nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        _whole("value"),
        _whole("limit"),
        _time("made_at", nullable=False),
        _time("ended_at", nullable=True),
        sa.Column("ended_by", sa.String(8)),
        sqlite_autoincrement=True,
    )
    op.create_index("trade_locks_ended_at", "trade_locks", ["ended_at"])


def _trips() -> list[dict[str, Any]]:
    """Every position, from the fills in the order of their booking."""
    columns = "client_order_id", "symbol", "side", "origin", "as_of"
    orders = sa.table("orders", *map(sa.column, columns[:4]), _time("as_of", nullable=False))
    names = "client_order_id", "booking", "quantity", "cash_amount", "realized_pnl", "fx_gain"
    fills = sa.table("fills", *map(sa.column, names))
    query = (
        sa.select(orders, *(fills.c[name] for name in names[2:]))
        .join_from(fills, orders, fills.c.client_order_id == orders.c.client_order_id)
        .order_by(fills.c.booking)
    )
    trips: dict[str, dict[str, Any]] = {}
    held: dict[str, tuple[str, int]] = {}
    for row in op.get_bind().execute(query).mappings():
        symbol = row["symbol"]
        entry, left = held.pop(symbol, (row["client_order_id"], 0))
        trip = trips.setdefault(entry, _opened(row))
        if row["side"] == "BUY":
            # An entry may have been filled after its position was closed: the same trip again.
            trip |= {"closed_at": None, "by_stop": None}
            held[symbol] = entry, left + row["quantity"]
            continue
        left -= row["quantity"]
        trip["profit"] += row["realized_pnl"]
        trip["cost"] += row["cash_amount"] - row["realized_pnl"] - row["fx_gain"]
        if left > 0:
            held[symbol] = entry, left
        else:
            trip |= {"closed_at": row["as_of"], "by_stop": row["origin"] == "STOP_LOSS"}
    return list(trips.values())


def _opened(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "entry_order_id": row["client_order_id"],
        "symbol": row["symbol"],
        "profit": 0,
        "cost": 0,
        "closed_at": None,
        "by_stop": None,
    }
