"""Orders that the broker contradicts: each locks its symbol until it is known again or resolved.

The lock needs no row of its own: the order is not done, so it keeps the reservation of its symbol,
and no other order for it is made.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select, update

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import events, rows
from streamdesk.order_executor.adapters.ledger.schema import ORDERS
from streamdesk.order_executor.domain import Contradiction, contradiction_alert
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Order, OrderState

RESOLVED = "RESOLVED_BY_PERSON"


@dataclass(frozen=True, slots=True)
class Contradicted:
    """An order that a person must look at: what is wrong, and since when."""

    order: Order
    code: Contradiction
    since: datetime


class Contradictions:
    """Notes contradictions, and resolves them.

    Args:
        database: of the ledger, open.
        clock: gives the time of writing.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def note(self, client_order_id: str, found: Contradiction) -> bool:
        """Lock the symbol of an order; returns whether that is new.

        An order that was done meanwhile is left alone.

        Raises:
            DatabaseError: it is not known whether it was noted; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> bool:
            order = rows.order(connection, client_order_id)
            if order is None or order.state.is_done or order.contradiction is not None:
                return False
            connection.execute(
                update(ORDERS)
                .where(ORDERS.c.client_order_id == client_order_id)
                .values(contradiction=found, contradicted_at=now)
            )
            events.alert(connection, contradiction_alert(order, found), now)
            return True

        return await self._database.write(work)

    async def unresolved(self) -> list[Contradicted]:
        """Every order that is contradicted now, the oldest first."""
        return await self._database.read(unresolved)

    async def resolve(self, client_order_id: str, reason: str) -> Order | None:
        """End an order that a person knows to be dead at the broker; its symbol is free again.

        A trade of it that the broker reports later is booked all the same.

        Args:
            client_order_id: the order.
            reason: for people.

        Returns:
            The order; None when it is not contradicted.

        Raises:
            DatabaseError: it is not known whether it was done; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> Order | None:
            order = rows.order(connection, client_order_id)
            if order is None or order.contradiction is None:
                return None
            ended = replace(
                order,
                state=OrderState.CANCELED,
                code=RESOLVED,
                reason=" ".join(reason.split())[:500] or "resolved by a person",
                contradiction=None,
            )
            rows.update_order(connection, ended, now)
            rows.release(connection, ended, ZERO)
            events.ended(connection, ended, now)
            return ended

        return await self._database.write(work)


def unresolved(connection: Connection) -> list[Contradicted]:
    """As in `Contradictions`, in a transaction of the caller's."""
    query = (
        select(ORDERS).where(ORDERS.c.contradiction.is_not(None)).order_by(ORDERS.c.contradicted_at)
    )
    return [
        Contradicted(
            rows.order_from(row), Contradiction(row["contradiction"]), row["contradicted_at"]
        )
        for row in connection.execute(query).mappings()
    ]
