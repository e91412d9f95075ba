"""Exchange rates by date."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """A table; the next start writes the present rates into it."""
    op.create_table(
        "rates",
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
    )
