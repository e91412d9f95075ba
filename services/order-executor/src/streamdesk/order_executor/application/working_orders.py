"""Cancels what is left of entries that must not wait any longer."""

import time
from datetime import UTC, datetime

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.cancellations import Cancellations
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.runtime import logger, metrics
from streamdesk.trading.identity import entry_of_leg
from streamdesk.trading.orders import Order, OrderState
from streamdesk.trading.working_orders import CancelCode, crosses_stop, expires

log = logger(__name__)
VIEW_SECONDS = 1.0
"""How old the cached orders may be; bookings of this process refresh them at once."""


class WorkingOrders:
    """The orders that the broker is working on. Every executor sees every bar; one cancels.

    Args:
        ledger: the account's books.
        cancellations: where the wish to cancel is committed.
        execution: asks the broker.
        gate: while it is closed nothing is canceled; the next bar is soon enough.
        timeout_seconds: of market time, after which an entry is canceled.
    """

    def __init__(
        self,
        ledger: Ledger,
        cancellations: Cancellations,
        execution: OrderExecution,
        gate: TradingGate,
        timeout_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._cancellations = cancellations
        self._execution = execution
        self._gate = gate
        self._timeout_seconds = timeout_seconds
        self._market_time = datetime.min.replace(tzinfo=UTC)
        self._time_before = self._market_time
        self._orders: dict[str, Order] = {}
        self._seen_at = float("-inf")

    def changed(self) -> None:
        """Look at the orders again before the next bar."""
        self._seen_at = float("-inf")

    async def by_symbol(self) -> dict[str, Order]:
        """Orders that are working and are not to be canceled yet."""
        now = time.monotonic()
        if now - self._seen_at > VIEW_SECONDS:
            self._seen_at = now
            self._orders = {
                order.intent.symbol: order
                for order in await self._ledger.unfinished()
                if order.state.is_working
                and order.state is not OrderState.PENDING_CANCEL
                # A stop that the broker holds is canceled by the broker.
                and entry_of_leg(order.client_order_id) is None
            }
        return self._orders

    async def on_bar(self, bar: BarClosed) -> None:
        """Cancel the entries that have waited too long, or whose stop is crossed.

        Args:
            bar: of any instrument: the market's time is one.
        """
        if bar.timestamp > self._market_time:
            self._time_before, self._market_time = self._market_time, bar.timestamp
        if not self._gate.is_open:
            return
        for order in list((await self.by_symbol()).values()):
            if not self._execution.holds_brackets and crosses_stop(order, bar):
                await self._cancel(order, CancelCode.STOP_CROSSED)
            elif expires(order, bar, self._time_for(order, bar), self._timeout_seconds):
                await self._cancel(order, CancelCode.ENTRY_EXPIRED)

    def _time_for(self, order: Order, bar: BarClosed) -> datetime:
        """Until when an order has seen its market: bars of one time come one after another."""
        is_own = bar.symbol == order.intent.symbol
        return self._market_time if is_own else self._time_before

    async def _cancel(self, order: Order, code: CancelCode) -> None:
        wanted = await self._cancellations.want(order.client_order_id, code)
        self.changed()
        if wanted is not None:
            await self._carry_out(wanted, code)

    async def make_way(self, symbol: str) -> None:
        """Cancel what is left of a symbol's entry, because a signal sells what it buys."""
        wanted = await self._cancellations.want_entry_of(symbol, CancelCode.SELL_SIGNAL)
        if wanted is not None:
            await self._carry_out(wanted, CancelCode.SELL_SIGNAL)

    async def _carry_out(self, order: Order, code: CancelCode) -> None:
        metrics.ORDERS_CANCELED.labels(code).inc()
        log.info(
            "canceling the rest of an order",
            client_order_id=order.client_order_id,
            symbol=order.intent.symbol,
            reason=code,
            filled=order.filled_quantity,
            quantity=order.intent.quantity,
        )
        await self._execution.carry_out(order, is_new=False)
