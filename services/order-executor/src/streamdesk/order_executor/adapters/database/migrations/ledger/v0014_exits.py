"""Further ways out of a position, as its signal gave them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Columns that are empty for what was ordered before."""
    op.add_column("orders", sa.Column("exits", sa.Text()))
    op.add_column("positions", sa.Column("exits", sa.Text()))
