"""The price that was believed before one that has jumped, with the lock that it makes."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Two columns, empty for every other lock."""
    op.add_column("trade_locks", sa.Column("believed_price", sa.BigInteger()))
    op.add_column("trade_locks", sa.Column("believed_at", sa.DateTime(timezone=True)))
