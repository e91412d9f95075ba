"""Stops and targets that the broker holds: each enters the books with its first trade.

Until then they are the broker's alone. They reserve nothing: they sell what is held, and the broker
lets the exits of one position sell it once, whichever comes first.
"""

from datetime import datetime

from sqlalchemy import Connection

from streamdesk.order_executor.adapters.ledger import events, rows
from streamdesk.trading.decisions import Crossing, exit_alert, leg_of
from streamdesk.trading.identity import entry_of_leg
from streamdesk.trading.orders import BrokerReport, Order
from streamdesk.trading.working_orders import MAX_EXITS

EXECUTOR = "broker"
"""Who made the order, for people."""


def adopt(connection: Connection, report: BrokerReport, now: datetime) -> Order | None:
    """Write the order of a leg that has traded; its trades are still to be booked.

    Returns:
        None when it is no leg of a position that is held: then the report cannot be booked.
    """
    entry_id = entry_of_leg(report.client_order_id)
    entry = rows.order(connection, entry_id) if entry_id and report.trades else None
    if entry is None:
        return None
    holding = rows.holding(connection, entry.intent.symbol)
    if holding is None or holding.entry_order_id != entry.client_order_id:
        return None
    intent = leg_of(entry.intent, holding, report)
    # The broker may have had it since the entry was sent.
    order = Order(intent, sent_at=entry.sent_at or now, traceparent=entry.traceparent)
    rows.insert_order(connection, order, EXECUTOR, now)
    events.submitted(connection, order, now)
    crossed = Crossing(intent.origin, intent.limit_price, intent.reference_price, intent.as_of)
    events.alert(connection, exit_alert(intent, crossed, 1, MAX_EXITS), now)
    return order
