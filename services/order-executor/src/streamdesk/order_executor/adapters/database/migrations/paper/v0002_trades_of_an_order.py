"""The trades of an order without reading all trades: a report of each order needs them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """An index."""
    op.create_index("paper_trades_client_order_id", "paper_trades", ["client_order_id"])
