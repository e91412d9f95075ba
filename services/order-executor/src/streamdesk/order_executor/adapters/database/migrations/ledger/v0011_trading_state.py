"""Which orders the kill switch lets through while it is on."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """A column that is empty for a halt of before: that one let exits through."""
    op.add_column("account", sa.Column("trading_state", sa.String(8)))
