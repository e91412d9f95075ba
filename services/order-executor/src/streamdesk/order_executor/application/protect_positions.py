"""Watches bars for prices of positions and crossed stops, and values the portfolio."""

import time
from dataclasses import dataclass

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.order_spans import SYMBOL
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.domain import Mark
from streamdesk.order_executor.errors import TradingStoppedError
from streamdesk.runtime import logger, metrics, span
from streamdesk.trading.decisions import Crossing, crossing
from streamdesk.trading.money import price_from
from streamdesk.trading.portfolio import Holding
from streamdesk.trading.trading_state import TradingState

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
        valuation_seconds: least time between two valuations because of prices.
    """

    def __init__(
        self, ledger: Ledger, execution: OrderExecution, gate: TradingGate, valuation_seconds: float
    ) -> None:
        self._ledger = ledger
        self._execution = execution
        self._gate = gate
        self._valuation_seconds = valuation_seconds
        self._marks: dict[str, Mark] = {}
        self._crossed: dict[str, _Crossed] = {}
        self._holdings: dict[str, Holding] = {}
        self._seen_at = float("-inf")

    def positions_changed(self) -> None:
        """Look at the positions again before the next bar."""
        self._seen_at = float("-inf")

    def take_marks(self) -> dict[str, Mark]:
        """Prices seen since the last call; the next write to the ledger includes them."""
        marks, self._marks = self._marks, {}
        return marks

    async def on_bar(self, bar: BarClosed, cause: str = "") -> None:
        """Note the price of a held instrument; leave the position when a stop is crossed.

        Args:
            bar: what the market did.
            cause: traceparent of its publisher; empty without tracing.
        """
        holding = (await self._view()).get(bar.symbol)
        if holding is None:
            return
        last = self._marks.get(bar.symbol)
        if bar.timestamp > (last.at if last else holding.marked_at):
            self._marks[bar.symbol] = Mark(price_from(bar.close), bar.timestamp)
        crossed = crossing(holding, bar)
        if crossed is not None:
            # The first crossing counts: a later bar must not turn a loss into a gain.
            self._crossed.setdefault(bar.symbol, _Crossed(holding, crossed, cause))
            await self.leave_crossed()

    async def _view(self) -> dict[str, Holding]:
        now = time.monotonic()
        if now - self._seen_at > VIEW_SECONDS:
            self._seen_at = now
            self._holdings = dict((await self._ledger.portfolio()).holdings)
        return self._holdings

    async def leave_crossed(self) -> None:
        """Close the positions whose stops were crossed, as soon as trading is open."""
        while self._crossed and self._gate.is_open:
            symbol, item = next(iter(self._crossed.items()))
            about = {SYMBOL: symbol, "streamdesk.stop": item.crossing.origin.value}
            with span("leave position", parent=item.cause, attributes=about):
                try:
                    order = await self._ledger.protect(
                        item.holding, item.crossing, self.take_marks()
                    )
                except TradingStoppedError:
                    return  # remembered: as soon as exits are let through, it is left
                # Forgotten only now: if the ledger fails, the crossing is tried again.
                self._crossed.pop(symbol, None)
                if order is not None:
                    self._report(item)
                    await self._execution.carry_out(order, is_new=True)

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
        metrics.TRADING_HALTED.set(portfolio.trading_state is TradingState.HALTED)
        metrics.TRADING_REDUCING.set(portfolio.trading_state is TradingState.REDUCING)
