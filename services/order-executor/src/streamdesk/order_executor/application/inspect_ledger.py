"""Reports how the ledger is, without changing anything.

Unlike a start it makes no file and no table, applies no migration, and gives up early.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamdesk.order_executor.adapters.ledger.inspection import LedgerInspector
from streamdesk.order_executor.errors import DatabaseError

SQLITE = "sqlite"


async def inspect_ledger(
    url: str, inspector_of: Callable[[str], LedgerInspector]
) -> dict[str, Any]:
    """What is found at a database's URL.

    Args:
        url: of the ledger's database.
        inspector_of: an inspector of the database with this URL.

    Returns:
        `error`: why the database is unavailable, empty otherwise. `step`: the last migration that
        its tables have had, None without tables; `newest`: the last that this version knows;
        `known`: whether it knows `step`; `halted_since` and `reason`: whether trading is halted
        or reduced to exits; `trading_state`: which;
        `contradictions`: a line for each order that the broker contradicts; `external_trades`: one
        for each trade that no desk ordered and nobody has settled.
        With an error there is nothing else.
    """
    if missing := _missing_file(url):
        return {"error": f"there is no file {missing}"}
    try:
        return await inspector_of(url).look()
    except DatabaseError as error:
        # What follows the first line may be a statement, or parameters.
        return {"error": str(error).partition("\n")[0]}


def _missing_file(url: str) -> str:
    """The file that connecting would make; empty if it exists, or the URL names none."""
    scheme, _, path = url.partition(":///")
    return path if scheme.startswith(SQLITE) and not Path(path).exists() else ""
