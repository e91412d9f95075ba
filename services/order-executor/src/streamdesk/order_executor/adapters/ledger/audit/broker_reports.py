"""Each order and its fills against the broker's report of it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from streamdesk.order_executor.adapters.ledger.audit.findings import (
    Discrepancy,
    Findings,
    from_millionths,
)
from streamdesk.order_executor.adapters.ledger.audit.orders import DONE
from streamdesk.order_executor.adapters.ledger.audit.replay import raw
from streamdesk.order_executor.adapters.ledger.contradictions import RESOLVED
from streamdesk.order_executor.adapters.ledger.schema import FILLS, LATE_FEES, ORDERS
from streamdesk.trading.money import ZERO, tidy
from streamdesk.trading.orders import BrokerReport, OrderState, Origin, Trade

SLICE = 500
"""Orders that the broker is asked about in one call."""

MILLION = Decimal(1_000_000)
_ORDERS = select(
    ORDERS.c.client_order_id,
    ORDERS.c.state,
    ORDERS.c.broker_order_id,
    # The desk knows that the broker lacks it: its symbol is locked, a person has resolved it, or
    # it was written for an external trade, which the broker has under another id.
    or_(
        ORDERS.c.contradiction.is_not(None),
        func.coalesce(ORDERS.c.code, "") == RESOLVED,
        ORDERS.c.origin == Origin.EXTERNAL,
    ),
)
_FILLS = select(
    FILLS.c.client_order_id,
    FILLS.c.trade_id,
    FILLS.c.quantity,
    raw(FILLS.c.price),
    # NULL while the broker has not named it, as far as is known here.
    case(
        (and_(FILLS.c.fee_due, LATE_FEES.c.trade_id.is_(None)), None),
        else_=raw(FILLS.c.fee) + func.coalesce(raw(LATE_FEES.c.fee), 0),
    ),
    FILLS.c.currency,
).select_from(FILLS.outerjoin(LATE_FEES, LATE_FEES.c.trade_id == FILLS.c.trade_id))


@dataclass(frozen=True, slots=True)
class Slice:
    """Some orders with all their fills, as they were at one moment.

    Attributes:
        orders: client order id, state, the broker's id, whether it is known to lack it.
        fills: rows of their fills, by order.
    """

    orders: Sequence[Any]
    fills: dict[str, list[Any]]

    @property
    def ids(self) -> list[str]:
        """The client order ids."""
        return [row[0] for row in self.orders]


def slice_after(connection: Connection, client_order_id: str) -> Slice:
    """The next orders by client order id; none at the end."""
    after = _ORDERS.where(ORDERS.c.client_order_id > client_order_id)
    orders = connection.execute(after.order_by(ORDERS.c.client_order_id).limit(SLICE)).all()
    if not orders:
        return Slice([], {})
    first, last = orders[0][0], orders[-1][0]
    return Slice(orders, _fills(connection, FILLS.c.client_order_id.between(first, last)))


def slice_of(connection: Connection, client_order_ids: Sequence[str]) -> Slice:
    """These orders."""
    orders = connection.execute(_ORDERS.where(ORDERS.c.client_order_id.in_(client_order_ids)))
    return Slice(orders.all(), _fills(connection, FILLS.c.client_order_id.in_(client_order_ids)))


def _fills(connection: Connection, of_them: ColumnElement[bool]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(_FILLS.where(of_them)).all():
        found[row[0]].append(row)
    return found


def compare(seen: Slice, reports: Sequence[BrokerReport], findings: Findings) -> list[Trade]:
    """Compare orders with the broker's reports of them, which are newer.

    The broker may be ahead in an order that is not done here: the next report brings it.

    Returns:
        Trades of orders that are done here, which no fill of their order is booked for.
    """
    by_id = {report.client_order_id: report for report in reports}
    missing: list[Trade] = []
    for order_id, state, broker_order_id, known_missing in seen.orders:
        report = by_id.get(order_id)
        booked = {fill[1]: fill for fill in seen.fills.get(order_id, ())}
        if report is None:
            # Without a broker's id the order may never have got there, and none is missing.
            if broker_order_id is not None and not known_missing:
                findings.append(Discrepancy(order_id, "none at the broker", state))
        elif state in DONE:
            if report.state != state:
                what = f"broker's order {order_id} state"
                findings.append(Discrepancy(what, report.state, OrderState(state)))
            missing += [
                trade
                for trade in report.trades
                if not _is_booked(trade, booked.get(trade.trade_id), findings)
            ]
        for trade in report.trades if report else ():
            booked.pop(trade.trade_id, None)
        for trade_id in () if known_missing and report is None else booked:
            findings.append(Discrepancy(f"fill {trade_id}", "none at the broker", "booked"))
    return missing


def _is_booked(trade: Trade, fill: Any, findings: Findings) -> bool:  # noqa: ANN401 - a row
    """Whether there is a fill; note in what it differs."""
    if fill is None:
        return False
    _, _, quantity, price, fee, currency = fill
    if (
        trade.quantity != quantity
        or trade.price * MILLION != price
        # The broker may have named it since: the next report brings it.
        or (fee is not None and (trade.fee or ZERO) * MILLION != fee)
        or trade.currency != currency
    ):
        _note(trade, fill, findings)
    return True


def fills_of(connection: Connection, trades: Sequence[Trade]) -> dict[str, Any]:
    """Fills of these trades, by trade id, whatever order they are booked for."""
    names = [trade.trade_id for trade in trades]
    rows = connection.execute(_FILLS.where(FILLS.c.trade_id.in_(names))).all()
    return {row[1]: row for row in rows}


def note_missing(trades: Sequence[Trade], fills: dict[str, Any], findings: Findings) -> None:
    """Note trades that no fill of their order is booked for."""
    for trade in trades:
        _note(trade, fills.get(trade.trade_id), findings)


def _note(trade: Trade, fill: Any, findings: Findings) -> None:  # noqa: ANN401 - a row
    expected = replace(trade, price=tidy(trade.price), fee=tidy(trade.fee or ZERO))
    found = None
    if fill is not None:
        order_id, _, quantity, price, fee, currency = fill
        found = replace(
            expected,
            client_order_id=order_id,
            quantity=quantity,
            price=from_millionths(price),
            fee=from_millionths(fee or 0),
            currency=currency,
        )
    findings.append(Discrepancy(f"trade {trade.trade_id}", expected, found))
