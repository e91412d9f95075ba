"""Splits and dividends."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Their table, empty."""
    op.create_table(
        "paper_actions",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("ex_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("ratio_new", sa.BigInteger(), nullable=False),
        sa.Column("ratio_old", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("symbol", "ex_date", "kind", name="paper_actions_once"),
        sqlite_autoincrement=True,
    )
