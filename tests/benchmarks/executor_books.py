"""The books of a long trading life: a ledger and a paper broker's records that agree.

SQLite writes them itself: making as many orders one by one takes an hour.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".sql")
FILLS_OF_TWO_ORDERS = 5


def write_books(ledger: Path, paper: Path, orders: int) -> int:
    """Write so many filled orders, an even number, into empty books.

    Returns:
        The number of their fills.
    """
    shared, rest = SCRIPT.read_text().split("-- ledger\n")
    statements = dict(zip((ledger, paper), rest.split("-- paper\n"), strict=True))
    for path, script in statements.items():
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TEMP TABLE wanted (orders INTEGER)")
            database.execute("INSERT INTO wanted VALUES (?)", (orders,))
            database.commit()
            database.executescript(f"{shared} BEGIN; {script} COMMIT;")
    return orders // 2 * FILLS_OF_TWO_ORDERS
