"""What a person asks of all executors: to cancel every order, to close every position."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Their tables, empty."""
    op.create_table(
        "desk_requests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sqlite_autoincrement=True,
    )
    op.create_index("desk_requests_ended_at", "desk_requests", ["ended_at"])
    op.create_table(
        "desk_request_items",
        sa.Column(
            "request_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("desk_requests.id"),
            primary_key=True,
        ),
        sa.Column(
            "client_order_id",
            sa.String(64),
            sa.ForeignKey("orders.client_order_id"),
            primary_key=True,
        ),
        sa.Column("outcome", sa.String(10)),
        sa.Column("detail", sa.Text()),
    )
