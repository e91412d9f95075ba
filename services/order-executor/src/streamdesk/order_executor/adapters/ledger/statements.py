"""Rows of the ledger as people want them: what it was, in which currency, and when.

Every function runs inside a caller's transaction, and reads the rows in parts.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.ledger import loss_watch, rows
from streamdesk.order_executor.adapters.ledger.audit.replay import raw
from streamdesk.order_executor.adapters.ledger.cash import BookedConversion, conversions_after
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    BALANCES,
    CORPORATE_ACTIONS,
    FILLS,
    LATE_FEES,
    ORDERS,
)
from streamdesk.trading.money import PRICE_STEP, ZERO, ExchangeRates, tidy
from streamdesk.trading.orders import Trade
from streamdesk.trading.portfolio import moved

CHUNK = 1_000
"""Rows in memory."""

Row = dict[str, Any]
ORDER_COLUMNS = (
    "created_at", "client_order_id", "symbol", "market", "side", "quantity", "filled_quantity",
    "currency", "limit_price", "reference_price", "stop_loss", "take_profit", "state", "origin",
    "code", "reason", "contradiction", "broker_order_id", "score", "as_of", "signal_id",
    "entry_order_id", "sent_at", "updated_at", "executor",
)  # fmt: skip
FILL_COLUMNS = (
    "booking", "booked_at", "trade_id", "client_order_id", "quantity", "price", "fee", "currency",
    "rate", "cash_amount", "realized_pnl", "fx_gain", "conversion_cost",
)  # fmt: skip


class LedgerQuestion(StrEnum):
    """What can be asked of a ledger."""

    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    EQUITY = "equity"
    CASH = "cash"


COLUMNS: dict[LedgerQuestion, tuple[str, ...]] = {
    LedgerQuestion.ORDERS: (*ORDER_COLUMNS, "average_price"),
    LedgerQuestion.FILLS: (*FILL_COLUMNS, "symbol", "side", "account_currency"),
    LedgerQuestion.POSITIONS: (
        "symbol", "market", "quantity", "currency", "average_price", "market_price", "marked_at",
        "account_currency", "rate", "cost", "value", "unrealized_pnl", "fx_gain", "stop_loss",
        "take_profit", "opened_at", "entry_order_id",
    ),
    LedgerQuestion.EQUITY: (
        "account", "currency", "initial_cash", "cash", "reserved_cash", "free_cash",
        "positions_value", "equity", "realized_pnl", "unrealized_pnl", "fx_gain", "positions",
        "open_orders", "marked_at", "trading_state", "day", "day_equity", "day_loss_percent",
        "peak_equity", "drawdown_percent",
    ),
    LedgerQuestion.CASH: (
        "at", "movement", "symbol", "quantity", "trade_id", "client_order_id", "amount", "balance",
        "currency",
    ),
}  # fmt: skip
"""What a row has, in this order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows.

    Attributes:
        symbol: of this one alone; None for all.
        since: made, booked or opened then or later; None for all.
        limit: the newest so many; None for all.
    """

    symbol: str | None = None
    since: datetime | None = None
    limit: int | None = None


def rows_of(
    connection: Connection, question: LedgerQuestion, wanted: Wanted, rates: ExchangeRates
) -> Iterator[Row]:
    """The rows that answer a question, the oldest first.

    Args:
        connection: in a transaction.
        question: what is asked.
        wanted: which rows; of equity there is one, whatever is wanted.
        rates: value of the currencies, for what is held.
    """
    answer: dict[LedgerQuestion, Callable[[], Iterator[Row]]] = {
        LedgerQuestion.ORDERS: lambda: _orders(connection, wanted),
        LedgerQuestion.FILLS: lambda: _fills(connection, wanted),
        LedgerQuestion.POSITIONS: lambda: _positions(connection, wanted, rates),
        LedgerQuestion.EQUITY: lambda: _equity(connection, rates),
        LedgerQuestion.CASH: lambda: _cash(connection, wanted),
    }
    return answer[question]()


def count_of(connection: Connection, question: LedgerQuestion, wanted: Wanted) -> int | None:
    """How many orders or fills there are without the limit; None where all are shown."""
    if wanted.limit is None or question not in {LedgerQuestion.ORDERS, LedgerQuestion.FILLS}:
        return None
    query = {LedgerQuestion.ORDERS: _all_orders, LedgerQuestion.FILLS: _all_fills}[question](wanted)
    return connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()


def _all_orders(wanted: Wanted) -> Select[Any]:
    worth = (
        select(func.sum(raw(FILLS.c.quantity) * raw(FILLS.c.price)))
        .where(FILLS.c.client_order_id == ORDERS.c.client_order_id)
        .scalar_subquery()
    )
    # The column of that name is empty for an exit, which no signal ordered.
    columns = (ORDERS.c[name] for name in ORDER_COLUMNS if name != "signal_id")
    query = select(*columns, ORDERS.c.origin_signal_id.label("signal_id"), worth.label("worth"))
    return _within(query, wanted, ORDERS.c.created_at)


def _orders(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    query = _newest(_all_orders(wanted), ("created_at", "client_order_id"), wanted.limit)
    for row in _streamed(connection, query):
        worth, filled = row.pop("worth"), row["filled_quantity"]
        row["average_price"] = None
        if filled:
            average = (Decimal(worth) / filled).scaleb(-6)
            row["average_price"] = tidy(average.quantize(PRICE_STEP))
        yield row


def _all_fills(wanted: Wanted) -> Select[Any]:
    query = select(*(FILLS.c[name] for name in FILL_COLUMNS), ORDERS.c.symbol, ORDERS.c.side)
    return _within(query.join_from(FILLS, ORDERS), wanted, FILLS.c.booked_at)


def _fills(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    account = _account(connection)
    for row in _streamed(connection, _newest(_all_fills(wanted), ("booking",), wanted.limit)):
        yield row | {"account_currency": account["currency"]}


def _positions(connection: Connection, wanted: Wanted, rates: ExchangeRates) -> Iterator[Row]:
    held = [
        item
        for item in rows.holdings(connection)
        if wanted.symbol in (None, item.symbol)
        and (wanted.since is None or item.opened_at >= wanted.since)
    ]
    if wanted.limit is not None:
        newest = sorted(held, key=lambda item: item.opened_at)[-wanted.limit :]
        held = [item for item in held if item in newest]
    for item in held:
        yield {
            "symbol": item.symbol,
            "market": item.market,
            "quantity": item.quantity,
            "currency": item.currency,
            "average_price": item.average_price,
            "market_price": item.market_price,
            "marked_at": item.marked_at,
            "account_currency": rates.account_currency,
            "rate": rates.of(item.currency),
            "cost": item.cost,
            "value": item.value(rates),
            "unrealized_pnl": item.unrealized_pnl(rates),
            "fx_gain": item.fx_gain(rates),
            "stop_loss": item.stop_loss,
            "take_profit": item.take_profit,
            "opened_at": item.opened_at,
            "entry_order_id": item.entry_order_id,
        }


def _equity(connection: Connection, rates: ExchangeRates) -> Iterator[Row]:
    portfolio, account = rows.portfolio(connection, rates), _account(connection)
    held, track = portfolio.holdings.values(), loss_watch.track(connection)
    row: Row = {
        "account": account["id"],
        "currency": account["currency"],
        "initial_cash": portfolio.initial_cash,
        "cash": portfolio.cash,
        "reserved_cash": portfolio.reserved_cash,
        "free_cash": portfolio.free_cash,
        "positions_value": portfolio.positions_value,
        "equity": portfolio.equity,
        "realized_pnl": portfolio.realized_pnl,
        "unrealized_pnl": sum((item.unrealized_pnl(rates) for item in held), ZERO),
        "fx_gain": portfolio.fx_gain,
        "positions": len(held),
        "open_orders": len(portfolio.live_orders),
        "marked_at": max((item.marked_at for item in held), default=None),
        "trading_state": portfolio.trading_state,
    }
    if track is not None:
        row |= {
            "day": track.day,
            "day_equity": track.day_equity,
            "day_loss_percent": track.day_loss_percent(portfolio.equity),
            "peak_equity": track.peak_equity,
            "drawdown_percent": track.drawdown_percent(portfolio.equity),
        }
    yield row


def _cash(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    """The opening balance and every amount since, each with the balance after it."""
    movements: Iterable[Row] = _movements(connection)
    if wanted.symbol is not None:
        movements = (row for row in movements if row["symbol"] == wanted.symbol)
    if wanted.since is not None:
        since = wanted.since
        movements = (row for row in movements if row["at"] >= since)
    yield from movements if wanted.limit is None else deque(movements, wanted.limit)


def _movements(connection: Connection) -> Iterator[Row]:
    opened_at = _account(connection)["opened_at"]
    found = connection.execute(select(BALANCES).order_by(BALANCES.c.currency)).mappings().all()
    balances = {row["currency"]: ZERO for row in found}

    def moved_by(movement: str, currency: str, amount: Decimal, **more: Any) -> Row:  # noqa: ANN401 - columns
        balances[currency] += amount
        row = dict.fromkeys(COLUMNS[LedgerQuestion.CASH])
        balance = {"balance": balances[currency], "currency": currency}
        return {**row, "movement": movement, "amount": amount, **balance, **more}

    for balance in found:
        yield moved_by("OPENING", balance["currency"], balance["opening"], at=opened_at)
    others = _without_trade(connection)
    conversions = _conversions(connection)
    converted = next(conversions, None)
    query = select(*(FILLS.c[name] for name in FILL_COLUMNS), ORDERS.c.symbol, ORDERS.c.side)
    query = query.join_from(FILLS, ORDERS).order_by(FILLS.c.booking)
    for row in _streamed(connection, query):
        about = {name: row[name] for name in ("symbol", "trade_id", "client_order_id")}
        about |= {"at": row["booked_at"]}
        while others and others[0]["at"] < row["booked_at"]:
            yield moved_by(**others.popleft())
        # They were booked right before the trade that they pay for.
        while converted is not None and converted.trade_id == row["trade_id"]:
            made = converted.conversion
            yield moved_by("CONVERSION", made.from_currency, -made.from_amount, **about)
            yield moved_by("CONVERSION", made.to_currency, made.to_amount, **about)
            converted = next(conversions, None)
        side = Side(row["side"])
        trade = Trade("", "", row["quantity"], row["price"], row["fee"], row["currency"])
        amount = moved(trade, side)
        yield moved_by(side, trade.currency, amount, quantity=trade.quantity, **about)
    for other in others:
        yield moved_by(**other)


def _without_trade(connection: Connection) -> deque[Row]:
    """Movements that no trade made, in the order in which they came: late fees, dividends."""
    fees = select(LATE_FEES, FILLS.c.client_order_id, ORDERS.c.symbol)
    fees = fees.select_from(LATE_FEES.join(FILLS).join(ORDERS))
    names = "currency", "symbol", "trade_id", "client_order_id"
    found = [
        {
            "movement": "FEE",
            "amount": -row["amount"],
            "at": row["booked_at"],
            **{name: row[name] for name in names},
        }
        for row in connection.execute(fees).mappings()
    ]
    # A split pays for the fraction of a share that is left.
    paid = select(CORPORATE_ACTIONS).where(CORPORATE_ACTIONS.c.local_amount != ZERO)
    found += [
        {
            "movement": row["kind"],
            "amount": row["local_amount"],
            "at": row["booked_at"],
            "currency": row["currency"],
            "symbol": row["symbol"],
        }
        for row in connection.execute(paid).mappings()
    ]
    return deque(sorted(found, key=lambda row: row["at"]))


def _conversions(connection: Connection) -> Iterator[BookedConversion]:
    number = 0
    while page := conversions_after(connection, number, CHUNK):
        for number, item in page:  # noqa: B007 - the last one is where the next page begins
            yield item


def _account(connection: Connection) -> Row:
    return dict(connection.execute(select(ACCOUNT)).mappings().one())


def _within(query: Select[Any], wanted: Wanted, at: ColumnElement[datetime]) -> Select[Any]:
    if wanted.symbol is not None:
        query = query.where(ORDERS.c.symbol == wanted.symbol)
    return query if wanted.since is None else query.where(at >= wanted.since)


def _newest(query: Select[Any], by: tuple[str, ...], limit: int | None) -> Select[Any]:
    """The newest rows of a query, the oldest of them first."""
    columns = query.selected_columns
    if limit is None:
        return query.order_by(*(columns[name] for name in by))
    part = query.order_by(*(columns[name].desc() for name in by)).limit(limit).subquery()
    return select(part).order_by(*(part.c[name] for name in by))


def _streamed(connection: Connection, query: Select[Any]) -> Iterator[Row]:
    result = connection.execution_options(yield_per=CHUNK).execute(query)
    for row in result.mappings():
        yield dict(row)
