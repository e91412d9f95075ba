"""Splits and dividends, each booked once."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Their table, empty."""
    op.create_table(
        "corporate_actions",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("ex_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        _whole("ratio_new"),
        _whole("ratio_old"),
        _whole("amount"),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        _whole("booking"),
        sa.Column("entry_order_id", sa.String(64), sa.ForeignKey("orders.client_order_id")),
        _whole("shares_before"),
        _whole("shares_after"),
        _whole("price"),
        _whole("rate"),
        _whole("local_amount"),
        _whole("cash_amount"),
        _whole("realized_pnl"),
        _whole("fx_gain"),
        sa.Column("stop_loss", sa.BigInteger()),
        sa.Column("take_profit", sa.BigInteger()),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("symbol", "ex_date", "kind", name="corporate_actions_once"),
        sqlite_autoincrement=True,
    )


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)
