"""Rows of the cash by currency, and of conversions.

Every function runs inside a caller's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, and_, bindparam, exists, func, insert, select, update

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.database.columns import Scaled
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    BALANCES,
    CONVERSIONS,
    EXTERNAL_TRADES,
    FILLS,
    LATE_FEES,
)
from streamdesk.trading.cash import Conversion
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Trade

_CONVERSION = tuple(Conversion.__slots__)
_BALANCES = select(BALANCES.c.currency, BALANCES.c.amount)
FEE_IS_DUE = and_(FILLS.c.fee_due, ~exists().where(LATE_FEES.c.trade_id == FILLS.c.trade_id))
"""The broker has not named the fee of this fill yet."""

_DUE = select(FILLS.c.trade_id).where(FEE_IS_DUE).limit(1)
_ADD = (
    update(BALANCES)
    .where(BALANCES.c.currency == bindparam("of"))
    .values(amount=BALANCES.c.amount + bindparam("added", type_=Scaled(2)))
)


@dataclass(frozen=True, slots=True)
class BookedConversion:
    """A conversion with the trade that it paid for.

    Attributes:
        conversion: what was converted into what.
        client_order_id, trade_id: why.
        booked_at: when it was written.
    """

    conversion: Conversion
    client_order_id: str
    trade_id: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class CashState:
    """What the broker's balances are held against.

    Attributes:
        balances: cash by currency.
        cursor: how far the broker's trades have been read: all before it are booked or external.
        booking: number of the last fill that the balances count.
        external: trades that the balances do not count.
        fees_due: fees are still to come; whether the broker has taken them is not known.
    """

    balances: dict[str, Decimal]
    cursor: str
    booking: int
    external: tuple[Trade, ...]
    fees_due: bool


def state(connection: Connection) -> CashState:
    """All of it, at one moment."""
    uncounted = EXTERNAL_TRADES.c.state != "ADOPTED"
    external = connection.execute(select(EXTERNAL_TRADES).where(uncounted)).mappings()
    return CashState(
        balances(connection),
        connection.execute(select(ACCOUNT.c.broker_cursor)).scalar_one(),
        connection.execute(select(func.max(FILLS.c.booking))).scalar() or 0,
        tuple(_external(row) for row in external),
        connection.execute(_DUE).first() is not None,
    )


def _external(row: RowMapping) -> Trade:
    names = "trade_id", "quantity", "price", "fee", "currency", "symbol"
    side = Side(row["side"]) if row["side"] else None
    values = {name: row[name] for name in names}
    return Trade(client_order_id=row["order_id"], side=side, **values)


def booked_by(connection: Connection, trade_ids: Sequence[str], booking: int) -> set[str]:
    """Those of the trades that fills up to this number are booked for."""
    query = select(FILLS.c.trade_id).where(FILLS.c.trade_id.in_(trade_ids))
    return set(connection.execute(query.where(FILLS.c.booking <= booking)).scalars())


def balances(connection: Connection) -> dict[str, Decimal]:
    """Cash by currency; negative where it is owed."""
    return {row.currency: row.amount for row in connection.execute(_BALANCES)}


def open_balances(connection: Connection, opening: Mapping[str, Decimal]) -> None:
    """Write what a new account begins with."""
    for currency, amount in opening.items():
        values = {"currency": currency, "opening": amount, "amount": amount}
        connection.execute(insert(BALANCES), values)


def add(connection: Connection, currency: str, amount: Decimal) -> None:
    """Add to a balance, or take from it."""
    if connection.execute(_ADD, {"of": currency, "added": amount}).rowcount == 0:
        values = {"currency": currency, "opening": ZERO, "amount": amount}
        connection.execute(insert(BALANCES), values)


def convert(connection: Connection, trade: Trade, order_id: str, now: datetime) -> None:
    """Book the conversions that the broker made to pay for a trade."""
    for item in trade.conversions:
        values = {name: getattr(item, name) for name in _CONVERSION}
        cause = {"client_order_id": order_id, "trade_id": trade.trade_id, "booked_at": now}
        connection.execute(insert(CONVERSIONS), values | cause)
        add(connection, item.from_currency, -item.from_amount)
        add(connection, item.to_currency, item.to_amount)


def conversions_after(
    connection: Connection, number: int = 0, limit: int = 1_000
) -> list[tuple[int, BookedConversion]]:
    """The next conversions, each with its number, in the order in which they were booked.

    Args:
        connection: of the caller's transaction.
        number: of the last one that is known; 0 for the beginning.
        limit: most that are returned; fewer mean that there are no more.
    """
    query = select(CONVERSIONS).where(CONVERSIONS.c.id > number)
    found = connection.execute(query.order_by(CONVERSIONS.c.id).limit(limit)).mappings()
    names = "client_order_id", "trade_id", "booked_at"
    return [
        (
            row["id"],
            BookedConversion(
                Conversion(**{name: row[name] for name in _CONVERSION}),
                **{name: row[name] for name in names},
            ),
        )
        for row in found
    ]
