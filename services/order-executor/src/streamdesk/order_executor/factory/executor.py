"""Everything between a signal and its trades, wired."""

from collections.abc import Callable
from datetime import datetime
from typing import Self

from streamdesk.bus import Message, Outcome
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import (
    TRADING_SIGNALS,
)
from streamdesk.order_executor.adapters.database.waiting import open_when_available
from streamdesk.order_executor.adapters.halt_file import halt_file_of
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.audit import BookAudit, Discrepancy, verify
from streamdesk.order_executor.adapters.ledger.cancellations import Cancellations
from streamdesk.order_executor.adapters.ledger.contradictions import Contradictions
from streamdesk.order_executor.adapters.ledger.corporate_actions import CorporateActions
from streamdesk.order_executor.adapters.ledger.desk_requests import DeskRequests
from streamdesk.order_executor.adapters.ledger.digest import digest
from streamdesk.order_executor.adapters.ledger.external_trades import ExternalTrades
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.adapters.ledger.outbox import Outbox
from streamdesk.order_executor.adapters.ledger.price_halts import PriceHalts
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.adapters.ledger.stops import Stops
from streamdesk.order_executor.adapters.paper_broker import (
    PAPER,
    Faults,
    PaperBroker,
    dice_of,
)
from streamdesk.order_executor.application.apply_actions import ActionApplication, actions_file_of
from streamdesk.order_executor.application.carry_out_requests import RequestedActions
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.compare_balances import (
    AuditWithBalances,
    BalanceComparison,
    balances_at,
)
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.execute_signal import SignalExecution
from streamdesk.order_executor.application.feed_broker import BrokerFeed
from streamdesk.order_executor.application.guard_prices import PriceGuard
from streamdesk.order_executor.application.heed_halt_file import LeftHalts
from streamdesk.order_executor.application.move_stops import StopMoves
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.application.reconcile import Reconciliation
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.application.working_orders import WorkingOrders
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.config.hours import session_check, session_clock
from streamdesk.order_executor.entrypoints import bus as bus_entrypoint
from streamdesk.order_executor.entrypoints import schedule
from streamdesk.order_executor.errors import (
    BrokerUnavailableError,
    DatabaseError,
    OutcomeUnknownError,
)
from streamdesk.order_executor.factory.parts import database_of, policy_of, rates_file_of, rates_of
from streamdesk.runtime import Drain
from streamdesk.trading.market_view import MarketView


