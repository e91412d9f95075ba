"""Books splits and dividends, each once: its row, cash, position and halt in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from sqlalchemy import Connection, RowMapping, insert, select, update

from streamdesk.contracts.events import CorporateActionBooked, Severity, Side
from streamdesk.contracts.topics import TRADING_ORDERS
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import (
    cash,
    events,
    loss_watch,
    price_halts,
    rows,
)
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    CORPORATE_ACTIONS,
    FILLS,
    ORDERS,
    ROUND_TRIPS,
)
from streamdesk.order_executor.domain import BookedAction, Marks
from streamdesk.trading.corporate_actions import (
    ActionKey,
    ActionKind,
    Adjustment,
    CorporateAction,
    pay_dividend,
    price_in_new_shares,
    shares_at_ex_date,
    split_holding,
)
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Order
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding
from streamdesk.trading.rates import RateBook
from streamdesk.trading.risk import Alert


@dataclass(frozen=True, slots=True)
class ActionStep:
    """What has become of an action.

    Attributes:
        in_the_way: an order of old shares, which must end first; None: the action is booked.
        is_new: booked by this call.
        booked: what it came to; None where no shares were concerned.
    """

    in_the_way: Order | None = None
    is_new: bool = False
    booked: BookedAction | None = None


@dataclass(frozen=True, slots=True)
class _Effect:
    """What is written: the position before, its trip, and what changes."""

    before: Holding | None
    trip: str | None
    shares: int
    price: Decimal
    change: Adjustment


class CorporateActions:
    """The actions of all executors of an account.

    Args:
        database: of the ledger, open.
        policy: has the ticks.
        rates: value of the currencies.
        clock: gives the time of writing.
    """

    def __init__(
        self, database: Database, policy: Policy, rates: RateBook, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._policy = policy
        self._rates = rates
        self._clock = clock

    async def booked(self) -> dict[ActionKey, BookedAction | None]:
        """The actions that are booked already; None for those that concerned no shares.

        Raises:
            DatabaseError: they cannot be known.
        """
        return await self._database.read(
            lambda connection: {
                _key(row): _booked(row)
                for row in connection.execute(select(CORPORATE_ACTIONS)).mappings()
            }
        )

    async def book(self, action: CorporateAction, at: datetime, marks: Marks) -> ActionStep:
        """Book an action, unless it is booked already.

        Args:
            action: that has begun.
            at: end of the bar that it is booked at, the first one from its ex-date on.
            marks: prices seen since the last call, before that bar.

        Raises:
            DatabaseError: it is not known whether it was booked; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> ActionStep:
            loss_watch.note_marks(connection, marks, self._rates)
            return self._book(connection, action, at, now)

        return await self._database.write(work)

    def _book(
        self, connection: Connection, action: CorporateAction, at: datetime, now: datetime
    ) -> ActionStep:
        key = (CORPORATE_ACTIONS.c.symbol == action.symbol) & (
            CORPORATE_ACTIONS.c.ex_date == action.ex_date
        )
        same = select(CORPORATE_ACTIONS).where(key, CORPORATE_ACTIONS.c.kind == action.kind)
        if (row := connection.execute(same).mappings().first()) is not None:
            return ActionStep(booked=_booked(row))
        is_split = action.kind is ActionKind.SPLIT
        live = rows.live_order(connection, action.symbol)
        if is_split and live is not None and not action.has_begun(live.intent.as_of):
            return ActionStep(in_the_way=live)
        work = self._split if is_split else self._dividend
        effect = work(connection, action, at)
        _write(connection, action, effect, at, now)
        if is_split:
            price_halts.end(connection, action.symbol, price_halts.ADJUSTED, at, now)
        if effect.shares:
            _announce(connection, action, effect, now)
            events.valued(connection, rows.portfolio(connection, self._rates.at(at)), now)
        row = connection.execute(same).mappings().one()
        return ActionStep(is_new=True, booked=_booked(row))

    def _split(self, connection: Connection, action: CorporateAction, at: datetime) -> _Effect:
        held = rows.holding(connection, action.symbol)
        if held is None or action.has_begun(held.opened_at):
            return _Effect(held, None, 0, ZERO, Adjustment(held))
        rates = self._rates.at(at)
        change = split_holding(held, action, self._policy.ticks, rates, at)
        price = price_in_new_shares(held, action)
        return _Effect(held, held.entry_order_id, held.quantity, price, change)

    def _dividend(self, connection: Connection, action: CorporateAction, at: datetime) -> _Effect:
        held, trip = rows.holding(connection, action.symbol), _trip_before(connection, action, at)
        shares = shares_at_ex_date(
            _trades(connection, action.symbol), _splits(connection, action.symbol), action
        )
        if not shares or trip is None:
            return _Effect(held, None, 0, ZERO, Adjustment(held))
        rates, ticks = self._rates.at(at), self._policy.ticks
        is_same = held is not None and held.entry_order_id == trip
        change = pay_dividend(held if is_same else None, shares, action, ticks, rates, at)
        if not is_same:
            change = replace(change, holding=held)
        return _Effect(held, trip, shares, ZERO, change)


def _key(row: RowMapping) -> ActionKey:
    return row["symbol"], row["ex_date"], ActionKind(row["kind"])


def _booked(row: RowMapping) -> BookedAction | None:
    if not row["shares_before"]:
        return None
    ratio = Fraction(row["ratio_new"], row["ratio_old"])
    return BookedAction(_key(row), ratio, row["currency"], row["local_amount"])


