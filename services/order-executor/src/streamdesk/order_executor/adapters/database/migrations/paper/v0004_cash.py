"""Cash by currency, and conversions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Two tables, empty: what older records come to follows from the ledger."""
    op.create_table(
        "paper_balances",
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "paper_conversions",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("client_order_id", sa.String(64), nullable=False),
        sa.Column("trade_id", sa.String(64), nullable=False),
        sa.Column("from_currency", sa.String(3), nullable=False),
        sa.Column("from_amount", sa.BigInteger(), nullable=False),
        sa.Column("to_currency", sa.String(3), nullable=False),
        sa.Column("to_amount", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("rate_at", sa.DateTime(timezone=True)),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("paper_conversions_trade_id", "paper_conversions", ["trade_id"])
