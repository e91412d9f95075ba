"""Watches bars for prices of positions and crossed stops, and values the portfolio."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.feed_broker import BrokerFeed
from streamdesk.order_executor.application.order_spans import SYMBOL
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.application.working_orders import WorkingOrders
from streamdesk.order_executor.domain import Mark
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    DatabaseError,
    TradingStoppedError,
)
from streamdesk.runtime import logger, metrics, span
from streamdesk.trading.decisions import Crossing, crossing, overdue
from streamdesk.trading.locks import LockCode
from streamdesk.trading.losses import account_day, loss_locks, tracked
from streamdesk.trading.money import price_from
from streamdesk.trading.orders import OrderState
from streamdesk.trading.portfolio import Holding, Portfolio
from streamdesk.trading.risk import Code
from streamdesk.trading.trading_state import TradingState
from streamdesk.trading.working_orders import left_behind

log = logger(__name__)
VIEW_SECONDS = 1.0
"""How old the cached positions may be; bookings of this process refresh them at once."""


@dataclass(frozen=True, slots=True)
class _Crossed:
    holding: Holding
    crossing: Crossing
    cause: str
    """Traceparent of the bar."""


class Protection:
    """Watches stops. Every executor sees every bar; the ledger lets only one act on it.

    Args:
        ledger: the account's books.
        execution: carries out the exits.
        gate: while it is closed, crossings are remembered.
        working: the orders that may have a position's symbol.
        limits: on loss.
        feed: brings bars to the broker, where it has no market of its own.
        valuation_seconds: least time between two valuations because of prices.
    """

    def __init__(
        self,
        ledger: Ledger,
        execution: OrderExecution,
        gate: TradingGate,
        working: WorkingOrders,
        limits: LossLimits,
        feed: BrokerFeed,
        valuation_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._execution = execution
        self._gate = gate
        self._working = working
        self._limits = limits
        self._feed = feed
        self._valuation_seconds = valuation_seconds
        self._marks: dict[str, Mark] = {}
        self._crossed: dict[str, _Crossed] = {}
        self._stops: dict[str, tuple[object, ...]] = {}  # as the broker holds them
        self._portfolio: Portfolio | None = None
        self._seen_at = float("-inf")

    def positions_changed(self) -> None:
        """Look at the positions again before the next bar."""
        self._seen_at = float("-inf")
        self._working.changed()

    def shares_changed(self, symbol: str) -> None:
        """Forget what was seen of a symbol: its shares are others now, or its stops."""
        self._marks.pop(symbol, None)
        self._crossed.pop(symbol, None)
        self.positions_changed()

    def take_marks(self) -> dict[str, Mark]:
        """Prices seen since the last call; the next write to the ledger includes them."""
        marks, self._marks = self._marks, {}
        return marks

    async def on_bar(self, bar: BarClosed, cause: str = "") -> None:
        """Note the price of a held instrument; leave the position when a stop is crossed.

        What is left of an entry is canceled first, and an exit that the market has left is made
        anew: the position is protected from its first share on, and until it is closed.

        Args:
            bar: what the market did.
            cause: traceparent of its publisher; empty without tracing.
        """
        view = await self._view()
        if bar.symbol in view.holdings or bar.symbol in view.live_orders:
            await self._follow_stop(view.holdings.get(bar.symbol))
            await self._feed.on_bar(bar)
        was_held = bar.symbol in view.holdings
        await self._working.on_bar(bar)
        holding = (await self._view()).holdings.get(bar.symbol)
        if holding is None:
            if was_held:  # the broker has left it, and may have left a loss
                await self._watch_losses(bar.timestamp)
            return
        await self._begin_day(bar.timestamp)
        last = self._marks.get(bar.symbol)
        if bar.timestamp > (last.at if last else holding.marked_at):
            self._marks[bar.symbol] = Mark(price_from(bar.close), bar.timestamp)
        live = (await self._working.by_symbol()).get(bar.symbol)
        crossed = await self._crossing(holding, bar) or overdue(holding, bar)
        crossed = crossed or (left_behind(live, bar) if live else None)
        before = self._crossed.get(bar.symbol)
        if before is not None:
            # The first crossing counts: a later bar must not turn a loss into a gain.
            seen = before.crossing.seen_at(price_from(bar.close), bar.timestamp)
            self._crossed[bar.symbol] = replace(before, crossing=seen)
        elif crossed is not None:
            self._crossed[bar.symbol] = _Crossed(holding, crossed, cause)
        if bar.symbol in self._crossed:
            await self.leave_crossed()
        await self._watch_losses(bar.timestamp)

    async def _follow_stop(self, holding: Holding | None) -> None:
        """Have the broker hold the stop where it is now, before another bar meets it."""
        if holding is None:
            return
        wanted = holding.entry_order_id, holding.stop_loss
        if self._stops.get(holding.symbol) != wanted:
            await self._execution.move_stop(holding)
            self._stops[holding.symbol] = wanted

    async def _crossing(self, holding: Holding, bar: BarClosed) -> Crossing | None:
        """The stop that a bar crosses, if it is not the broker that leaves the position there."""
        crossed = crossing(holding, bar)
        if crossed is None or holding.symbol in self._crossed:
            return crossed
        try:
            is_held = await self._execution.is_protected(holding, crossed.origin)
        except BrokerContradictionError as error:
            self._gate.close(str(error))
            return crossed  # remembered until a person has looked
        return None if is_held else crossed

    async def holding(self, symbol: str) -> Holding | None:
        """The position of a symbol, as it was looked at last."""
        return (await self._view()).holdings.get(symbol)

    async def _view(self) -> Portfolio:
        now = time.monotonic()
        if self._portfolio is None or now - self._seen_at > VIEW_SECONDS:
            self._seen_at = now
            self._portfolio = await self._ledger.portfolio()
        return self._portfolio

    async def _begin_day(self, at: datetime) -> None:
        """Hand on the last prices of a day before any of the next is noted."""
        track = (await self._view()).risk.track
        if track is None or account_day(at) > track.day:
            await self._hand_on_marks(at)

    async def _watch_losses(self, at: datetime) -> None:
        """Have the ledger look at once if the newest prices reach a limit on loss."""
        view = await self._view()
        if view.risk.track is None:
            return
        equity = view.equity_at({symbol: mark.price for symbol, mark in self._marks.items()})
        after = tracked(view.risk.track, at, equity)
        if loss_locks(after, equity, self._limits.numbers, view.risk.locks, at):
            await self._hand_on_marks(at)

    async def _hand_on_marks(self, at: datetime) -> None:
        marks = self.take_marks()
        try:
            await self._limits.watch(at, marks)
        except DatabaseError:
            self._marks = marks | self._marks  # the bar comes again
            raise
        self.positions_changed()

    async def leave_crossed(self) -> None:
        """Close the positions whose stops were crossed, as soon as trading is open."""
        for symbol in list(self._crossed):
            while self._gate.is_open and (item := self._crossed.get(symbol)) is not None:
                about = {SYMBOL: symbol, "streamdesk.stop": item.crossing.origin.value}
                with span("leave position", parent=item.cause, attributes=about):
                    is_waiting = await self._leave(symbol, item)
                if is_waiting:
                    break

    async def _leave(self, symbol: str, item: _Crossed) -> bool:
        """Take the next step; returns whether the one after it has to wait."""
        try:
            step = await self._ledger.protect(item.holding, item.crossing, self.take_marks())
        except TradingStoppedError:
            return True  # remembered: as soon as exits are let through, it is left
        self._working.changed()
        if step.is_waiting:
            return True
        if step.order is not None and step.order.state is OrderState.PENDING_CANCEL:
            metrics.ORDERS_CANCELED.labels(step.order.code or "").inc()
            ended = await self._execution.carry_out(step.order, is_new=False)
            return not ended.state.is_done
        # Forgotten only now: if the ledger fails, the crossing is tried again.
        self._crossed.pop(symbol, None)
        if step.order is not None:
            self._report(item)
            ended = await self._execution.carry_out(step.order, is_new=True)
            if ended.code == Code.TRADING_HALTED:  # after it was committed, before it was sent
                self._crossed.setdefault(symbol, item)
                return True
        return False

    def _report(self, item: _Crossed) -> None:
        metrics.PROTECTIVE_EXITS.labels(item.crossing.origin).inc()
        log.info(
            "stop crossed",
            symbol=item.holding.symbol,
            stop=item.crossing.origin,
            level=str(item.crossing.level),
            price=str(item.crossing.price),
        )

    async def value(self) -> None:
        """Value the portfolio at the newest prices, and show it in the metrics.

        Raises:
            DatabaseError: the ledger is unavailable.
        """
        await self._ledger.value(self._valuation_seconds, self.take_marks())
        await self._measure()

    async def _measure(self) -> None:
        portfolio = await self._ledger.portfolio()
        metrics.PORTFOLIO_EQUITY.set(float(portfolio.equity))
        metrics.PORTFOLIO_CASH.set(float(portfolio.cash))
        metrics.POSITIONS_OPEN.set(len(portfolio.holdings))
        contradicted = [each for each in portfolio.live_orders.values() if each.contradiction]
        metrics.ORDERS_CONTRADICTED.set(len(contradicted))
        metrics.TRADING_HALTED.set(portfolio.trading_state is TradingState.HALTED)
        metrics.TRADING_REDUCING.set(portfolio.trading_state is TradingState.REDUCING)
        in_force = Counter(lock.code for lock in portfolio.risk.locks)
        for code in LockCode:
            metrics.ENTRY_LOCKS.labels(code).set(in_force[code])
        if (track := portfolio.risk.track) is not None:
            metrics.DAY_LOSS.set(float(track.day_loss_percent(portfolio.equity)))
            metrics.DRAWDOWN.set(float(track.drawdown_percent(portfolio.equity)))
