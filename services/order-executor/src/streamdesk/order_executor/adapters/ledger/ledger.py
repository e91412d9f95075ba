"""The ledger: one method, one transaction.

Nothing is sent to the broker that is not committed here first, and nothing the broker reports is
booked twice. Several processes share one ledger: each writing transaction has it for itself.

A method that fails for the database's sake (`DatabaseError`) may be called again, also when its
transaction was committed: it finds what is there before it writes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, insert, select, update

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import (
    booking,
    cancellations,
    cash,
    desk_requests,
    events,
    last_look,
    late_fees,
    loss_watch,
    price_halts,
    rate_rows,
    rows,
    signals,
    trade_locks,
)
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, LEASES, ORDERS
from streamdesk.order_executor.domain import ExitStep, Halt, Marks, SignalDecision
from streamdesk.order_executor.errors import TradingStoppedError
from streamdesk.trading.decisions import (
    Crossing,
    decide,
    exit_alert,
    protective_exit,
)
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import BrokerReport, Intent, Order, OrderState
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding, Portfolio, RiskHistory
from streamdesk.trading.rates import DatedRate, RateBook
from streamdesk.trading.risk import Code, RiskVerdict, TradeRequest
from streamdesk.trading.working_orders import MAX_EXITS, cancel_code_for

ACCOUNT_ID = "paper"
PROOF = "proof of writing"
_UPDATE_PROOF = update(LEASES).where(LEASES.c.name == rows.THIS)
FIXED_RATES = "setting"
"""Source of the rates that hold at all times."""

OF_NO_DAY = frozenset({"FUTURE_SIGNAL"})
"""Refusals of signals whose time is not believed: they begin no day and end no lock."""


def wall_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class Ledger:
    """The account's books in one database.

    Args:
        database: where they are.
        policy: the numbers that decisions go by.
        rates: value of the currencies.
        opening_balances: cash by currency of a new account; an existing one keeps its own.
        executor: name of this process, for people.
        clock: gives the time of writing.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy,
        rates: RateBook,
        opening_balances: Mapping[str, Decimal],
        *,
        executor: str = "executor",
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.database = database
        self.rates = rates
        self._policy = policy
        self._opening_balances = dict(opening_balances)
        self._executor = executor
        self._clock = clock

    async def open(self) -> None:
        """Bring the tables up to date, and open the account if there is none.

        Raises:
            DatabaseError: unavailable now, or `DatabaseRefusedError`: unusable with these settings.
        """

        def prepare(connection: Connection) -> None:
            if connection.execute(select(ACCOUNT.c.id)).first() is None:
                opening, rates = self._opening_balances, self.rates.at(None)
                cash.open_balances(connection, opening)
                connection.execute(
                    insert(ACCOUNT).values(
                        id=ACCOUNT_ID,
                        currency=self.rates.account_currency,
                        initial_cash=sum((rates.worth(*it) for it in opening.items()), ZERO),
                        realized_pnl=ZERO,
                        fx_gain=ZERO,
                        opened_at=self._clock(),
                    )
                )
            if not self.rates.is_dated:
                now = self._clock()
                rate_rows.record_fixed(connection, self.rates.at(None), FIXED_RATES, now)

        await self.database.open(prepare)

    async def use_rates(self, rates: Sequence[DatedRate]) -> int:
        """Go by these rates from now on, and record them; returns how many are new.

        Raises:
            DatabaseError: they are in use, and not recorded; the same call again is safe.
        """
        self.rates.use(rates)
        return await self.database.write(lambda connection: rate_rows.record(connection, rates))

    async def close(self) -> None:
        """Finish what runs and close the database."""
        await self.database.close()

    async def decide(
        self,
        request: TradeRequest,
        marks: Marks | None = None,
        postpone: frozenset[Code] = frozenset(),
    ) -> SignalDecision:
        """Decide about a signal, once: intent and reservations, or the refusal, are committed.

        Args:
            request: the signal.
            marks: prices seen since the last call; they count for the equity.
            postpone: codes that are not written down: the signal will be asked about again.
        """
        now = self._clock()

        def work(connection: Connection) -> SignalDecision:
            loss_watch.note_marks(connection, marks or {}, self.rates)
            decided = signals.decision_about(connection, request.signal_id)
            return decided or self._decide(connection, request, postpone, now)

        return await self.database.write(work)

    def _decide(
        self,
        connection: Connection,
        request: TradeRequest,
        postpone: frozenset[Code],
        now: datetime,
    ) -> SignalDecision:
        same = rows.order_of_fingerprint(connection, request.fingerprint)
        request = replace(
            request,
            duplicate_of=same.client_order_id if same else None,
            traded_as_of=rows.traded_as_of(connection, request.symbol),
        )
        portfolio = rows.portfolio(connection, self.rates.at(request.as_of))
        watch = loss_watch.look(connection, portfolio, request.as_of, self._policy)
        if request.side is Side.BUY:
            portfolio = replace(portfolio, risk=loss_watch.history_for_entry(connection, watch))
        outcome = decide(request, portfolio, self._policy)
        # Not written down: the signal comes again, and must then be decided anew.
        if isinstance(outcome, RiskVerdict) and outcome.code in postpone:
            return SignalDecision(None, outcome, is_new=True, is_postponed=True)
        signals.insert_decision(connection, request, outcome, now)
        if not (isinstance(outcome, RiskVerdict) and outcome.code in OF_NO_DAY):
            loss_watch.keep(connection, watch, now)
        if isinstance(outcome, RiskVerdict):
            events.refused(connection, request, outcome, now)
            return SignalDecision(None, outcome, is_new=True)
        order = self._intend(connection, outcome, portfolio, now)
        return SignalDecision(order, None, is_new=True)

    def _intend(
        self, connection: Connection, intent: Intent, before: Portfolio, now: datetime
    ) -> Order:
        order = rows.insert_intent(connection, intent, self._executor, now)
        events.submitted(connection, order, now)
        events.update_alerts(connection, before.with_order(intent), self._policy, now)
        return order

    async def protect(
        self,
        holding: Holding,
        crossed: Crossing,
        marks: Marks | None = None,
        *,
        asked_at: datetime | None = None,
    ) -> ExitStep:
        """Commit the next step of leaving a position whose stop was crossed.

        The same call by another process, or again, makes no second order: the id follows from
        the order that opened the position. An order that has the symbol makes way first: what is
        left of the entry, or an exit whose limit the market has left.

        Args:
            holding: the position as it was when the bar came.
            crossed: the bar that crossed its stop.
            marks: prices seen since the last call.
            asked_at: since when a person closes it; no exit follows one that the broker has
                rejected since, or the last that is priced anew.

        Returns:
            The step; none when the position is closed, or being closed, already.

        Raises:
            TradingStoppedError: trading is halted, and the step would be an exit; nothing but the
                prices was written. What is left of an entry makes way all the same: to cancel it
                lessens the risk. An exit that the market has left does not, as none may follow it.
        """
        now = self._clock()

        def work(connection: Connection) -> ExitStep | Halt:
            loss_watch.note_marks(connection, marks or {}, self.rates)
            held = rows.holding(connection, holding.symbol)
            # Closed since, or closed and opened again: the stop was that of another position.
            if held is None or held.entry_order_id != holding.entry_order_id:
                return ExitStep()
            # Crossed were levels of before a split or a dividend, or by a bar of old shares.
            if _is_of_before(connection, holding, held, crossed):
                return ExitStep()
            attempt = 1 + rows.exits(connection, held.entry_order_id)
            live = rows.live_order(connection, held.symbol)
            if live is not None:
                return _make_way(connection, live, crossed, attempt, now)
            halt = last_look.stop_of(connection, Side.SELL)
            if halt is not None:
                return halt
            intent = protective_exit(held, crossed, attempt, self._policy)
            if intent is None or (
                asked_at is not None and desk_requests.why_not_closed(connection, held, asked_at)
            ):
                return ExitStep()
            events.alert(connection, exit_alert(intent, crossed, attempt, MAX_EXITS), now)
            portfolio = rows.portfolio(connection, self.rates.at(crossed.at))
            watch = loss_watch.look(connection, portfolio, crossed.at, self._policy)
            loss_watch.keep(connection, watch, now)
            return ExitStep(self._intend(connection, intent, portfolio, now))

        step = await self.database.write(work)
        # Raised only here: the prices are written, halted or not.
        if isinstance(step, Halt):
            raise TradingStoppedError(step.text)
        return step

    async def withdraw(self, order: Order) -> Order | None:
        """Cancel an intent of this process, never sent, if the kill switch forbids to send it.

        Returns:
            The order, which must not be sent; None when it may be.
        """
        side = order.intent.side
        # Looking first: nearly every order may be sent, and a read does not wait for writers.
        if not await self.database.read(lambda connection: last_look.stop_of(connection, side)):
            return None
        now = self._clock()

        def work(connection: Connection) -> Order | None:
            kept = last_look.withdraw(connection, order.client_order_id, now)
            portfolio = rows.portfolio(connection, self.rates.at(order.intent.as_of))
            events.update_alerts(connection, portfolio, self._policy, now)
            return kept

        return await self.database.write(work)

    async def begin_sending(self, client_order_id: str) -> bool:
        """Note that an order that is not known to be new to the broker is sent now.

        Returns:
            False when there is nothing to send: it is done, or a person must look at it first.

        Raises:
            TradingStoppedError: the kill switch forbids to send it; nothing was written.
        """
        now = self._clock()
        return await self.database.write(
            lambda connection: last_look.begin_sending(connection, client_order_id, now)
        )

    async def outcome_unknown(self, client_order_id: str, why: str) -> None:
        """Note that the broker was asked and did not answer; changes nothing that is known."""
        now = self._clock()

        def work(connection: Connection) -> None:
            connection.execute(
                update(ORDERS)
                .where(
                    ORDERS.c.client_order_id == client_order_id,
                    ORDERS.c.state == OrderState.INTENDED,
                )
                .values(state=OrderState.UNKNOWN, reason=why[:500], updated_at=now)
            )

        await self.database.write(work)

    async def apply(self, report: BrokerReport) -> booking.Applied:
        """Book what is new in a broker's report; the same report again changes nothing.

        Raises:
            BrokerContradictionError: it cannot be true; nothing was written.
        """
        now = self._clock()

        def work(connection: Connection) -> booking.Applied:
            rates = rate_rows.rates_now(connection, self.rates)
            return booking.apply(connection, report, self._policy, rates, now)

        return await self.database.write(work)

    async def prove_writable(self) -> None:
        """Write a row that nothing reads: a file that can be read cannot always be written.

        Raises:
            DatabaseError: the ledger is unavailable, or cannot be written.
        """
        # Always something new: SQLite writes nothing where nothing changes.
        values = {"owner": self._executor, "until": self._clock()}

        def work(connection: Connection) -> None:
            if connection.execute(_UPDATE_PROOF, {"this": PROOF, **values}).rowcount == 0:
                connection.execute(insert(LEASES), {"name": PROOF, **values})

        await self.database.write(work)

    async def unfinished(self, untouched_seconds: float = 0.0) -> list[Order]:
        """Orders that are not done and were not touched for so long, oldest first."""
        since = None
        if untouched_seconds > 0:
            since = self._clock() - timedelta(seconds=untouched_seconds)
        return await self.database.read(
            lambda connection: rows.unfinished_orders(connection, since)
        )

    async def broker_cursor(self) -> str:
        """How far the broker's trades have been read; empty at the beginning."""
        return await self.database.read(
            lambda connection: str(connection.execute(select(ACCOUNT.c.broker_cursor)).scalar_one())
        )

    async def unbooked(self, trade_ids: list[str]) -> set[str]:
        """Those of the trades that no fill is booked for."""
        return set(trade_ids) - await self.database.read(
            lambda connection: rows.known_trades(connection, trade_ids)
        )

    async def read_up_to(self, cursor: str, after: str) -> None:
        """Note that the broker's trades are booked up to `cursor`, read from `after` on.

        Another executor may have come further meanwhile: only the broker can tell which cursor is
        the later one, so nothing is noted then.
        """

        def work(connection: Connection) -> None:
            connection.execute(
                update(ACCOUNT).where(ACCOUNT.c.broker_cursor == after).values(broker_cursor=cursor)
            )

        await self.database.write(work)

    async def value(self, interval_seconds: float, marks: Marks | None = None) -> bool:
        """Publish what the portfolio is worth, if prices moved and the last time is long ago.

        Args:
            interval_seconds: least time between two valuations, over all processes.
            marks: prices seen since the last call.

        Returns:
            Whether it was valued.
        """
        now = self._clock()

        def is_due(connection: Connection) -> bool:
            row = connection.execute(select(ACCOUNT)).mappings().one()
            last = row["valued_at"]
            soon = last is not None and (now - last).total_seconds() < interval_seconds
            return not soon and (row["moved"] or not row["valuations"])

        def work(connection: Connection) -> bool:
            loss_watch.note_marks(connection, marks or {}, self.rates)
            if not is_due(connection):
                return False
            rates = rate_rows.rates_now(connection, self.rates)
            events.valued(connection, rows.portfolio(connection, rates), now)
            return True

        # Looking first keeps an idle executor from queueing for the ledger.
        if not marks and not await self.database.read(is_due):
            return False
        return await self.database.write(work)

    async def portfolio(self) -> Portfolio:
        """The account at this moment, with its locks and what losses are measured from."""

        def work(connection: Connection) -> Portfolio:
            locks, track = trade_locks.in_force(connection), loss_watch.track(connection)
            risk = RiskHistory(locks, track=track)
            rates = rate_rows.rates_now(connection, self.rates)
            return replace(rows.portfolio(connection, rates), risk=risk)

        return await self.database.read(work)

    async def balances(self) -> dict[str, Decimal]:
        """Cash by currency, at this moment; negative where it is owed."""
        return await self.database.read(cash.balances)

    async def conversions_after(
        self, number: int = 0, limit: int = 1_000
    ) -> list[tuple[int, cash.BookedConversion]]:
        """As `cash.conversions_after`."""
        return await self.database.read(
            lambda connection: cash.conversions_after(connection, number, limit)
        )

    async def orders_without_fees(self, after: str, limit: int) -> list[str]:
        """As `late_fees.orders_without`."""
        return await self.database.read(
            lambda connection: late_fees.orders_without(connection, after, limit)
        )

    async def cash_state(self) -> cash.CashState:
        """What the broker's balances are held against."""
        return await self.database.read(cash.state)

    async def booked_by(self, trade_ids: Sequence[str], booking: int) -> set[str]:
        """As `cash.booked_by`."""
        return await self.database.read(
            lambda connection: cash.booked_by(connection, trade_ids, booking)
        )

    async def order(self, client_order_id: str) -> Order | None:
        """One order."""
        return await self.database.read(lambda connection: rows.order(connection, client_order_id))


def _is_of_before(connection: Connection, seen: Holding, held: Holding, crossed: Crossing) -> bool:
    """Whether a corporate action came between the bar, or the levels it crossed, and now."""
    # A stop that follows the market only rises: one below it is crossed all the same.
    is_lower = (held.stop_loss or ZERO) < (seen.stop_loss or ZERO)
    if is_lower or held.take_profit != seen.take_profit:
        return True
    return price_halts.has_split_since(connection, held.symbol, crossed.at)


def _make_way(
    connection: Connection, live: Order, crossed: Crossing, attempt: int, now: datetime
) -> ExitStep | Halt:
    code, is_exit = cancel_code_for(live, crossed), live.intent.side is Side.SELL
    # Another executor's exit, or one that the market has not left.
    if code is None or (is_exit and attempt > MAX_EXITS):
        return ExitStep()
    if is_exit and (halt := last_look.stop_of(connection, Side.SELL)) is not None:
        return halt
    wanted = cancellations.want(connection, live, code, now)
    return ExitStep(wanted, is_waiting=wanted is None)
