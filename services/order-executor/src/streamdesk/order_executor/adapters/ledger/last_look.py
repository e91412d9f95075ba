"""The kill switch once more, right before an order is sent."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, update

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.ledger import events, rows
from streamdesk.order_executor.adapters.ledger.kill_switch import state
from streamdesk.order_executor.adapters.ledger.schema import ORDERS
from streamdesk.order_executor.domain import Halt
from streamdesk.order_executor.errors import TradingStoppedError
from streamdesk.trading.orders import Order, OrderState
from streamdesk.trading.risk import Code
from streamdesk.trading.trading_state import TradingState


def stop_of(connection: Connection, side: Side) -> Halt | None:
    """The halt that forbids to send an order of this side; None where it may be sent."""
    halt = state(connection)
    if halt is None or (halt.state is TradingState.REDUCING and side is Side.SELL):
        return None
    return halt


def withdraw(connection: Connection, client_order_id: str, now: datetime) -> Order | None:
    """Cancel an intent that no process has sent, if the kill switch forbids to send it.

    Returns:
        The order, canceled now or before, or not to be sent; None when it may be sent after all.
    """
    order = rows.order(connection, client_order_id)
    if order is None or order.state.is_done:
        return order
    halt = stop_of(connection, order.intent.side)
    if halt is None:
        return None
    if order.state is not OrderState.INTENDED or order.contradiction is not None:
        return order  # another process is sending it, or asks for it, or a person is to look at it
    halted = halt.state is TradingState.HALTED
    code = Code.TRADING_HALTED if halted else Code.TRADING_REDUCING
    canceled = replace(order, state=OrderState.CANCELED, code=code, reason=halt.text)
    rows.update_order(connection, canceled, now)
    rows.release(connection, canceled, canceled.intent.reserved_cash)
    events.ended(connection, canceled, now)
    return canceled


def begin_sending(connection: Connection, client_order_id: str, now: datetime) -> bool:
    """Note that an order of another process, or of before, is sent now.

    From here on `withdraw` leaves it alone: the broker may have it.

    Returns:
        False when there is nothing to send: it is done, or contradicted.

    Raises:
        TradingStoppedError: the kill switch forbids to send it; nothing was written.
    """
    order = rows.order(connection, client_order_id)
    if order is None or order.state.is_done or order.contradiction is not None:
        return False
    halt = stop_of(connection, order.intent.side)
    if halt is not None:
        raise TradingStoppedError(f"order {client_order_id} is held back: {halt.text}")
    connection.execute(
        update(ORDERS)
        .where(
            ORDERS.c.client_order_id == client_order_id,
            ORDERS.c.state == OrderState.INTENDED,
        )
        .values(state=OrderState.UNKNOWN, reason="sent by a reconciliation", updated_at=now)
    )
    return True
