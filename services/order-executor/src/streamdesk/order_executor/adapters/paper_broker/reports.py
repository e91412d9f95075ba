"""What the paper broker says of its orders. Every function runs in a caller's transaction."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from sqlalchemy import BigInteger, Connection, RowMapping, select, type_coerce

from streamdesk.order_executor.adapters.paper_broker.cash import with_conversions
from streamdesk.order_executor.adapters.paper_broker.tables import ORDERS, TRADES
from streamdesk.trading.money import tidy
from streamdesk.trading.orders import BrokerReport, OrderState, Trade

_ORDER = "id", "client_order_id", "quantity", "limit_price", "state", "code", "reason"
_ORDERS = select(*(ORDERS.c[name] for name in _ORDER)).order_by(ORDERS.c.id)
_TRADE = "trade_id", "client_order_id", "quantity", "price", "fee", "currency", "at"
# Prices as the whole numbers that they are kept as: an audit reads every trade that there is.
_TRADES = select(
    TRADES.c.trade_id,
    TRADES.c.client_order_id,
    TRADES.c.quantity,
    type_coerce(TRADES.c.price, BigInteger),
    type_coerce(TRADES.c.fee, BigInteger),
    TRADES.c.currency,
    TRADES.c.at,
).order_by(TRADES.c.sequence)


def report_of(connection: Connection, client_order_id: str) -> BrokerReport | None:
    """What has become of an order; None when there is none of this id."""
    return next(iter(reports_of(connection, [client_order_id])), None)


def reports_of(connection: Connection, client_order_ids: Sequence[str]) -> list[BrokerReport]:
    """What has become of these orders, in the order in which they came."""
    trades: dict[str, list[Trade]] = {}
    for trade in with_conversions(connection, _trades(connection, client_order_ids)):
        trades.setdefault(trade.client_order_id, []).append(trade)
    orders = _ORDERS.where(ORDERS.c.client_order_id.in_(client_order_ids))
    return [
        _report(row, trades.get(row["client_order_id"], []))
        for row in connection.execute(orders).mappings().all()
    ]


def _trades(connection: Connection, client_order_ids: Sequence[str]) -> Iterator[Trade]:
    theirs = TRADES.c.client_order_id.in_(client_order_ids)
    for row in connection.execute(_TRADES.where(theirs)).all():
        trade_id, order_id, quantity, price, fee, currency, at = row
        yield Trade(
            trade_id,
            order_id,
            quantity,
            tidy(Decimal(price).scaleb(-6)),
            tidy(Decimal(fee).scaleb(-6)),
            currency,
            at=at,
        )


def _report(row: RowMapping, trades: list[Trade]) -> BrokerReport:
    state = OrderState(row["state"])
    if trades and state is OrderState.ACCEPTED:
        state = OrderState.PARTIALLY_FILLED
    return BrokerReport(
        client_order_id=row["client_order_id"],
        broker_order_id=f"paper-{row['id']}",
        state=state,
        trades=tuple(trades),
        code=row["code"],
        reason=row["reason"],
        quantity=row["quantity"],
        price=row["limit_price"],
    )


def trade_from(row: RowMapping) -> Trade:
    """A trade from its row."""
    return Trade(**{name: row[name] for name in _TRADE})
