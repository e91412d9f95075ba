"""Where the stops of positions have moved to."""

from decimal import Decimal

from sqlalchemy import Connection, or_, update

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, POSITIONS
from streamdesk.trading.portfolio import Holding


class Stops:
    """Stops in the ledger.

    Args:
        database: of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def raise_to(self, holding: Holding, level: Decimal) -> bool:
        """Raise the stop of a position; the same call again, or a lower one, changes nothing.

        Args:
            holding: the position as it was when the bar came.
            level: the new stop, on the tick, in the market's currency.

        Returns:
            Whether it was raised.
        """
        same = (POSITIONS.c.symbol == holding.symbol) & (
            POSITIONS.c.entry_order_id == holding.entry_order_id
        )
        lower = or_(POSITIONS.c.stop_loss.is_(None), POSITIONS.c.stop_loss < level)
        raised = update(POSITIONS).where(same, lower).values(stop_loss=level)

        def work(connection: Connection) -> bool:
            if not connection.execute(raised).rowcount:
                return False
            # The next valuation shows it.
            connection.execute(update(ACCOUNT).values(moved=True))
            return True

        return await self._database.write(work)
