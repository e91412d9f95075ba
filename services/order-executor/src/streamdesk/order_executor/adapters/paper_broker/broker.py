"""A broker on paper: it keeps its own records, in its own tables, as a real one would.

What it accepted survives the executor that asked. It knows nothing of the ledger; the executor
makes both agree, and its audit checks it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Connection, RowMapping, insert, select, type_coerce, update

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.broker import Capabilities, TimeInForce, TradePage
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.paper_broker import actions, cash
from streamdesk.order_executor.adapters.paper_broker.cash import PaperCash, with_conversions
from streamdesk.order_executor.adapters.paper_broker.faults import Faults
from streamdesk.order_executor.adapters.paper_broker.tables import CLERK, OPEN, ORDERS, TRADES
from streamdesk.order_executor.domain import BookedAction
from streamdesk.order_executor.errors import (
    BrokerUnavailableError,
    DatabaseError,
    DatabaseUnknownError,
    OutcomeUnknownError,
)
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import BrokerReport, Intent, OrderState, Trade
from streamdesk.trading.paper import PaperOrder, fills
from streamdesk.trading.policy import Policy
from streamdesk.trading.rates import RateBook

PAGE = 500
_TRADE = "trade_id", "client_order_id", "quantity", "price", "fee", "currency"
_EXECUTIONS = select(*(TRADES.c[name] for name in _TRADE), ORDERS.c.symbol, ORDERS.c.side)
_EXECUTIONS = _EXECUTIONS.join_from(TRADES, ORDERS)
CAPABILITIES = Capabilities(
    holds_brackets=False,
    replaces=True,
    # Its records are never pruned, so an id stays taken.
    idempotency_seconds=None,
    times_in_force=frozenset({TimeInForce.GTC}),
)


class PaperBroker:
    """Fills every valid order at once, in one to three trades, always the same way.

    Args:
        database: its records.
        policy: instruments, ticks and fees of the markets.
        slippage_bps: most that a trade slips from the market's price.
        faults: what goes wrong.
        opening_balances: cash by currency before the first trade.
        rates: at which it converts.
        clock: gives its time.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy,
        slippage_bps: Decimal,
        faults: Faults | None = None,
        *,
        opening_balances: Mapping[str, Decimal],
        rates: RateBook,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._policy = policy
        self._slippage_bps = slippage_bps
        self._faults = faults or Faults()
        self._opening_balances = dict(opening_balances)
        self._rates = rates
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        """As in `Broker`."""
        return CAPABILITIES

    async def open(self) -> None:
        """Bring the tables up to date, and make them if they do not exist.

        Raises:
            DatabaseError: unavailable now, or `DatabaseRefusedError`: unusable with these settings.
        """

        def prepare(connection: Connection) -> None:
            if connection.execute(select(CLERK.c.id)).first() is None:
                connection.execute(insert(CLERK).values(id=1))
            if not cash.is_known(connection) and not cash.has_traded(connection):
                cash.keep(connection, self._opening_balances, up_to=0)

        await self._database.open(prepare)

    async def close(self) -> None:
        """Finish what runs and close the database."""
        await self._database.close()

    async def submit(self, intent: Intent) -> BrokerReport:
        """As in `Broker`."""
        await self._faults.before_accept(intent.client_order_id)
        with _as_a_brokers_answer():
            report = await self._database.write(lambda connection: self._accept(connection, intent))
        await self._faults.after_accept(intent.client_order_id)
        return report

    async def query(self, client_order_id: str) -> BrokerReport | None:
        """As in `Broker`."""
        await self._faults.on_read(client_order_id)
        with _as_a_brokers_answer():
            return await self._database.read(
                lambda connection: _report(connection, client_order_id)
            )

    async def cancel(self, client_order_id: str) -> BrokerReport | None:
        """As in `Broker`."""
        return await self._change(client_order_id, {"state": OrderState.CANCELED})

    async def replace(self, client_order_id: str, limit_price: Decimal) -> BrokerReport | None:
        """As in `Broker`."""
        return await self._change(client_order_id, {"limit_price": limit_price})

    async def _change(
        self, client_order_id: str, values: Mapping[str, object]
    ) -> BrokerReport | None:
        await self._faults.on_read(client_order_id)
        working = (ORDERS.c.client_order_id == client_order_id) & OPEN

        def work(connection: Connection) -> BrokerReport | None:
            connection.execute(update(ORDERS).where(working).values(**values))
            return _report(connection, client_order_id)

        with _as_a_brokers_answer():
            return await self._database.write(work)

    async def open_orders(self) -> tuple[BrokerReport, ...]:
        """As in `Broker`."""
        await self._faults.on_read("")
        query = select(ORDERS.c.client_order_id).where(OPEN).order_by(ORDERS.c.id)

        def work(connection: Connection) -> tuple[BrokerReport, ...]:
            reports = [_report(connection, name) for name in connection.execute(query).scalars()]
            return tuple(report for report in reports if report is not None)

        with _as_a_brokers_answer():
            return await self._database.read(work)

    async def positions(self) -> Mapping[str, int]:
        """As in `Broker`."""
        query = _EXECUTIONS.add_columns(TRADES.c.sequence).order_by(TRADES.c.sequence)
        await self._faults.on_read("")

        def work(connection: Connection) -> Mapping[str, int]:
            return actions.positions(connection, connection.execute(query).mappings())

        with _as_a_brokers_answer():
            return await self._database.read(work)

    async def take_action(self, action: BookedAction) -> None:
        """Note a split or a dividend as the desk has booked it; the same again changes nothing.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: it may not be noted; the same call again
                is safe.
        """
        with _as_a_brokers_answer():
            await self._database.write(lambda connection: actions.take(connection, action))

    async def balances(self) -> Mapping[str, Decimal]:
        """As in `Broker`."""
        await self._faults.on_read("")
        with _as_a_brokers_answer():
            found = await self._database.read(PaperCash.of)
        return dict(found.balances)

    async def knows_balances(self) -> bool:
        """Whether it does: records from before there were balances have none."""
        return await self._database.read(cash.is_known)

    async def take_balances(self, balances: Mapping[str, Decimal]) -> None:
        """Begin to keep balances: these, after all trades so far."""

        def work(connection: Connection) -> None:
            if not cash.is_known(connection):
                cash.keep(connection, balances, cash.last_trade(connection))

        await self._database.write(work)

    async def _executions(self) -> list[RowMapping]:
        """Every trade with the symbol and the side of its order."""
        await self._faults.on_read("")
        with _as_a_brokers_answer():
            return await self._database.read(
                lambda connection: list(connection.execute(_EXECUTIONS).mappings())
            )

    async def server_time(self) -> datetime:
        """As in `Broker`."""
        await self._faults.on_read("")
        return self._clock()

    async def trades(self, after: str) -> TradePage:
        """As in `Broker`; the cursor is the number of the last trade read."""
        await self._faults.on_read("")
        last = int(after or 0)
        query = (
            _EXECUTIONS.add_columns(TRADES.c.sequence)
            .where(TRADES.c.sequence > last)
            .order_by(TRADES.c.sequence)
            .limit(PAGE)
        )

        def work(connection: Connection) -> TradePage:
            rows = list(connection.execute(query).mappings())
            found = with_conversions(connection, map(_trade, rows))
            trades = (
                replace(trade, symbol=row["symbol"], side=Side(row["side"]))
                for trade, row in zip(found, rows, strict=True)
            )
            return TradePage(tuple(trades), str(rows[-1]["sequence"]) if rows else after)

        with _as_a_brokers_answer():
            return await self._database.read(work)

    async def order_ids_after(self, position: int) -> tuple[list[str], int]:
        """As in `BrokerRecords`."""
        query = select(ORDERS.c.id, ORDERS.c.client_order_id).where(ORDERS.c.id > position)
        with _as_a_brokers_answer():
            found = await self._database.read(
                lambda connection: connection.execute(query.order_by(ORDERS.c.id).limit(PAGE)).all()
            )
        return [row[1] for row in found], found[-1][0] if found else position

    async def reports_of(self, client_order_ids: Sequence[str]) -> list[BrokerReport]:
        """As in `BrokerRecords`."""
        with _as_a_brokers_answer():
            return await self._database.read(
                lambda connection: _reports(connection, client_order_ids)
            )

    async def all_reports(self) -> list[BrokerReport]:
        """Everything it ever accepted or refused, in that order."""
        found: list[BrokerReport] = []
        ids, position = await self.order_ids_after(0)
        while ids:
            found += await self.reports_of(ids)
            ids, position = await self.order_ids_after(position)
        return found

    def _accept(self, connection: Connection, intent: Intent) -> BrokerReport:
        mine = ORDERS.c.client_order_id == intent.client_order_id
        asked = connection.execute(
            update(ORDERS).where(mine).values(times_asked=ORDERS.c.times_asked + 1)
        )
        if asked.rowcount == 0:
            self._write(connection, intent)
        report = _report(connection, intent.client_order_id)
        assert report is not None, "it was written above"  # noqa: S101 - same transaction
        return report

    def _write(self, connection: Connection, intent: Intent) -> None:
        refusal = self._refusal(intent)
        code, reason = refusal or (None, None)
        values = {
            name: getattr(intent, name)
            for name in ("client_order_id", "symbol", "side", "quantity", "limit_price", "as_of")
        }
        state = OrderState.REJECTED if refusal else OrderState.FILLED
        order = insert(ORDERS).values(
            **values, state=state, code=code, reason=reason, times_asked=1
        )
        number = connection.execute(order.returning(ORDERS.c.id)).scalar_one()
        if refusal is None:
            self._trade(connection, intent, _broker_order_id(number))

    def _refusal(self, intent: Intent) -> tuple[str, str] | None:
        instrument = self._policy.instruments.find(intent.symbol, intent.as_of)
        if instrument is None:
            return "UNKNOWN_SYMBOL", f"{intent.symbol} is not traded here"
        if intent.quantity <= 0 or intent.quantity % instrument.lot_size:
            return "LOT_SIZE", f"{intent.quantity} is no multiple of {instrument.lot_size}"
        if not self._policy.ticks.is_on_tick(intent.market, intent.limit_price, intent.as_of):
            return "PRICE_TICK", f"{intent.limit_price} is not on the tick"
        return self._faults.refuse(intent)

    def _trade(self, connection: Connection, intent: Intent, broker_order_id: str) -> None:
        instrument = self._policy.instruments.find(intent.symbol, intent.as_of)
        assert instrument is not None, "an unknown one is refused"  # noqa: S101 - order of checks
        order = PaperOrder(
            instrument=instrument,
            side=intent.side,
            quantity=intent.quantity,
            limit_price=intent.limit_price,
            reference_price=intent.reference_price,
            as_of=intent.as_of,
        )
        fees, before = self._policy.fees[intent.market].at(intent.as_of), (0, ZERO)
        account = PaperCash.of(connection)
        rates = self._rates.at(intent.as_of)
        trades = fills(order, self._policy.ticks, self._slippage_bps)
        for number, (quantity, price) in enumerate(trades, start=1):
            value = quantity * price
            trade = Trade(
                trade_id=f"{broker_order_id}-{number}",
                client_order_id=intent.client_order_id,
                quantity=quantity,
                price=price,
                fee=fees.of_trade(intent.side, before, quantity, value),
                currency=intent.currency,
            )
            account.pay(connection, trade, intent.side, rates)
            connection.execute(
                insert(TRADES).values(**{name: getattr(trade, name) for name in _TRADE})
            )
            before = before[0] + quantity, before[1] + value
        account.write(connection)


