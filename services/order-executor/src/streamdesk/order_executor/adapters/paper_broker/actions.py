"""Splits and dividends on paper: no company pays here, so the desk says what each came to.

A real broker books them by itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, func, insert, select

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.paper_broker.tables import ACTIONS, TRADES
from streamdesk.order_executor.domain import BookedAction

_PAID = select(ACTIONS.c.currency, func.sum(ACTIONS.c.amount)).group_by(ACTIONS.c.currency)


def take(connection: Connection, action: BookedAction) -> bool:
    """Note an action, once; whether that is new."""
    symbol, ex_date, kind = action.key
    same = (ACTIONS.c.symbol == symbol) & (ACTIONS.c.ex_date == ex_date) & (ACTIONS.c.kind == kind)
    if connection.execute(select(ACTIONS.c.id).where(same)).first() is not None:
        return False
    last = connection.execute(select(func.max(TRADES.c.sequence))).scalar() or 0
    values = {
        "symbol": symbol,
        "ex_date": ex_date,
        "kind": kind,
        "ratio_new": action.ratio.numerator,
        "ratio_old": action.ratio.denominator,
        "currency": action.currency,
        "amount": action.amount,
        "up_to": last,
    }
    connection.execute(insert(ACTIONS), values)
    return True


def paid(connection: Connection) -> Mapping[str, Decimal]:
    """What all of them came to, by currency."""
    return {row[0]: row[1] for row in connection.execute(_PAID)}


def positions(connection: Connection, executions: Iterable[RowMapping]) -> dict[str, int]:
    """Shares by symbol, after all trades and splits in their order.

    Args:
        connection: of a transaction.
        executions: trades with the symbol and the side of their orders, and their sequences.
    """
    held: dict[str, int] = defaultdict(int)
    splits = list(connection.execute(select(ACTIONS).order_by(ACTIONS.c.id)).mappings())
    for row in executions:
        while splits and splits[0]["up_to"] < row["sequence"]:
            _split(held, splits.pop(0))
        held[row["symbol"]] += row["quantity"] if row["side"] == Side.BUY else -row["quantity"]
    for split in splits:
        _split(held, split)
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def _split(held: dict[str, int], row: RowMapping) -> None:
    held[row["symbol"]] = held[row["symbol"]] * row["ratio_new"] // row["ratio_old"]
