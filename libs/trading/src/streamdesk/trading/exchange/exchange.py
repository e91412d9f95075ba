"""The simulated exchange: the broker on paper and of a backtest."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from streamdesk.contracts.events import BarClosed
from streamdesk.trading.exchange.book import (
    Book,
    ExchangeEvent,
    ExchangeState,
    OpenOrder,
    OrderUpdate,
    update_of,
)
from streamdesk.trading.exchange.checks import Refusal, refusal
from streamdesk.trading.exchange.matching import Funds, Matching, unlimited
from streamdesk.trading.exchange.orders import ExchangeOrder
from streamdesk.trading.exchange.rules import ExchangeRules
from streamdesk.trading.exchange.splits import split
from streamdesk.trading.orders import OrderState


class Exchange:
    """Holds orders and fills them from bars: the same calls always give the same answers.

    It knows no clock: time is what bars and requests say. Orders that are done are forgotten, so a
    caller that may repeat itself keeps their ids.

    Args:
        rules: how fills are found.
        state: of an earlier exchange that is continued; None begins a new one.
        funds: asked before each buy for the shares that can be paid for; exits are not asked for.
    """

    def __init__(
        self,
        rules: ExchangeRules,
        state: ExchangeState | None = None,
        funds: Funds = unlimited,
    ) -> None:
        state = state or ExchangeState()
        self._rules = rules
        self._funds = funds
        self._book = Book(state.orders)
        self._seen = dict(state.seen)
        self._sequence = state.sequence

    def export(self) -> ExchangeState:
        """All that it remembers; `Exchange(rules, state)` continues from it."""
        return ExchangeState(self._book.all(), dict(self._seen), self._sequence)

    def open_orders(self, symbol: str | None = None) -> tuple[OpenOrder, ...]:
        """Copies of the orders that can still trade, in the order in which they came."""
        return tuple(
            item
            for item in self._book.all()
            if not item.is_done and symbol in {None, item.order.symbol}
        )

    def submit(self, *orders: ExchangeOrder) -> list[OrderUpdate]:
        """Take orders in: all of them, or none when one is refused.

        An entry and its exits are submitted together, the entry first. An id that is in the book
        changes nothing: the answer says what the order is.

        Returns:
            An update for each order, ACCEPTED or REJECTED with a code (see `checks`).
        """
        refusals = [self._refusal(order, orders) for order in orders]
        first = next((found for found in refusals if found), None)
        if first is not None:
            return [
                _rejected(order, *(found or first))
                for order, found in zip(orders, refusals, strict=True)
            ]
        together = {order.order_id for order in orders}
        return [self._take(order, rests=order.closes in together) for order in orders]

    def _refusal(self, order: ExchangeOrder, together: tuple[ExchangeOrder, ...]) -> Refusal | None:
        if self._book.find(order.order_id) is not None:
            return None
        return refusal(order, together, self._book, self._rules)

    def _take(self, order: ExchangeOrder, *, rests: bool) -> OrderUpdate:
        item = self._book.find(order.order_id)
        if item is None:
            self._sequence += 1
            stop = order.stop_price
            if stop is None and order.is_trailing and not rests and order.reference_price:
                stop = order.trail_from(order.reference_price)
            item = OpenOrder(order, self._sequence, stop_price=stop, rests=rests)
            self._book.add(item)
        state = OrderState.FILLED if item.is_done and item.remaining == 0 else OrderState.ACCEPTED
        return update_of(item, state, order.as_of)

    def cancel(self, order_id: str, at: datetime) -> list[OrderUpdate]:
        """Cancel what is left of an order; the exits of a part that was filled stay.

        Args:
            order_id: the order; one that is done or unknown changes nothing.
            at: market time of the request.
        """
        item = self._book.find(order_id)
        if item is None or item.is_done:
            return []
        return list(self._book.end(item, at, "CANCELED", "canceled on request"))

    def replace(
        self,
        order_id: str,
        at: datetime,
        *,
        quantity: int | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> list[OrderUpdate]:
        """Change an order; it loses its place in the queue.

        Args:
            order_id: the order; one that is done or unknown changes nothing.
            at: market time of the decision; only later bars fill the new order.
            quantity: in all, what is filled already included; when that is all, it is done. The
                exits of a whole entry follow it.
            limit_price: the new limit; None keeps the old one.
            stop_price: the new stop; None keeps the old one.

        Returns:
            ACCEPTED with what it is now, or REJECTED, after which the old order stays.
        """
        item = self._book.find(order_id)
        if item is None or item.is_done:
            return []
        old = item.order
        new = replace(
            old,
            as_of=max(at, old.as_of),
            quantity=old.quantity if quantity is None else max(quantity, item.filled),
            limit_price=old.limit_price if limit_price is None else limit_price,
            stop_price=old.stop_price if stop_price is None else stop_price,
            reference_price=None,
        )
        refused = refusal(new, (), self._book, self._rules)
        if refused is not None:
            return [_rejected(new, *refused)]
        self._sequence += 1
        item.order, item.sequence = new, self._sequence
        item.rests = item.rests and limit_price is None
        item.stop_price = item.stop_price if stop_price is None else stop_price
        if item.remaining == 0:
            return list(self._book.filled(item, at))
        followers = self._book.resize_exits(item, old.quantity)
        return [update_of(each, OrderState.ACCEPTED, at) for each in (item, *followers)]

    def on_bar(self, bar: BarClosed) -> list[ExchangeEvent]:
        """Match a bar; one that is not newer than the last of its symbol changes nothing.

        Returns:
            Trades and what orders have become, in the order of events.
        """
        seen = self._seen.get(bar.symbol)
        if seen is not None and bar.timestamp <= seen:
            return []
        self._seen[bar.symbol] = bar.timestamp
        if not self._book.live(bar.symbol):
            return []
        return list(Matching(self._book, bar, self._rules, self._funds).run())

    def on_split(self, symbol: str, ratio: Fraction) -> list[OrderUpdate]:
        """Scale the open orders of a symbol, before the first bar at the new prices.

        Args:
            symbol: whose shares are split.
            ratio: new shares for one old: 10 for ten for one, 1/10 for a reverse split.
        """
        return list(split(self._book, symbol, ratio, self._rules.ticks, self._seen.get(symbol)))


def _rejected(order: ExchangeOrder, code: str, reason: str) -> OrderUpdate:
    return OrderUpdate(
        order.order_id,
        order.symbol,
        OrderState.REJECTED,
        order.quantity,
        0,
        order.as_of,
        code,
        reason,
    )
