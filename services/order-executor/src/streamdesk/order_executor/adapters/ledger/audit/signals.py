"""Signals that were taken and have no order."""

from sqlalchemy import Connection, select

from streamdesk.order_executor.adapters.ledger.schema import ORDERS, SIGNALS

SLICE = 1_000
"""Signals of one transaction."""


def untaken_after(connection: Connection, signal_id: str) -> tuple[str, list[str]] | None:
    """Of the next signals, those that were not refused and have no order.

    Returns:
        The last signal that was looked at and those without an order; None at the end.
    """
    part = (
        select(SIGNALS.c.signal_id)
        .where(SIGNALS.c.signal_id > signal_id)
        .order_by(SIGNALS.c.signal_id)
        .limit(SLICE)
    )
    ids = list(connection.execute(part).scalars())
    if not ids:
        return None
    untaken = (
        select(SIGNALS.c.signal_id)
        .outerjoin(ORDERS, ORDERS.c.signal_id == SIGNALS.c.signal_id)
        .where(
            SIGNALS.c.signal_id.between(ids[0], ids[-1]),
            SIGNALS.c.refusal_code.is_(None),
            ORDERS.c.client_order_id.is_(None),
        )
    )
    return ids[-1], list(connection.execute(untaken).scalars())
