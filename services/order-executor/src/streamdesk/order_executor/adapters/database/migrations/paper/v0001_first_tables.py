"""The paper broker's tables as they were before there were migrations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Clerk, orders, trades."""
    op.create_table("paper_clerk", sa.Column("id", sa.Integer(), primary_key=True))
    op.create_table(
        "paper_orders",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("client_order_id", sa.String(64), nullable=False, unique=True),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("limit_price", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("code", sa.String(40)),
        sa.Column("reason", sa.Text()),
        sa.Column("times_asked", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "paper_trades",
        sa.Column("sequence", NUMBER, primary_key=True),
        sa.Column("trade_id", sa.String(64), nullable=False, unique=True),
        sa.Column(
            "client_order_id",
            sa.String(64),
            sa.ForeignKey("paper_orders.client_order_id"),
            nullable=False,
        ),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sqlite_autoincrement=True,
    )
