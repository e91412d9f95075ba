"""Symbols in their one spelling: BRK-B.US is BRK.B.US, as the ledger has it."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename them all: an order is known by its id here, not by its symbol."""
    op.execute(
        "UPDATE paper_orders SET symbol = replace(symbol, '-', '.') WHERE symbol LIKE '%-%.US'"
    )
