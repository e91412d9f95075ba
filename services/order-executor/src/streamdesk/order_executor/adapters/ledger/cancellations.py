"""The wish to cancel what is left of an order, committed before the broker is asked to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import rows
from streamdesk.trading.orders import Order, OrderState
from streamdesk.trading.working_orders import CancelCode


class Cancellations:
    """Commits wishes to cancel.

    Args:
        database: of the ledger, open.
        clock: gives the time of writing.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def want(self, client_order_id: str, code: CancelCode) -> Order | None:
        """Commit that what is left of an order is to be canceled.

        Returns:
            The order, now in state PENDING_CANCEL; None when it was wanted before, or there is
            nothing to cancel.

        Raises:
            DatabaseError: it is not known whether it was committed; the reconciliation asks the
                broker for each wish that was.
        """
        now = self._clock()

        def work(connection: Connection) -> Order | None:
            order = rows.order(connection, client_order_id)
            return None if order is None else want(connection, order, code, now)

        return await self._database.write(work)

    async def want_entry_of(self, symbol: str, code: CancelCode) -> Order | None:
        """As `want`, of the buy order that has this symbol."""
        now = self._clock()

        def work(connection: Connection) -> Order | None:
            order = rows.live_order(connection, symbol)
            if order is None or order.intent.side is not Side.BUY:
                return None
            return want(connection, order, code, now)

        return await self._database.write(work)


def want(connection: Connection, order: Order, code: CancelCode, now: datetime) -> Order | None:
    """As `Cancellations.want`, in a transaction of the caller's.

    An order of which it is not known whether the broker has it cannot be canceled: first it is
    found, or sent again. One that the broker contradicts is left to a person.
    """
    if not order.state.is_working or order.contradiction is not None:
        return None
    if order.state is OrderState.PENDING_CANCEL:
        return None
    wanted = replace(order, state=OrderState.PENDING_CANCEL, code=code, reason=REASONS[code])
    rows.update_order(connection, wanted, now)
    return wanted


REASONS = {
    CancelCode.ENTRY_EXPIRED: "not filled in time",
    CancelCode.STOP_CROSSED: "the market crossed a stop of the position",
    CancelCode.SELL_SIGNAL: "a signal sells the position",
    CancelCode.SPLIT: "the shares are split",
    CancelCode.CANCEL_ALL: "a person cancels every order",
    CancelCode.CLOSE_ALL: "a person closes every position",
    CancelCode.EXIT_PRICED_ANEW: "the market moved away from its limit",
}
