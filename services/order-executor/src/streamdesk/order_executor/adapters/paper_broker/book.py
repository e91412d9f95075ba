"""Between the rows of one symbol and the exchange; all inside a caller's transaction."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.order_executor.adapters.paper_broker.tables import BOOK, MARKET, ORDERS, TRADES
from streamdesk.trading.exchange import (
    ExchangeEvent,
    ExchangeOrder,
    ExchangeState,
    Execution,
    OpenOrder,
    OrderType,
    OrderUpdate,
)
from streamdesk.trading.identity import entry_of_leg
from streamdesk.trading.markets import CURRENCY, Instruments, MarketCode
from streamdesk.trading.orders import OrderState, Trade

TRADE_COLUMNS = "trade_id", "client_order_id", "quantity", "price", "fee", "currency", "at"
_ITEM = TypeAdapter(OpenOrder)
CLOSED_ELSEWHERE = "NOTHING_TO_CLOSE", "other orders closed the rest of the position"


def load(connection: Connection, symbol: str) -> ExchangeState:
    """What the exchange remembers of a symbol."""
    query = select(BOOK.c.item).where(BOOK.c.symbol == symbol).order_by(BOOK.c.sequence)
    items = tuple(_ITEM.validate_json(text) for text in connection.execute(query).scalars())
    return ExchangeState(items, sequence=max((item.sequence for item in items), default=0))


def store(connection: Connection, symbol: str, items: Iterable[OpenOrder]) -> None:
    """Write what the exchange remembers of a symbol."""
    connection.execute(delete(BOOK).where(BOOK.c.symbol == symbol))
    rows = [
        {
            "client_order_id": item.order.order_id,
            "symbol": symbol,
            "sequence": item.sequence,
            "item": _ITEM.dump_json(item).decode(),
        }
        for item in items
    ]
    if rows:
        connection.execute(insert(BOOK), rows)


def is_news(connection: Connection, bar: BarClosed) -> bool:
    """Whether a bar may change anything: older orders are open, and it was not seen."""
    older = (BOOK.c.symbol == bar.symbol) & (ORDERS.c.as_of < bar.timestamp)
    query = select(BOOK.c.symbol).join_from(BOOK, ORDERS).where(older).limit(1)
    if connection.execute(query).first() is None:
        return False
    last = seen_at(connection, bar.symbol)
    return last is None or bar.timestamp > last


def seen_at(connection: Connection, symbol: str) -> datetime | None:
    """End of the newest bar of a symbol that there were open orders for."""
    query = select(MARKET.c.seen_at).where(MARKET.c.symbol == symbol)
    return connection.execute(query).scalar_one_or_none()


def see(connection: Connection, bar: BarClosed, *, is_late: bool) -> None:
    """Note the newest bar of a symbol, and whether it is still to be matched."""
    values = {
        "seen_at": bar.timestamp,
        "late_bar": bar.model_dump_json() if is_late else None,
    }
    there = MARKET.c.symbol == bar.symbol
    if connection.execute(update(MARKET).where(there).values(**values)).rowcount == 0:
        connection.execute(insert(MARKET).values(symbol=bar.symbol, **values))


def take_late_bar(connection: Connection, symbol: str) -> BarClosed | None:
    """The bar that is still to be matched; from now on it counts as matched."""
    there = MARKET.c.symbol == symbol
    text = connection.execute(select(MARKET.c.late_bar).where(there)).scalar_one_or_none()
    if text is None:
        return None
    connection.execute(update(MARKET).where(there).values(late_bar=None))
    return BarClosed.model_validate_json(text)


def note(connection: Connection, events: Iterable[ExchangeEvent]) -> list[str]:
    """Write what orders have become; returns the ids of those that changed, traded ones included.

    Trades are inserted afterwards: a leg's size is settled by the bar of its first trade.
    """
    updates: dict[str, OrderUpdate] = {}
    changed: dict[str, None] = {}
    for event in events:
        changed[event.order_id] = None
        if isinstance(event, OrderUpdate):
            updates[event.order_id] = event  # the last one says what the order is
    for change in updates.values():
        _note_order(connection, change)
    return list(changed)


def _note_order(connection: Connection, change: OrderUpdate) -> None:
    there = ORDERS.c.client_order_id == change.order_id
    ordered = connection.execute(select(ORDERS.c.quantity).where(there)).scalar_one()
    if entry_of_leg(change.order_id) is not None and not _has_traded(connection, change.order_id):
        ordered = change.quantity
    state, code, reason = change.state, change.code, change.reason
    if state is OrderState.FILLED and change.filled_quantity < ordered:
        # It has become smaller, and what was asked for is not filled.
        state, (code, reason) = OrderState.CANCELED, CLOSED_ELSEWHERE
    if code == "CANCELED":
        code, reason = None, None  # on request: who asked knows why
    values = {"quantity": ordered, "state": state, "code": code, "reason": reason}
    connection.execute(update(ORDERS).where(there).values(**values))


def note_price(connection: Connection, item: OpenOrder) -> None:
    """Write the limit, or the stop, of an order."""
    there = ORDERS.c.client_order_id == item.order.order_id
    price = item.order.limit_price or item.stop_price
    connection.execute(update(ORDERS).where(there).values(limit_price=price))


def _has_traded(connection: Connection, client_order_id: str) -> bool:
    mine = select(TRADES.c.sequence).where(TRADES.c.client_order_id == client_order_id).limit(1)
    return connection.execute(mine).first() is not None


def trade_of(execution: Execution) -> Trade:
    """An execution as the broker reports it."""
    return Trade(
        trade_id=execution.trade_id,
        client_order_id=execution.order_id,
        quantity=execution.quantity,
        price=execution.price,
        fee=execution.fee,
        currency=CURRENCY[MarketCode(execution.symbol.rpartition(".")[2])],
        at=execution.at,
    )


def insert_trade(connection: Connection, execution: Execution) -> None:
    """Write a trade."""
    trade = trade_of(execution)
    connection.execute(insert(TRADES), {name: getattr(trade, name) for name in TRADE_COLUMNS})


def with_entry(
    connection: Connection, state: ExchangeState, entry_order_id: str, instruments: Instruments
) -> ExchangeState:
    """The state, with an entry that was filled before there was an exchange, if need be.

    Releases before the exchange filled an order at once and kept no book. Their positions can be
    sold all the same.
    """
    if any(item.order.order_id == entry_order_id for item in state.orders):
        return state
    query = select(ORDERS).where(
        ORDERS.c.client_order_id == entry_order_id, ORDERS.c.side == Side.BUY
    )
    row = connection.execute(query).mappings().one_or_none()
    instrument = None if row is None else instruments.find(row["symbol"], row["as_of"])
    if row is None or instrument is None:
        return state
    of_symbol = (ORDERS.c.symbol == row["symbol"]) & (ORDERS.c.side == Side.SELL)
    bought = _traded(connection, ORDERS.c.id == row["id"])
    sold = _traded(connection, of_symbol & (ORDERS.c.id > row["id"]))
    if bought <= sold:
        return state
    order = ExchangeOrder(
        order_id=entry_order_id,
        instrument=instrument,
        side=Side.BUY,
        quantity=bought,
        type=OrderType.LIMIT,
        as_of=row["as_of"],
        limit_price=row["limit_price"],
    )
    entry = OpenOrder(order, sequence=0, filled=bought, closed=sold, is_done=True)
    return replace(state, orders=(entry, *state.orders))


def _traded(connection: Connection, of_them: ColumnElement[bool]) -> int:
    query = select(func.sum(TRADES.c.quantity)).join_from(TRADES, ORDERS).where(of_them)
    return int(connection.execute(query).scalar() or 0)
