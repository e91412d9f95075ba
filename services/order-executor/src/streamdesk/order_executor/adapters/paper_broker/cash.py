"""The paper broker's cash by currency.

It lends nothing while there is cash in another currency: what a trade needs is converted first, as
a margin account with automatic exchange does.

A balance is kept up to some trade; those after it are added when it is read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import Connection, delete, func, insert, select

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.paper_broker import actions
from streamdesk.order_executor.adapters.paper_broker.tables import (
    BALANCES,
    CONVERSIONS,
    ORDERS,
    TRADES,
)
from streamdesk.trading.cash import Conversion, conversions_for
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.orders import Trade
from streamdesk.trading.portfolio import moved

MOST_BEHIND = 100
"""Trades that are added up at each order before a balance is written with them."""

_CONVERSION = tuple(Conversion.__slots__)
_MOVED = select(
    TRADES.c.sequence,
    TRADES.c.quantity,
    TRADES.c.price,
    TRADES.c.fee,
    TRADES.c.currency,
    ORDERS.c.side,
).join_from(TRADES, ORDERS)


def is_known(connection: Connection) -> bool:
    """Whether the balances are kept: not so in records from before there were any."""
    return connection.execute(select(BALANCES.c.currency).limit(1)).first() is not None


def has_traded(connection: Connection) -> bool:
    """Whether there is any trade."""
    return connection.execute(select(TRADES.c.sequence).limit(1)).first() is not None


def keep(connection: Connection, balances: Mapping[str, Decimal], up_to: int) -> None:
    """Write the balances, which count the trades up to this sequence."""
    connection.execute(delete(BALANCES))
    for currency, amount in balances.items():
        values = {"currency": currency, "amount": amount, "up_to": up_to}
        connection.execute(insert(BALANCES), values)


def last_trade(connection: Connection) -> int:
    """Sequence of the newest trade; 0 without one."""
    return connection.execute(select(func.max(TRADES.c.sequence))).scalar() or 0


@dataclass(slots=True)
class PaperCash:
    """The balances inside one transaction.

    Attributes:
        balances: cash by currency; negative where it is owed.
        kept: the same without the trades after `up_to`, and without splits and dividends.
        up_to: sequence of the last trade in `kept`.
        is_behind: whether `kept` is to be written: a conversion was made, or many trades follow.
    """

    balances: dict[str, Decimal]
    kept: dict[str, Decimal]
    up_to: int
    is_behind: bool

    @classmethod
    def of(cls, connection: Connection) -> "PaperCash":
        """As they are now."""
        kept = connection.execute(select(BALANCES)).mappings().all()
        balances = defaultdict(Decimal, {row["currency"]: row["amount"] for row in kept})
        up_to = max((row["up_to"] for row in kept), default=0)
        newer = connection.execute(_MOVED.where(TRADES.c.sequence > up_to)).mappings().all()
        for row in newer:
            trade = Trade("", "", row["quantity"], row["price"], row["fee"], row["currency"])
            balances[trade.currency] += moved(trade, Side(row["side"]))
        kept_now = balances.copy()
        for currency, amount in actions.paid(connection).items():
            balances[currency] += amount
        newest = max((row["sequence"] for row in newer), default=up_to)
        return cls(balances, kept_now, newest, len(newer) >= MOST_BEHIND)

    def pay(self, connection: Connection, trade: Trade, side: Side, rates: ExchangeRates) -> None:
        """Convert what the trade lacks, and count it."""
        amount = moved(trade, side)
        for item in conversions_for(-amount, trade.currency, self.balances, rates):
            values = {name: getattr(item, name) for name in _CONVERSION}
            cause = {"client_order_id": trade.client_order_id, "trade_id": trade.trade_id}
            connection.execute(insert(CONVERSIONS), values | cause)
            for balances in self.balances, self.kept:
                balances[item.from_currency] -= item.from_amount
                balances[item.to_currency] += item.to_amount
            self.is_behind = True
        self.balances[trade.currency] += amount

    def write(self, connection: Connection) -> None:
        """Keep the conversions, and the balances of before the trades that were paid."""
        if self.is_behind:
            keep(connection, self.kept, self.up_to)


def with_conversions(connection: Connection, trades: Iterable[Trade]) -> list[Trade]:
    """Trades with the conversions that paid for them."""
    trades = list(trades)
    found = _conversions(connection, [trade.trade_id for trade in trades])
    return [replace(item, conversions=found.get(item.trade_id, ())) for item in trades]


def _conversions(
    connection: Connection, trade_ids: Sequence[str]
) -> dict[str, tuple[Conversion, ...]]:
    found: dict[str, tuple[Conversion, ...]] = {}
    query = select(CONVERSIONS).where(CONVERSIONS.c.trade_id.in_(trade_ids))
    for row in connection.execute(query.order_by(CONVERSIONS.c.id)).mappings():
        item = Conversion(**{name: row[name] for name in _CONVERSION})
        found[row["trade_id"]] = (*found.get(row["trade_id"], ()), item)
    return found