class OrderExecutor:
    """Everything between a signal and its trades, without the bus. An async context manager.

    A replay calls `on_signal` and `on_bar` one after the other: the same calls give the same
    ledger (`digest`).

    Args:
        settings: of the service.
        clock: gives the time of writing.
        faults: what goes wrong at the paper broker, for tests.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = wall_clock,
        faults: Faults | None = None,
    ) -> None:
        self._settings = settings
        self.on_commit: Callable[[], None] = _ignore
        self.gate = TradingGate()
        self.view = MarketView()
        self._wire_adapters(settings, clock, faults)
        self._wire_use_cases(settings, clock)

    def _wire_adapters(
        self, settings: Settings, clock: Callable[[], datetime], faults: Faults | None
    ) -> None:
        policy, database = policy_of(settings), database_of(settings, settings.ledger_url, LEDGER)
        self._policy = policy
        rates = rates_of(settings)
        self.ledger = Ledger(
            database,
            policy,
            rates,
            settings.opening_balances(),
            executor=settings.instance,
            clock=clock,
        )
        self.kill_switch = KillSwitch(database, clock)
        self.contradictions = Contradictions(database, clock)
        self.cancellations = Cancellations(database, clock)
        self.requests = DeskRequests(database, clock)
        self.external = ExternalTrades(database, policy, rates, clock)
        self.loss_limits = LossLimits(database, policy, rates, clock)
        self.rates_file = rates_file_of(settings, self.ledger)
        halts, bound_percent = PriceHalts(database, clock), settings.price_jump_percent
        self.guard = PriceGuard(halts, self.view, bound_percent)
        self.corporate_actions = CorporateActions(database, policy, rates, clock)
        self.outbox = Outbox(
            database,
            owner=settings.instance,
            lease_seconds=settings.outbox_lease_seconds,
            keep=settings.outbox_keep,
            clock=clock,
        )
        self._sessions = session_clock(settings)
        self.broker = PaperBroker(
            database_of(settings, settings.paper_broker_url, PAPER),
            policy.instruments,
            settings.exchange_rules(policy, session_check(self._sessions)),
            faults or dice_of(settings).faults(),
            opening_balances=settings.opening_balances(),
            rates=rates,
            clock=clock,
        )

    def _wire_use_cases(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.execution = OrderExecution(
            self.ledger,
            self.broker,
            self.gate,
            settings.broker_timeout_seconds,
            self._booked,
            contradictions=self.contradictions,
            clock=clock,
        )
        self._working = working = WorkingOrders(
            self.ledger,
            self.cancellations,
            self.execution,
            self.gate,
            settings.entry_timeout_seconds,
        )
        self.feed = BrokerFeed(self.broker, self.execution, self.gate)
        self.protection = Protection(
            self.ledger,
            self.execution,
            self.gate,
            working,
            self.loss_limits,
            self.feed,
            settings.valuation_interval_seconds,
        )
        self.actions = ActionApplication(
            actions_file_of(settings.corporate_actions_file),
            self.corporate_actions,
            self.cancellations,
            self.execution,
            self.protection,
            self.view,
            self.broker,
        )
        self.requested = RequestedActions(
            self.requests,
            self.ledger,
            self.cancellations,
            self.execution,
            self.view,
            self.gate,
        )
        self.stop_moves = StopMoves(
            Stops(self.ledger.database), self.protection, self._policy.ticks
        )
        self._left_halts = LeftHalts(self.kill_switch, halt_file_of(settings))
        self.reconciliation = Reconciliation(
            self.ledger, self.execution, self.gate, self.external, self._left_halts
        )
        self.balances = BalanceComparison(self.ledger, self.execution)
        audit = AuditWithBalances(BookAudit(self.ledger, self.broker), self.balances)
        self.book_check = BookCheck(audit, self.gate)
        signal_execution = SignalExecution(
            self.ledger,
            self.execution,
            self.protection,
            self.view,
            self._sessions,
            self.gate,
            working,
            clock=clock,
            announce=self._announce,
        )
        self.handler = bus_entrypoint.SignalHandler(signal_execution, settings.signal_max_retries)

    def _booked(self) -> None:
        self.protection.positions_changed()
        self._working.changed()
        self._announce()

    def _announce(self) -> None:
        self.on_commit()

    async def __aenter__(self) -> Self:
        try:
            await open_when_available("LEDGER_URL", self.ledger.open)
            await open_when_available("PAPER_BROKER_URL", self.broker.open)
            await open_when_available("PAPER_BROKER_URL", self._give_balances)
            if self.rates_file is not None:
                await open_when_available("LEDGER_URL", self.rates_file.follow)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _give_balances(self) -> None:
        """Let a paper broker of an earlier release, which kept no balances, begin with ours."""
        if not await self.broker.knows_balances():
            await self.broker.take_balances(await balances_at(self.broker, self.ledger))

    async def close(self) -> None:
        """Finish what runs and close the databases."""
        await self.ledger.close()
        await self.broker.close()

    async def on_signal(self, signal_id: str, signal: SignalGenerated) -> Outcome:
        """Handle a signal as if it had come over the bus, for the first time."""
        if not self.gate.is_open:
            await self.reconciliation.reconcile()
        return await self.handler(Message(id=signal_id, event=signal, topic=TRADING_SIGNALS.name))

    async def on_bar(self, bar: BarClosed, cause: str = "") -> None:
        """Act on a bar of the bus; one whose price has jumped is held back from all of it.

        Splits and dividends that have begun by it are applied first.

        Args:
            bar: what the market did.
            cause: traceparent of its publisher; empty without tracing.

        Raises:
            DatabaseError, BrokerUnavailableError, OutcomeUnknownError: what is held is not known,
                or the broker has not taken it; the bar is to be given again.
        """
        try:
            if await self.actions.before(bar) and await self.guard.believes(bar):
                await self.protection.on_bar(bar, cause)
                self.view.see(bar)
                state = self.view.of(bar.symbol)
                await self.stop_moves.on_bar(bar, None if state is None else state.atr)
        except (DatabaseError, BrokerUnavailableError, OutcomeUnknownError):
            self.protection.positions_changed()  # the cached view may be empty
            raise

    async def keep_reconciled(self, drain: Drain) -> None:
        """Reconcile with the broker, again and again."""
        interval = self._settings.reconcile_interval_seconds
        await schedule.keep_reconciled(self.reconciliation, self.gate, interval, drain)

    async def keep_protected(self, drain: Drain) -> None:
        """Act on crossings that had to wait, and value the portfolio, again and again."""
        await schedule.keep_protected(self.protection, self._left_halts, drain)

    async def keep_requested(self, drain: Drain) -> None:
        """Carry out what a person asks of all executors, again and again."""
        await schedule.keep_requested(self.requested, drain)

    async def keep_checked(self, drain: Drain) -> None:
        """Check the books, again and again."""
        interval = self._settings.book_check_interval_seconds
        await schedule.keep_checked(
            self.book_check, lambda: self.gate.is_reconciled, interval, drain
        )

    async def keep_rates(self, drain: Drain) -> None:
        """Use what is new in the file of rates, again and again."""
        if self.rates_file is not None:
            await schedule.keep_rates(self.rates_file, drain)

    async def verify(self) -> list[Discrepancy]:
        """What does not agree: the ledger with itself, and with the broker's reports."""
        found = await verify(self.ledger, self.broker)
        return [*found, *await self.balances.differences()]

    async def digest(self) -> str:
        """The ledger as one hash, without random ids and the wall clock."""
        return await digest(self.ledger)


def _ignore() -> None:
    """Nothing: what is committed is not published."""