def _trip_before(connection: Connection, action: CorporateAction, at: datetime) -> str | None:
    """The newest position that was opened before the ex-date, by the order that opened it."""
    query = select(ORDERS.c.client_order_id, ORDERS.c.as_of).join_from(ROUND_TRIPS, ORDERS)
    query = query.where(ORDERS.c.symbol == action.symbol, ORDERS.c.as_of < at)
    found = connection.execute(query.order_by(ORDERS.c.as_of.desc()))
    return next((order_id for order_id, as_of in found if not action.has_begun(as_of)), None)


def _trades(connection: Connection, symbol: str) -> list[tuple[datetime, Side, int]]:
    query = select(ORDERS.c.as_of, ORDERS.c.side, FILLS.c.quantity).join_from(FILLS, ORDERS)
    query = query.where(ORDERS.c.symbol == symbol).order_by(FILLS.c.booking)
    return [(at, Side(side), quantity) for at, side, quantity in connection.execute(query)]


def _splits(connection: Connection, symbol: str) -> list[CorporateAction]:
    query = select(CORPORATE_ACTIONS).where(
        CORPORATE_ACTIONS.c.symbol == symbol, CORPORATE_ACTIONS.c.kind == ActionKind.SPLIT
    )
    return [
        CorporateAction(
            symbol=row["symbol"],
            ex_date=row["ex_date"],
            kind=ActionKind.SPLIT,
            ratio=Fraction(row["ratio_new"], row["ratio_old"]),
            amount=ZERO,
            currency=row["currency"],
            source=row["source"],
        )
        for row in connection.execute(query).mappings()
    ]


def _write(
    connection: Connection,
    action: CorporateAction,
    effect: _Effect,
    at: datetime,
    now: datetime,
) -> None:
    change, after = effect.change, effect.change.holding
    is_split = action.kind is ActionKind.SPLIT
    left = 0 if after is None else after.quantity
    values = {
        **{name: getattr(action, name) for name in ("symbol", "ex_date", "kind", "amount")},
        "currency": action.currency,
        "source": action.source,
        "ratio_new": action.ratio.numerator,
        "ratio_old": action.ratio.denominator,
        "effective_at": at,
        "booking": rows.next_booking(connection) - 1,
        "entry_order_id": effect.trip,
        "shares_before": effect.shares,
        "shares_after": left if is_split and effect.shares else effect.shares,
        "price": effect.price,
        "rate": change.rate,
        "local_amount": change.local_amount,
        "cash_amount": change.cash_amount,
        "realized_pnl": change.realized_pnl,
        "fx_gain": change.fx_gain,
        "stop_loss": None if after is None else after.stop_loss,
        "take_profit": None if after is None else after.take_profit,
        "booked_at": now,
    }
    connection.execute(insert(CORPORATE_ACTIONS), values)
    if not effect.shares:
        return
    rows.put_holding(connection, effect.before, after)
    cash.add(connection, action.currency, change.local_amount)
    connection.execute(
        update(ACCOUNT).values(
            realized_pnl=ACCOUNT.c.realized_pnl + change.realized_pnl,
            fx_gain=ACCOUNT.c.fx_gain + change.fx_gain,
        )
    )
    _note_trip(connection, action, effect, at)


def _note_trip(
    connection: Connection, action: CorporateAction, effect: _Effect, at: datetime
) -> None:
    change, is_split = effect.change, action.kind is ActionKind.SPLIT
    sold_cost = change.cash_amount - change.realized_pnl - change.fx_gain
    values: dict[str, object] = {"profit": ROUND_TRIPS.c.profit + change.realized_pnl}
    if is_split:
        values["cost"] = ROUND_TRIPS.c.cost + sold_cost
        if change.holding is None:
            values |= {"closed_at": at, "by_stop": False}
    mine = ROUND_TRIPS.c.entry_order_id == effect.trip
    connection.execute(update(ROUND_TRIPS).where(mine).values(**values))


def _announce(
    connection: Connection, action: CorporateAction, effect: _Effect, now: datetime
) -> None:
    after, change = effect.change.holding, effect.change
    is_split = action.kind is ActionKind.SPLIT
    left = (0 if after is None else after.quantity) if is_split else effect.shares
    event = CorporateActionBooked(
        symbol=action.symbol,
        kind=action.kind,
        ex_date=action.ex_date,
        terms=action.text,
        source=action.source,
        shares_before=effect.shares,
        shares_after=left,
        cash_amount=change.cash_amount,
        realized_pnl=change.realized_pnl,
        fx_gain=change.fx_gain,
        stop_loss=None if after is None else after.stop_loss,
        take_profit=None if after is None else after.take_profit,
        timestamp=now,
    )
    identity = action.symbol, action.ex_date.isoformat(), action.kind
    events.enqueue(connection, TRADING_ORDERS.name, event, identity, now)
    message = (
        f"{action.symbol}: {action.text} of {action.ex_date} is booked, {effect.shares} shares "
        f"are {left} now, {change.local_amount} {action.currency} in cash"
    )
    alert = Alert(
        key=f"action:{':'.join(identity)}",
        code="SHARES_SPLIT" if is_split else "DIVIDEND_BOOKED",
        severity=Severity.INFO,
        message=message,
        value=Decimal(left),
        limit=Decimal(effect.shares),
        symbol=action.symbol,
    )
    events.alert(connection, alert, now)
