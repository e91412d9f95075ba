"""A broker on paper: it keeps its own records, in its own tables, as a real one would.

Bars are its market: the simulated exchange of libs/trading fills orders from those that follow.
What it accepted survives the executor that asked. It knows nothing of the ledger; the executor
makes both agree, and its audit checks it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, insert, select, update

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.order_executor.adapters.broker import Capabilities, TimeInForce, TradePage
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.paper_broker import actions, book, cash
from streamdesk.order_executor.adapters.paper_broker.cash import PaperCash, with_conversions
from streamdesk.order_executor.adapters.paper_broker.faults import Faults
from streamdesk.order_executor.adapters.paper_broker.reports import (
    report_of,
    reports_of,
    trade_from,
)
from streamdesk.order_executor.adapters.paper_broker.tables import CLERK, OPEN, ORDERS, TRADES
from streamdesk.order_executor.domain import BookedAction
from streamdesk.order_executor.errors import (
    BrokerUnavailableError,
    DatabaseError,
    DatabaseUnknownError,
    OutcomeUnknownError,
)
from streamdesk.trading.exchange import (
    Exchange,
    ExchangeEvent,
    ExchangeOrder,
    ExchangeRules,
    Execution,
    OrderType,
    OrderUpdate,
    bracket,
)
from streamdesk.trading.identity import is_stop_leg
from streamdesk.trading.markets import Instruments, TradableInstrument
from streamdesk.trading.orders import BrokerReport, Intent, OrderState
from streamdesk.trading.rates import RateBook

PAGE = 500
Refusal = tuple[str, str]
"""Code and reason."""

_EXECUTIONS = select(TRADES, ORDERS.c.symbol, ORDERS.c.side).join_from(TRADES, ORDERS)
CAPABILITIES = Capabilities(
    holds_brackets=True,
    replaces=True,
    # Its records are never pruned, so an id stays taken.
    idempotency_seconds=None,
    times_in_force=frozenset({TimeInForce.GTC}),
)


class PaperBroker:
    """Fills orders from the bars that it is fed, by the rules of the simulated exchange.

    Args:
        database: its records.
        instruments: what is traded.
        rules: how bars fill orders.
        faults: what goes wrong.
        opening_balances: cash by currency before the first trade.
        rates: at which it converts.
        clock: gives its time.
    """

    def __init__(
        self,
        database: Database,
        instruments: Instruments,
        rules: ExchangeRules,
        faults: Faults | None = None,
        *,
        opening_balances: Mapping[str, Decimal],
        rates: RateBook,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._rules = rules
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
                lambda connection: report_of(connection, client_order_id)
            )

    async def on_bar(self, bar: BarClosed) -> tuple[BrokerReport, ...]:
        """Let a bar fill orders; several executors may bring the same one.

        Args:
            bar: of any symbol; one that is not newer than the last of its symbol changes nothing.

        Returns:
            What orders are now that it changed, an entry before what closes it.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: the same call again is safe; what the bar
                did is in the records.
        """
        await self._faults.on_read("")
        with _as_a_brokers_answer():
            # Looking first: most bars find nothing to fill, and a read does not wait for writers.
            if not await self._database.read(lambda connection: book.is_news(connection, bar)):
                return ()
            return await self._database.write(lambda connection: self._match(connection, bar))

    def _match(self, connection: Connection, bar: BarClosed) -> tuple[BrokerReport, ...]:
        if not book.is_news(connection, bar):
            return ()  # another executor came first
        exchange, changed = self._exchange(connection, bar.symbol)
        waiting = exchange.open_orders()
        step = bar.timestamp.isoformat()
        is_late = bool(waiting) and self._faults.is_late(waiting[0].order.order_id, step)
        if not is_late:
            changed += self._note(connection, exchange.on_bar(bar))
        book.see(connection, bar, is_late=is_late)
        book.store(connection, bar.symbol, exchange.export().orders)
        return tuple(reports_of(connection, changed))

    def _exchange(
        self, connection: Connection, symbol: str, closes: str | None = None
    ) -> tuple[Exchange, list[str]]:
        """The exchange as it is, and the ids of orders that a late bar has changed just now.

        Args:
            connection: of the transaction.
            symbol: whose orders are wanted.
            closes: an entry that is to be closed.
        """
        state = book.load(connection, symbol)
        if closes is not None:
            state = book.with_entry(connection, state, closes, self._instruments)
        exchange = Exchange(self._rules, state)
        late = book.take_late_bar(connection, symbol)
        return exchange, [] if late is None else self._note(connection, exchange.on_bar(late))

    def _note(self, connection: Connection, events: Sequence[ExchangeEvent]) -> list[str]:
        """Write what has happened, pay for it, and return the ids of the orders it changed."""
        changed = book.note(connection, events)
        executions = [event for event in events if isinstance(event, Execution)]
        if not executions:  # most bars fill nothing, and need not know what there is to pay with
            return changed
        account = PaperCash.of(connection)
        for event in executions:
            rates = self._rates.at(event.at)
            account.pay(connection, book.trade_of(event), event.side, rates)
            book.insert_trade(connection, event)
        account.write(connection)
        return changed

    async def cancel(self, client_order_id: str) -> BrokerReport | None:
        """As in `Broker`."""
        return await self._change(
            client_order_id, lambda exchange, at: exchange.cancel(client_order_id, at)
        )

    async def replace(self, client_order_id: str, limit_price: Decimal) -> BrokerReport | None:
        """As in `Broker`."""
        stop, limit = (limit_price, None) if is_stop_leg(client_order_id) else (None, limit_price)
        return await self._change(
            client_order_id,
            lambda exchange, at: exchange.replace(
                client_order_id, at, limit_price=limit, stop_price=stop
            ),
        )

    async def _change(
        self, client_order_id: str, change: Callable[[Exchange, datetime], list[OrderUpdate]]
    ) -> BrokerReport | None:
        await self._faults.on_read(client_order_id)

        def work(connection: Connection) -> BrokerReport | None:
            there = ORDERS.c.client_order_id == client_order_id
            row = connection.execute(select(ORDERS).where(there)).mappings().one_or_none()
            if row is None:
                return None
            exchange, _ = self._exchange(connection, row["symbol"])
            updates = change(exchange, book.seen_at(connection, row["symbol"]) or row["as_of"])
            # A replacement that is refused leaves the order as it was.
            if _refused(updates) is None:
                self._note(connection, updates)
                for item in exchange.open_orders():
                    book.note_price(connection, item)
            book.store(connection, row["symbol"], exchange.export().orders)
            return report_of(connection, client_order_id)

        with _as_a_brokers_answer():
            return await self._database.write(work)

    async def open_orders(self) -> tuple[BrokerReport, ...]:
        """As in `Broker`."""
        await self._faults.on_read("")
        query = select(ORDERS.c.client_order_id).where(OPEN).order_by(ORDERS.c.id)

        def work(connection: Connection) -> tuple[BrokerReport, ...]:
            return tuple(reports_of(connection, connection.execute(query).scalars().all()))

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
            await self._database.write(lambda connection: self._take_action(connection, action))

    def _take_action(self, connection: Connection, action: BookedAction) -> None:
        symbol, ratio = action.key[0], action.ratio
        if not actions.take(connection, action) or ratio == 1:
            return
        exchange, _ = self._exchange(connection, symbol)
        for item in exchange.open_orders():
            if item.filled:  # what was traded is counted in old shares, so the order ends
                self._note(connection, exchange.cancel(item.order.order_id, item.order.as_of))
        self._note(connection, exchange.on_split(symbol, ratio))
        for item in exchange.open_orders():
            book.note_price(connection, item)
        book.store(connection, symbol, exchange.export().orders)

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
        query = _EXECUTIONS.where(TRADES.c.sequence > last).order_by(TRADES.c.sequence).limit(PAGE)

        def work(connection: Connection) -> TradePage:
            rows = list(connection.execute(query).mappings())
            found = with_conversions(connection, map(trade_from, rows))
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
                lambda connection: reports_of(connection, client_order_ids)
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
            self._take(connection, intent)
        report = report_of(connection, intent.client_order_id)
        assert report is not None, "it was written above"  # noqa: S101 - same transaction
        return report

    def _take(self, connection: Connection, intent: Intent) -> None:
        """Write an order that is new, with what is attached to it, or its refusal."""
        instrument = self._instruments.find(intent.symbol, intent.as_of)
        known = instrument or TradableInstrument(intent.symbol, intent.market, 1)
        orders = _exchange_orders(intent, known, self._rules)
        exchange, _ = self._exchange(connection, intent.symbol, intent.entry_order_id)
        refusal = self._refusal(intent, instrument)
        if refusal is None:
            refusal = _refused(exchange.submit(*orders))
        if refusal is not None:
            _insert(connection, orders[0], OrderState.REJECTED, refusal)
        for order in orders if refusal is None else ():
            _insert(connection, order, OrderState.ACCEPTED, None)
        book.store(connection, intent.symbol, exchange.export().orders)

    def _refusal(self, intent: Intent, instrument: TradableInstrument | None) -> Refusal | None:
        if instrument is None:
            return "UNKNOWN_SYMBOL", f"{intent.symbol} is not traded here"
        if intent.side is Side.SELL and intent.entry_order_id is None:
            return "UNKNOWN_ENTRY", "a sell names the order that opened its position"
        return self._faults.refuse(intent)


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


def _refused(updates: Sequence[OrderUpdate]) -> Refusal | None:
    """Code and reason of the first refusal."""
    for each in updates:
        if each.state is OrderState.REJECTED:
            return each.code or "REJECTED", each.reason or "the exchange gave no reason"
    return None


def _exchange_orders(
    intent: Intent, instrument: TradableInstrument, rules: ExchangeRules
) -> tuple[ExchangeOrder, ...]:
    """What an intent is at the exchange: a buy with its stop and target, or an exit."""
    order = ExchangeOrder(
        order_id=intent.client_order_id,
        instrument=instrument,
        side=intent.side,
        quantity=intent.quantity,
        type=OrderType.LIMIT,
        as_of=intent.as_of,
        limit_price=intent.limit_price,
        closes=intent.entry_order_id,
        reference_price=intent.reference_price,
    )
    if intent.side is Side.SELL:
        return (order,)
    target = intent.take_profit
    if target is not None and rules.ticks is not None:
        target = rules.ticks.up(instrument.market, target, intent.as_of)
    return bracket(order, stop_price=intent.stop_loss, target_price=target)


def _insert(
    connection: Connection, order: ExchangeOrder, state: OrderState, refusal: Refusal | None
) -> None:
    code, reason = refusal or (None, None)
    values = {
        "client_order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side,
        "quantity": order.quantity,
        "limit_price": order.limit_price or order.stop_price,
        "as_of": order.as_of,
        "state": state,
        "code": code,
        "reason": reason,
        "times_asked": 1,
    }
    connection.execute(insert(ORDERS), values)
