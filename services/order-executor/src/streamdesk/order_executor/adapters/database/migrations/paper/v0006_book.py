"""The exchange's book, the newest bars, and when a trade was made."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables; positions of before are found in the orders when they are sold."""
    op.create_table(
        "paper_book",
        sa.Column(
            "client_order_id",
            sa.String(64),
            sa.ForeignKey("paper_orders.client_order_id"),
            primary_key=True,
        ),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
    )
    op.create_index("paper_book_symbol", "paper_book", ["symbol"])
    op.create_table(
        "paper_market",
        sa.Column("symbol", sa.String(24), primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("late_bar", sa.Text()),
    )
    op.add_column("paper_trades", sa.Column("at", sa.DateTime(timezone=True)))
