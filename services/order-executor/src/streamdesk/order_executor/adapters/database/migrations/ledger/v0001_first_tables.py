"""The ledger's tables as they were before there were migrations."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Everything, in an order in which each table refers only to those before it."""
    _account_and_signals()
    _orders()
    _reservations_and_positions()
    _fills()
    _alerts_outbox_and_leases()


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _order_id(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    to_order = sa.ForeignKey("orders.client_order_id")
    return sa.Column(name, sa.String(64), to_order, nullable=nullable, primary_key=primary_key)


def _account_and_signals() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("currency", sa.String(3), nullable=False),
        _whole("initial_cash"),
        _whole("cash"),
        _whole("realized_pnl"),
        _whole("broker_sequence"),
        _whole("valuations"),
        _time("valued_at", nullable=True),
        sa.Column("moved", sa.Boolean(), nullable=False),
        _time("opened_at"),
    )
    op.create_table(
        "signals",
        sa.Column("signal_id", sa.Text(), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        _time("as_of"),
        sa.Column("refusal_code", sa.String(40)),
        sa.Column("refusal_reason", sa.Text()),
        _whole("refusal_value", nullable=True),
        _whole("refusal_limit", nullable=True),
        _time("decided_at"),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.String(64), primary_key=True),
        sa.Column("signal_id", sa.Text(), sa.ForeignKey("signals.signal_id"), unique=True),
        sa.Column("origin_signal_id", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(12), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        _order_id("entry_order_id", nullable=True),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("market", sa.String(2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        _whole("quantity"),
        _whole("limit_price"),
        _whole("reference_price"),
        _whole("stop_loss", nullable=True),
        _whole("take_profit", nullable=True),
        sa.Column("score", sa.Float(), nullable=False),
        _time("as_of"),
        _whole("reserved_cash"),
        sa.Column("state", sa.String(10), nullable=False),
        _whole("filled_quantity"),
        sa.Column("broker_order_id", sa.String(64)),
        sa.Column("code", sa.String(40)),
        sa.Column("reason", sa.Text()),
        sa.Column("executor", sa.String(200), nullable=False),
        _time("created_at"),
        _time("updated_at"),
    )
    op.create_index("orders_state", "orders", ["state"])


def _reservations_and_positions() -> None:
    op.create_table(
        "reservations",
        _order_id("client_order_id", primary_key=True),
        sa.Column("symbol", sa.String(24), nullable=False, unique=True),
        sa.Column("market", sa.String(2), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        _whole("cash"),
    )
    op.create_table(
        "positions",
        sa.Column("symbol", sa.String(24), primary_key=True),
        sa.Column("market", sa.String(2), nullable=False),
        _whole("quantity"),
        _whole("cost"),
        _whole("market_price"),
        _time("marked_at"),
        _time("opened_at"),
        _order_id("entry_order_id"),
        sa.Column("signal_id", sa.Text(), nullable=False),
        _whole("stop_loss", nullable=True),
        _whole("take_profit", nullable=True),
    )


def _fills() -> None:
    op.create_table(
        "fills",
        sa.Column("trade_id", sa.String(64), primary_key=True),
        sa.Column("booking", sa.BigInteger(), nullable=False, unique=True),
        _order_id("client_order_id"),
        _whole("quantity"),
        _whole("price"),
        _whole("fee"),
        sa.Column("currency", sa.String(3), nullable=False),
        _whole("rate"),
        _whole("cash_amount"),
        _whole("realized_pnl"),
        _time("booked_at"),
    )


def _alerts_outbox_and_leases() -> None:
    op.create_table("alerts", sa.Column("key", sa.String(64), primary_key=True), _time("raised_at"))
    op.create_table(
        "outbox",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("event_id", sa.String(36), nullable=False, unique=True),
        sa.Column("topic", sa.String(16), nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        _time("created_at"),
        _time("published_at", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_unpublished", "outbox", ["published_at", "id"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        _time("until"),
    )
