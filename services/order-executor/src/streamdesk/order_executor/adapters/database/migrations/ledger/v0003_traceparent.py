"""The trace that an order and its events belong to, for the process that continues them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A column each; empty where nothing was traced."""
    op.add_column("orders", sa.Column("traceparent", sa.String(55)))
    op.add_column("outbox", sa.Column("traceparent", sa.String(55)))
