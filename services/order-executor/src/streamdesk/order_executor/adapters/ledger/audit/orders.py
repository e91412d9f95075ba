"""Each order against its fills, its reservation and its signal."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from streamdesk.order_executor.adapters.ledger.audit.findings import Discrepancy, Findings
from streamdesk.order_executor.adapters.ledger.schema import FILLS, ORDERS, RESERVATIONS, SIGNALS
from streamdesk.trading.identity import entry_of_leg
from streamdesk.trading.orders import OrderState

SLICE = 1_000
"""Orders of one transaction."""

DONE = frozenset(state.value for state in OrderState if state.is_done)
FILLED = OrderState.FILLED.value

_ORDERS = (
    select(
        ORDERS.c.client_order_id,
        ORDERS.c.state,
        ORDERS.c.quantity,
        ORDERS.c.filled_quantity,
        ORDERS.c.signal_id,
        SIGNALS.c.signal_id,
        SIGNALS.c.refusal_code,
        RESERVATIONS.c.client_order_id,
    )
    .select_from(
        ORDERS.outerjoin(SIGNALS, SIGNALS.c.signal_id == ORDERS.c.signal_id).outerjoin(
            RESERVATIONS, RESERVATIONS.c.client_order_id == ORDERS.c.client_order_id
        )
    )
    .order_by(ORDERS.c.client_order_id)
)


def orders_after(connection: Connection, client_order_id: str) -> Sequence[Any]:
    """The next orders by client order id; none at the end."""
    after = ORDERS.c.client_order_id > client_order_id
    return connection.execute(_ORDERS.where(after).limit(SLICE)).all()


def orders_with_totals(
    connection: Connection, client_order_ids: Sequence[str]
) -> tuple[Sequence[Any], dict[str, int]]:
    """These orders, and how many shares their fills add up to, at one moment."""
    orders = connection.execute(_ORDERS.where(ORDERS.c.client_order_id.in_(client_order_ids)))
    totals = connection.execute(
        select(FILLS.c.client_order_id, func.sum(FILLS.c.quantity))
        .where(FILLS.c.client_order_id.in_(client_order_ids))
        .group_by(FILLS.c.client_order_id)
    )
    return orders.all(), {order_id: int(total) for order_id, total in totals}


def known_orders(connection: Connection, client_order_ids: Sequence[str]) -> set[str]:
    """Those of the orders that the ledger has."""
    query = select(ORDERS.c.client_order_id).where(ORDERS.c.client_order_id.in_(client_order_ids))
    return set(connection.execute(query).scalars().all())


def check_orders(orders: Sequence[Any], totals: Mapping[str, int], findings: Findings) -> list[str]:
    """Compare orders with what their fills, reservations and signals say.

    Args:
        orders: as they were read.
        totals: shares that their fills add up to.
        findings: takes the differences.

    Returns:
        Ids of the orders that differ.
    """
    differing: list[str] = []
    for order_id, state, quantity, filled, signal_id, signal, refusal, reservation in orders:
        before, is_done, total = len(findings), state in DONE, totals.get(order_id, 0)
        # Naming each figure would cost more than comparing it.
        holds = not is_done and entry_of_leg(order_id) is None
        if total != filled or (reservation is not None) != holds:
            findings.compare(f"{order_id} filled", total, filled)
            findings.compare(f"{order_id} holds a reservation", holds, reservation is not None)
        if state == FILLED and filled != quantity:
            findings.append(Discrepancy(f"{order_id} whole", quantity, filled))
        if signal_id is not None and (signal is None or refusal is not None):
            what = "missing" if signal is None else f"refused ({refusal})"
            findings.append(Discrepancy(f"{order_id} signal {signal_id}", "taken", what))
        if len(findings) > before:
            differing.append(order_id)
    return differing
