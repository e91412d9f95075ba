"""Between rows and the domain's objects. Every function runs inside a caller's transaction.

What is inserted is given as parameters: as `values` of the statement SQLAlchemy works them out anew
each time, which costs 146 us instead of 40.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    FILLS,
    ORDERS,
    POSITIONS,
    RESERVATIONS,
)
from streamdesk.order_executor.domain import Marks
from streamdesk.runtime import current_traceparent
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.orders import Intent, Order, OrderState, Origin
from streamdesk.trading.portfolio import Holding, LiveOrder, Portfolio
from streamdesk.trading.trading_state import TradingState

UNFINISHED = tuple(state.value for state in OrderState if not state.is_done)


def portfolio(connection: Connection, rates: ExchangeRates) -> Portfolio:
    """The account at this moment."""
    row = connection.execute(select(ACCOUNT)).mappings().one()
    return Portfolio(
        cash=row["cash"],
        initial_cash=row["initial_cash"],
        realized_pnl=row["realized_pnl"],
        realized_fx_gain=row["fx_gain"],
        rates=rates,
        halted_reason=row["halted_reason"] if row["halted_at"] is not None else None,
        trading_state=trading_state(row["halted_at"], row["trading_state"]),
        holdings={holding.symbol: holding for holding in holdings(connection)},
        live_orders={
            live["symbol"]: LiveOrder(
                client_order_id=live["client_order_id"],
                symbol=live["symbol"],
                market=MarketCode(live["market"]),
                side=Side(live["side"]),
                reserved_cash=live["cash"],
                contradiction=live["contradiction"],
            )
            for live in connection.execute(
                select(RESERVATIONS, ORDERS.c.contradiction).join_from(RESERVATIONS, ORDERS)
            ).mappings()
        },
    )


def trading_state(halted_at: datetime | None, name: str | None) -> TradingState:
    """What the kill switch lets through; without a name what a halt did before there were states.

    An executor of an earlier release resumes by the time alone.
    """
    if halted_at is None:
        return TradingState.ACTIVE
    return TradingState(name or TradingState.REDUCING)


def holdings(connection: Connection) -> list[Holding]:
    """Every position, by symbol."""
    rows = connection.execute(select(POSITIONS).order_by(POSITIONS.c.symbol)).mappings()
    return [_holding(row) for row in rows]


def holding(connection: Connection, symbol: str) -> Holding | None:
    """The position of one symbol."""
    query = select(POSITIONS).where(POSITIONS.c.symbol == symbol)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _holding(row)


def _holding(row: RowMapping) -> Holding:
    return Holding(**{**row, "market": MarketCode(row["market"])})


def put_holding(connection: Connection, before: Holding | None, after: Holding | None) -> None:
    """Write what a position has become."""
    if before is None and after is not None:
        connection.execute(insert(POSITIONS), _holding_values(after))
    elif before is not None and after is None:
        connection.execute(delete(POSITIONS).where(POSITIONS.c.symbol == before.symbol))
    elif before is not None and after is not None:
        there = POSITIONS.c.symbol == before.symbol
        connection.execute(update(POSITIONS).where(there).values(**_holding_values(after)))


def _holding_values(item: Holding) -> dict[str, Any]:
    return {column.name: getattr(item, column.name) for column in POSITIONS.columns}


def mark_positions(connection: Connection, marks: Marks) -> None:
    """Write prices that are newer than those of the positions."""
    moved = False
    for symbol, mark in marks.items():
        result = connection.execute(
            update(POSITIONS)
            .where(POSITIONS.c.symbol == symbol, POSITIONS.c.marked_at < mark.at)
            .values(market_price=mark.price, marked_at=mark.at)
        )
        moved = moved or result.rowcount > 0
    if moved:
        connection.execute(update(ACCOUNT).values(moved=True))


def order(connection: Connection, client_order_id: str) -> Order | None:
    """One order."""
    return _one_order(connection, ORDERS.c.client_order_id == client_order_id)


def order_of_signal(connection: Connection, signal_id: str) -> Order | None:
    """The order that a signal became."""
    return _one_order(connection, ORDERS.c.signal_id == signal_id)


def order_of_fingerprint(connection: Connection, fingerprint: str) -> Order | None:
    """The order that any signal of this content became."""
    return _one_order(connection, ORDERS.c.fingerprint == fingerprint)


def traded_as_of(connection: Connection, symbol: str) -> datetime | None:
    """End of the bar behind the newest order in the symbol that has a fill; None without one."""
    query = select(ORDERS.c.as_of).where(ORDERS.c.symbol == symbol, ORDERS.c.filled_quantity > 0)
    return connection.execute(query.order_by(ORDERS.c.as_of.desc()).limit(1)).scalar()


def _one_order(connection: Connection, where: Any) -> Order | None:  # noqa: ANN401 - an SQL expression
    row = connection.execute(select(ORDERS).where(where)).mappings().one_or_none()
    return None if row is None else order_from(row)


def unfinished_orders(connection: Connection, untouched_since: datetime | None) -> list[Order]:
    """Orders that are not done, oldest first; only those not touched since, if given."""
    query = select(ORDERS).where(ORDERS.c.state.in_(UNFINISHED)).order_by(ORDERS.c.created_at)
    if untouched_since is not None:
        query = query.where(ORDERS.c.updated_at <= untouched_since)
    return [order_from(row) for row in connection.execute(query).mappings()]


def order_from(row: RowMapping) -> Order:
    """An order from its row."""
    intent = Intent(
        client_order_id=row["client_order_id"],
        signal_id=row["origin_signal_id"],
        origin=Origin(row["origin"]),
        fingerprint=row["fingerprint"],
        symbol=row["symbol"],
        market=MarketCode(row["market"]),
        currency=row["currency"],
        side=Side(row["side"]),
        quantity=row["quantity"],
        limit_price=row["limit_price"],
        reference_price=row["reference_price"],
        as_of=row["as_of"],
        reserved_cash=row["reserved_cash"],
        score=row["score"],
        stop_loss=row["stop_loss"],
        take_profit=row["take_profit"],
        entry_order_id=row["entry_order_id"],
    )
    return Order(
        intent=intent,
        state=OrderState(row["state"]),
        filled_quantity=row["filled_quantity"],
        broker_order_id=row["broker_order_id"],
        code=row["code"],
        reason=row["reason"],
        sent_at=row["sent_at"],
        contradiction=row["contradiction"],
        traceparent=row["traceparent"],
    )


def insert_intent(connection: Connection, intent: Intent, executor: str, now: datetime) -> Order:
    """Write an intent and reserve its symbol, its slot and its cash."""
    # It is sent as soon as this is committed.
    order = Order(intent, sent_at=now, traceparent=current_traceparent() or None)
    insert_order(connection, order, executor, now)
    connection.execute(
        insert(RESERVATIONS),
        {
            "client_order_id": intent.client_order_id,
            "symbol": intent.symbol,
            "market": intent.market,
            "side": intent.side,
            "cash": intent.reserved_cash,
        },
    )
    return order


def insert_order(connection: Connection, order: Order, executor: str, now: datetime) -> None:
    """Write an order as it is, and reserve nothing."""
    intent, names = order.intent, {column.name for column in ORDERS.columns}
    values = {name: getattr(intent, name) for name in names & set(Intent.__slots__)}
    values |= {
        "origin_signal_id": intent.signal_id,
        "signal_id": intent.signal_id if intent.origin is Origin.SIGNAL else None,
        "state": order.state,
        "broker_order_id": order.broker_order_id,
        "executor": executor,
        "traceparent": order.traceparent,
        "sent_at": order.sent_at,
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(insert(ORDERS), values)


def update_order(connection: Connection, item: Order, now: datetime) -> None:
    """Write how far an order is."""
    connection.execute(
        update(ORDERS)
        .where(ORDERS.c.client_order_id == item.client_order_id)
        .values(
            state=item.state,
            filled_quantity=item.filled_quantity,
            broker_order_id=item.broker_order_id,
            code=item.code,
            reason=item.reason,
            contradiction=item.contradiction,
            **({} if item.contradiction else {"contradicted_at": None}),
            updated_at=now,
        )
    )


def release(connection: Connection, item: Order, spent: Decimal) -> None:
    """Give back what an order held: all when it is done, what was spent while it is not."""
    mine = RESERVATIONS.c.client_order_id == item.client_order_id
    if item.state.is_done:
        connection.execute(delete(RESERVATIONS).where(mine))
        return
    held = connection.execute(select(RESERVATIONS.c.cash).where(mine)).scalar_one_or_none()
    if held is not None and spent > 0:
        left = max(held - spent, Decimal(0))
        connection.execute(update(RESERVATIONS).where(mine).values(cash=left))


def known_trades(connection: Connection, trade_ids: Sequence[str]) -> set[str]:
    """Those of the trades that are booked already."""
    query = select(FILLS.c.trade_id).where(FILLS.c.trade_id.in_(trade_ids))
    return set(connection.execute(query).scalars())


def next_booking(connection: Connection) -> int:
    """Number of the next fill."""
    return (connection.execute(select(func.max(FILLS.c.booking))).scalar() or 0) + 1


def live_order(connection: Connection, symbol: str) -> Order | None:
    """The order that has this symbol: it is not done."""
    query = select(ORDERS).join_from(RESERVATIONS, ORDERS).where(RESERVATIONS.c.symbol == symbol)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else order_from(row)


def exits(connection: Connection, entry_order_id: str) -> int:
    """Protective exits of this position that there were; the sells of signals are none."""
    query = select(func.count()).where(
        ORDERS.c.entry_order_id == entry_order_id, ORDERS.c.origin != Origin.SIGNAL
    )
    return connection.execute(query).scalar_one()
