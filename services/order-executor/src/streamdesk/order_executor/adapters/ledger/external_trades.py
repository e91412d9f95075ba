"""Trades on the account that no desk ordered: recorded, and settled by a person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import booking, events, rows
from streamdesk.order_executor.adapters.ledger.schema import EXTERNAL_TRADES
from streamdesk.order_executor.domain import external_trade_alert
from streamdesk.order_executor.errors import AdoptionError, BrokerContradictionError
from streamdesk.trading.identity import order_id_of_external
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Intent, Order, OrderState, Origin, Trade
from streamdesk.trading.policy import Policy
from streamdesk.trading.rates import RateBook

EXECUTOR = "a person"


class Settlement(StrEnum):
    """What was decided about an external trade."""

    OPEN = "OPEN"
    ADOPTED = "ADOPTED"
    IGNORED = "IGNORED"


@dataclass(frozen=True, slots=True)
class ExternalTrade:
    """A trade that no desk ordered, and what was decided about it."""

    trade: Trade
    state: Settlement
    seen_at: datetime


class ExternalTrades:
    """Records external trades, and settles them.

    Args:
        database: of the ledger, open.
        policy: knows the instruments.
        rates: value of the currencies.
        clock: gives the time of writing.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy,
        rates: RateBook,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._policy = policy
        self._rates = rates
        self._clock = clock

    async def record(self, trades: Sequence[Trade]) -> int:
        """Write down those that are not known yet, with an alert each; returns how many."""
        now = self._clock()

        def work(connection: Connection) -> int:
            new = [item for item in trades if _find(connection, item.trade_id) is None]
            for trade in new:
                connection.execute(insert(EXTERNAL_TRADES).values(**_values(trade, now)))
                held = rows.holding(connection, trade.symbol) if trade.symbol else None
                item = external_trade_alert(trade, held.quantity if held else 0)
                events.alert(connection, item, now)
            return len(new)

        return await self._database.write(work)

    async def open_count(self) -> int:
        """How many are neither adopted nor ignored."""
        query = select(func.count()).where(EXTERNAL_TRADES.c.state == Settlement.OPEN)
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def adopt(self, trade_id: str) -> ExternalTrade | None:
        """Book a trade as if the desk had ordered it: cash, position, and an order of its own.

        Returns:
            The trade; None when there is none of this id that is open.

        Raises:
            AdoptionError: it cannot be booked; nothing was written.
            DatabaseError: it is not known whether it was done; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> ExternalTrade | None:
            found = _find(connection, trade_id)
            if found is None or found.state is not Settlement.OPEN:
                return None
            self._book(connection, found, now)
            return _settle(connection, found, Settlement.ADOPTED, "", now)

        return await self._database.write(work)

    def _book(self, connection: Connection, found: ExternalTrade, now: datetime) -> None:
        intent = self._intent(connection, found)
        live = rows.live_order(connection, intent.symbol)
        if live is not None:
            raise AdoptionError(
                f"order {live.client_order_id} for {intent.symbol} is in progress: adopt the trade "
                "when it is done"
            )
        order = Order(intent, OrderState.ACCEPTED, broker_order_id=found.trade.client_order_id)
        rows.insert_order(connection, order, EXECUTOR, now)
        ours = Trade(
            trade_id=found.trade.trade_id,
            client_order_id=intent.client_order_id,
            quantity=found.trade.quantity,
            price=found.trade.price,
            fee=found.trade.fee,
            currency=found.trade.currency,
        )
        try:
            rates = self._rates.at(intent.as_of)
            booking.book_external(connection, order, ours, self._policy, rates, now)
        except BrokerContradictionError as error:
            raise AdoptionError(f"{error}: ignore it, or adopt first what was bought") from error

    def _intent(self, connection: Connection, found: ExternalTrade) -> Intent:
        trade, market_time = found.trade, rows.market_time(connection)
        # Where the market's time is not the clock's, as in a replay, signals go by the market's.
        as_of = found.seen_at if market_time is None else min(found.seen_at, market_time)
        if trade.symbol is None or trade.side is None:
            raise AdoptionError(f"the broker does not say what trade {trade.trade_id} traded")
        instrument = self._policy.instruments.find(trade.symbol, as_of)
        if instrument is None:
            raise AdoptionError(f"{trade.symbol} is not known: give its lot size in LOT_SIZES")
        order_id = order_id_of_external(trade.trade_id)
        return Intent(
            client_order_id=order_id,
            signal_id=f"external:{trade.trade_id}",
            origin=Origin.EXTERNAL,
            fingerprint=f"external:{order_id}",
            symbol=trade.symbol,
            market=instrument.market,
            currency=instrument.currency,
            side=trade.side,
            quantity=trade.quantity,
            limit_price=trade.price,
            reference_price=trade.price,
            as_of=as_of,
            reserved_cash=ZERO,
        )

    async def ignore(self, trade_id: str, reason: str) -> ExternalTrade | None:
        """Leave a trade out of the books: it belongs to somebody else on the account.

        Returns:
            The trade; None when there is none of this id that is open.

        Raises:
            DatabaseError: it is not known whether it was done; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> ExternalTrade | None:
            found = _find(connection, trade_id)
            if found is None or found.state is not Settlement.OPEN:
                return None
            return _settle(connection, found, Settlement.IGNORED, reason, now)

        return await self._database.write(work)


def open_trades(connection: Connection) -> list[ExternalTrade]:
    """Those that are neither adopted nor ignored, the oldest first."""
    query = select(EXTERNAL_TRADES).where(EXTERNAL_TRADES.c.state == Settlement.OPEN)
    query = query.order_by(EXTERNAL_TRADES.c.seen_at, EXTERNAL_TRADES.c.trade_id)
    return [_from(row) for row in connection.execute(query).mappings()]


def _find(connection: Connection, trade_id: str) -> ExternalTrade | None:
    query = select(EXTERNAL_TRADES).where(EXTERNAL_TRADES.c.trade_id == trade_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _from(row)


def _from(row: RowMapping) -> ExternalTrade:
    trade = Trade(
        trade_id=row["trade_id"],
        client_order_id=row["order_id"],
        quantity=row["quantity"],
        price=row["price"],
        fee=row["fee"],
        currency=row["currency"],
        symbol=row["symbol"],
        side=None if row["side"] is None else Side(row["side"]),
    )
    return ExternalTrade(trade, Settlement(row["state"]), row["seen_at"])


def _values(trade: Trade, now: datetime) -> dict[str, object]:
    names = "trade_id", "symbol", "side", "quantity", "price", "fee", "currency"
    values: dict[str, object] = {name: getattr(trade, name) for name in names}
    return values | {
        "fee": trade.fee or ZERO,
        "order_id": trade.client_order_id,
        "state": Settlement.OPEN,
        "seen_at": now,
    }


def _settle(
    connection: Connection, found: ExternalTrade, state: Settlement, reason: str, now: datetime
) -> ExternalTrade:
    connection.execute(
        update(EXTERNAL_TRADES)
        .where(EXTERNAL_TRADES.c.trade_id == found.trade.trade_id)
        .values(state=state, settled_at=now, reason=" ".join(reason.split())[:500] or None)
    )
    return ExternalTrade(found.trade, state, found.seen_at)
