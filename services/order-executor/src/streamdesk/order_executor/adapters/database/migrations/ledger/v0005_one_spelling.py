"""Symbols in their one spelling: BRK-B.US is BRK.B.US, as bars and signals have it from now on.

Of Hong Kong's symbols no other spelling was ever traded.
"""

import sqlalchemy as sa
from alembic import op

from streamdesk.order_executor.errors import DatabaseRefusedError

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Rename what was traded under the old spelling alone.

    Where both were traded, as two instruments, the books of the past stay two: they balance as
    they are. That is refused while a position or an order of the old spelling is open.
    """
    op.execute("UPDATE signals SET symbol = replace(symbol, '-', '.') WHERE symbol LIKE '%-%.US'")
    connection = op.get_bind()
    traded = set(connection.execute(sa.text("SELECT DISTINCT symbol FROM orders")).scalars())
    for old in sorted(symbol for symbol in traded if "-" in symbol):
        new = old.replace("-", ".")
        if new not in traded:
            _rename(connection, old, new)
        elif _is_open(connection, old):
            raise DatabaseRefusedError(
                f"{old} and {new} were traded as two instruments and are one now; close the "
                f"position of {old} with the version that opened it"
            )


def _rename(connection: sa.Connection, old: str, new: str) -> None:
    for table in ("orders", "reservations", "positions"):
        statement = sa.text(f"UPDATE {table} SET symbol = :new WHERE symbol = :old")  # noqa: S608 - names of ours
        connection.execute(statement, {"new": new, "old": old})


def _is_open(connection: sa.Connection, symbol: str) -> bool:
    return any(
        connection.execute(
            sa.text(f"SELECT 1 FROM {table} WHERE symbol = :symbol"),  # noqa: S608 - names of ours
            {"symbol": symbol},
        ).first()
        for table in ("reservations", "positions")
    )
