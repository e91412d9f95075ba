"""Fees that the broker names after it has reported the trade."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """A mark on fills without a fee, and a table for what came later."""
    op.add_column(
        "fills", sa.Column("fee_due", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "late_fees",
        sa.Column("trade_id", sa.String(64), sa.ForeignKey("fills.trade_id"), primary_key=True),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("realized_pnl", sa.BigInteger(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
    )
