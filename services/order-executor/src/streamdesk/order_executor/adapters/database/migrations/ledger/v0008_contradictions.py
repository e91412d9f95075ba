"""What the broker contradicts, when an order was first sent, longer states, an opaque cursor."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Orders that are there count as sent when they were made: never later than they were."""
    _widen_state()
    op.add_column("orders", sa.Column("sent_at", sa.DateTime(timezone=True)))
    op.add_column("orders", sa.Column("contradiction", sa.String(40)))
    op.add_column("orders", sa.Column("contradicted_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE orders SET sent_at = created_at")
    op.add_column(
        "account", sa.Column("broker_cursor", sa.Text(), nullable=False, server_default="")
    )
    # The paper broker's cursor is the number that was kept before.
    op.execute(
        "UPDATE account SET broker_cursor = CAST(broker_sequence AS TEXT) WHERE broker_sequence > 0"
    )
    op.drop_column("account", "broker_sequence")


def _widen_state() -> None:
    # SQLite changes no type of a column, and orders cannot be copied: others refer to them.
    column = sa.Column("new_state", sa.String(16), nullable=False, server_default="INTENDED")
    op.add_column("orders", column)
    op.execute("UPDATE orders SET new_state = state")
    op.drop_index("orders_state", "orders")
    op.drop_column("orders", "state")
    op.alter_column("orders", "new_state", new_column_name="state")
    op.create_index("orders_state", "orders", ["state"])
