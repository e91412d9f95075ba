"""An index for the newest bar behind an order of a symbol."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Each decision asks for it: without the index it would read every order."""
    op.create_index("orders_symbol", "orders", ["symbol", "as_of"])