@contextmanager
def _as_a_brokers_answer() -> Iterator[None]:
    """Raise what the loss of the database means to a caller of the broker."""
    try:
        yield
    except DatabaseUnknownError as error:
        raise OutcomeUnknownError(f"the paper broker's database: {error}") from error
    except DatabaseError as error:
        raise BrokerUnavailableError(f"the paper broker's database: {error}") from error


def _bought(row: RowMapping) -> bool:
    return bool(row["side"] == Side.BUY)


def _trade(row: RowMapping) -> Trade:
    return Trade(**{name: row[name] for name in _TRADE})


def _broker_order_id(number: int) -> str:
    return f"paper-{number}"


def _report(connection: Connection, client_order_id: str) -> BrokerReport | None:
    query = select(ORDERS).where(ORDERS.c.client_order_id == client_order_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    mine = TRADES.c.client_order_id == client_order_id
    trades = connection.execute(select(TRADES).where(mine).order_by(TRADES.c.sequence)).mappings()
    return _as_report(row, with_conversions(connection, map(_trade, trades)))


def _as_report(row: RowMapping, trades: list[Trade]) -> BrokerReport:
    return BrokerReport(
        client_order_id=row["client_order_id"],
        broker_order_id=_broker_order_id(row["id"]),
        state=OrderState(row["state"]),
        trades=tuple(trades),
        code=row["code"],
        reason=row["reason"],
    )


def _reports(connection: Connection, client_order_ids: Sequence[str]) -> list[BrokerReport]:
    """Reports of these orders, read as whole numbers: an audit reads every order there is."""
    trades: dict[str, list[Trade]] = {}
    theirs = TRADES.c.client_order_id.in_(client_order_ids)
    columns = (
        TRADES.c.trade_id,
        TRADES.c.client_order_id,
        TRADES.c.quantity,
        type_coerce(TRADES.c.price, BigInteger),
        type_coerce(TRADES.c.fee, BigInteger),
        TRADES.c.currency,
    )
    for row in connection.execute(select(*columns).where(theirs).order_by(TRADES.c.sequence)).all():
        trade_id, order_id, quantity, price, fee, currency = row
        trades.setdefault(order_id, []).append(
            Trade(
                trade_id,
                order_id,
                quantity,
                Decimal(price).scaleb(-6),
                Decimal(fee).scaleb(-6),
                currency,
            )
        )
    names = "id", "client_order_id", "state", "code", "reason"
    orders = select(*(ORDERS.c[name] for name in names)).where(
        ORDERS.c.client_order_id.in_(client_order_ids)
    )
    return [
        _as_report(row, trades.get(row["client_order_id"], []))
        for row in connection.execute(orders.order_by(ORDERS.c.id)).mappings().all()
    ]
