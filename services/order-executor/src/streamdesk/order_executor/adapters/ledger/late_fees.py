"""Fees that came after their trade: each is a booking of its own, dated when it came.

It lessens the cash and the realised gain; the fill, and the cost of a position, stay as they were
booked. Every function runs inside a caller's transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from streamdesk.order_executor.adapters.database.columns import Scaled
from streamdesk.order_executor.adapters.ledger import cash
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    FILLS,
    LATE_FEES,
    ROUND_TRIPS,
)
from streamdesk.trading.money import ZERO, ExchangeRates, cents
from streamdesk.trading.orders import Intent, Trade

_GAINED = bindparam("gained", type_=Scaled(2))
_BOOK = update(ACCOUNT).values(realized_pnl=ACCOUNT.c.realized_pnl + _GAINED)
_OF_TRIP = (
    update(ROUND_TRIPS)
    .where(ROUND_TRIPS.c.entry_order_id == bindparam("this"))
    .values(profit=ROUND_TRIPS.c.profit + _GAINED)
)


def orders_without(connection: Connection, after: str, limit: int) -> list[str]:
    """The next orders, by client order id, of which the broker has not named every fee."""
    query = select(FILLS.c.client_order_id).distinct().where(cash.FEE_IS_DUE)
    query = query.where(FILLS.c.client_order_id > after).order_by(FILLS.c.client_order_id)
    return list(connection.execute(query.limit(limit)).scalars())


def come(connection: Connection, trades: Sequence[Trade]) -> tuple[Trade, ...]:
    """Those of the reported trades whose fee was due and is named now."""
    named = {trade.trade_id: trade for trade in trades if trade.fee is not None}
    query = select(FILLS.c.trade_id).where(FILLS.c.trade_id.in_(named), cash.FEE_IS_DUE)
    found = set(connection.execute(query).scalars())
    return tuple(trade for trade_id, trade in named.items() if trade_id in found)


def book(
    connection: Connection, intent: Intent, trade: Trade, rates: ExchangeRates, now: datetime
) -> None:
    """Book the fee of a trade that was booked without one."""
    fee, rate = trade.fee or ZERO, rates.of(trade.currency)
    gained = -cents(fee * rate)
    amount = cents(fee)
    connection.execute(
        insert(LATE_FEES),
        {
            "trade_id": trade.trade_id,
            "fee": fee,
            "currency": trade.currency,
            "rate": rate,
            "amount": amount,
            "realized_pnl": gained,
            "booked_at": now,
        },
    )
    cash.add(connection, trade.currency, -amount)
    connection.execute(_BOOK, {"gained": gained})
    # The position that a sell closed names it; a buy opened one, or added to one of its symbol.
    for trip in intent.entry_order_id, intent.client_order_id, _newest_trip(connection, intent):
        values = {"this": trip, "gained": gained}
        if trip is not None and connection.execute(_OF_TRIP, values).rowcount:
            return


def _newest_trip(connection: Connection, intent: Intent) -> str | None:
    is_open = ROUND_TRIPS.c.closed_at.is_(None)
    query = select(ROUND_TRIPS.c.entry_order_id).where(ROUND_TRIPS.c.symbol == intent.symbol)
    query = query.order_by(is_open.desc(), ROUND_TRIPS.c.closed_at.desc())
    return connection.execute(query.limit(1)).scalar()
