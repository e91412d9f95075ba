"""Cancels every order, or closes every position, because a person asks for it."""

from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.cancellations import Cancellations
from streamdesk.order_executor.adapters.ledger.desk_requests import (
    DeskRequest,
    DeskRequests,
    RequestItem,
    RequestKind,
)
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import TradingStoppedError
from streamdesk.runtime import logger, metrics
from streamdesk.trading.decisions import Crossing
from streamdesk.trading.market_view import MarketView
from streamdesk.trading.orders import Origin
from streamdesk.trading.portfolio import Holding
from streamdesk.trading.working_orders import CancelCode

log = logger(__name__)
CODES = {
    RequestKind.CANCEL_ALL: CancelCode.CANCEL_ALL,
    RequestKind.CLOSE_ALL: CancelCode.CLOSE_ALL,
}


class RequestedActions:
    """Takes the next step of every open request. All executors do; the ledger lets one take it.

    Args:
        requests: what was asked.
        ledger: the account's books.
        cancellations: where the wish to cancel is committed.
        execution: asks the broker.
        view: has the newest prices.
        gate: while it is closed nothing is sold; orders are canceled all the same.
    """

    def __init__(
        self,
        requests: DeskRequests,
        ledger: Ledger,
        cancellations: Cancellations,
        execution: OrderExecution,
        view: MarketView,
        gate: TradingGate,
    ) -> None:
        self._requests = requests
        self._ledger = ledger
        self._cancellations = cancellations
        self._execution = execution
        self._view = view
        self._gate = gate

    async def carry_out(self) -> None:
        """Once.

        Raises:
            DatabaseError: the ledger is unavailable; the same call again is safe.
        """
        requests = await self._requests.open()
        for request in requests:
            for item in request.items:
                if item.outcome is None:
                    await self._step(request, item)
        if requests:
            await self._requests.settle()

    async def _step(self, request: DeskRequest, item: RequestItem) -> None:
        if item.order.state.is_working:
            await self._cancel(item, CODES[request.kind])
        elif item.holding is not None and request.kind is RequestKind.CLOSE_ALL:
            await self._close(request, item.holding)

    async def _cancel(self, item: RequestItem, code: CancelCode) -> None:
        order = await self._cancellations.want(item.order.client_order_id, code)
        if order is not None:  # else another executor has it, and the reconciliation ends it
            metrics.ORDERS_CANCELED.labels(code).inc()
            log.info("canceling for a person", client_order_id=order.client_order_id, reason=code)
            await self._execution.carry_out(order, is_new=False)

    async def _close(self, request: DeskRequest, holding: Holding) -> None:
        if not self._gate.is_open:
            return
        crossed = self._at_market(holding)
        try:
            step = await self._ledger.protect(holding, crossed, asked_at=request.made_at)
        except TradingStoppedError:
            return  # halted meanwhile: it waits until exits are let through
        if step.order is not None:
            metrics.PROTECTIVE_EXITS.labels(Origin.CLOSE_ALL).inc()
            log.info("closing for a person", symbol=holding.symbol, quantity=holding.quantity)
            await self._execution.carry_out(step.order, is_new=not step.order.state.is_working)

    def _at_market(self, holding: Holding) -> Crossing:
        """What the market pays now, as far as it is known."""
        price, at, market = holding.market_price, holding.marked_at, self._view.of(holding.symbol)
        if market is not None and market.mark is not None and market.at >= at:
            price, at = market.mark, market.at
        return Crossing(Origin.CLOSE_ALL, price, price, at)
