"""Whether trading is halted, since when and why."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Two columns that are empty while trading is not halted."""
    op.add_column("account", sa.Column("halted_at", sa.DateTime(timezone=True)))
    op.add_column("account", sa.Column("halted_reason", sa.Text()))
