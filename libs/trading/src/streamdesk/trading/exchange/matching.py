"""One bar against the open orders of its symbol.

The order of events in a bar: exits that trade at the open, entries at the open, entries that the
bar's range reaches, stops, targets. Of a stop and a target in one bar the stop counts, unless the
bar opens beyond the target.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.exchange.book import (
    Book,
    ExchangeEvent,
    Execution,
    OpenOrder,
)
from streamdesk.trading.exchange.orders import ExchangeOrder, OrderType
from streamdesk.trading.exchange.rules import (
    ExchangeRules,
    Quotes,
    began_before,
    day_of_bar,
    price_at_open,
    price_inside,
)

Funds = Callable[[ExchangeOrder, Decimal], int]
"""Most shares of a buy order that can be paid for at a price."""


def unlimited(order: ExchangeOrder, _price: Decimal) -> int:
    """Everything can be paid for."""
    return order.quantity


class Matching:
    """Matches one bar.

    Args:
        book: the open orders; changed.
        bar: newer than any bar of this symbol before.
        rules: how fills are found.
        funds: asked before each buy; what cannot be paid for is canceled.
    """

    def __init__(self, book: Book, bar: BarClosed, rules: ExchangeRules, funds: Funds) -> None:
        self._book = book
        self._bar = bar
        self._rules = rules
        self._funds = funds
        self._quotes: dict[Side, Quotes] = {}
        self._left: int | None = None
        # Entries filled inside this bar: what the bar did before is not known to have come after.
        self._inside: set[str] = set()

    def run(self) -> Iterator[ExchangeEvent]:
        """Everything that the bar causes, in order."""
        yield from self._expire()
        met = [item for item in self._book.live(self._bar.symbol) if self._meets(item)]
        if not met or not self._rules.fills_on(self._bar, met[0].order.instrument.market):
            return
        self._left = self._rules.shares_of(self._bar, met[0].order.instrument.lot_size)
        for item in met:
            if item.order.day and item.trading_day is None:
                item.trading_day = day_of_bar(self._bar, item.order.instrument.market)
        steps = (
            self._exit_at_open,
            self._entry_at_open,
            self._entry_inside,
            self._stop,
            self._target,
        )
        for step in steps:
            for item in met:
                if self._book.has(item):
                    yield from step(item)
        for item in met:
            item.rests = True
            if self._book.has(item):
                self._ratchet(item)

    def _expire(self) -> Iterator[ExchangeEvent]:
        for item in self._book.live(self._bar.symbol):
            if not self._book.has(item):
                continue
            until = self._expiry(item)
            if until is not None:
                yield from self._book.end(
                    item, self._bar.timestamp, "EXPIRED", f"it was good until {until}"
                )

    def _expiry(self, item: OpenOrder) -> datetime | date | None:
        """When an order has expired; None if it has not."""
        order, day = item.order, item.trading_day
        if order.expires_at is not None and self._bar.timestamp > order.expires_at:
            return order.expires_at
        # A day is known only of day orders.
        if day is not None and day_of_bar(self._bar, order.instrument.market) > day:
            return day
        return None

    def _meets(self, item: OpenOrder) -> bool:
        return not began_before(self._bar, item.order.as_of)

    def _exit_at_open(self, item: OpenOrder) -> Iterator[ExchangeEvent]:
        order = item.order
        if order.closes is None or self._book.tradable(item) == 0:
            return
        if item.triggered:
            yield from self._fill(item, self._of(order).open, at_open=True)
        elif order.type is not OrderType.STOP:
            yield from self._fill(item, self._at_open(item), at_open=True)

    def _entry_at_open(self, item: OpenOrder) -> Iterator[ExchangeEvent]:
        if item.order.closes is None:
            price = self._of(item.order).open if item.triggered else self._at_open(item)
            yield from self._fill(item, price, at_open=True)

    def _entry_inside(self, item: OpenOrder) -> Iterator[ExchangeEvent]:
        if item.order.closes is None and not item.triggered:
            yield from self._fill(item, self._reached(item), at_open=False)

    def _stop(self, item: OpenOrder) -> Iterator[ExchangeEvent]:
        if item.order.type is OrderType.STOP and not item.triggered:
            yield from self._leave(item)

    def _target(self, item: OpenOrder) -> Iterator[ExchangeEvent]:
        if item.order.type is not OrderType.STOP:
            yield from self._leave(item)

    def _leave(self, item: OpenOrder) -> Iterator[ExchangeEvent]:
        entry = self._book.entry_of(item)
        if entry is None or entry.unsold == 0:
            return
        if entry.order.order_id in self._inside:
            yield from self._fill(item, self._proven(item), at_open=False)
            return
        # The open counts as well: the entry may have been filled at it just now.
        price = self._at_open(item)
        reached = self._reached(item)
        yield from self._fill(item, reached if price is None else price, at_open=price is not None)

    def _proven(self, item: OpenOrder) -> Decimal | None:
        """Where an exit trades whose entry was filled inside this bar; None if it may not have.

        The range may be older than the entry. For a stop it counts all the same, against us; for a
        limit only the close, which is not older.
        """
        quotes, limit = self._of(item.order), item.order.limit_price
        if limit is None:
            price = self._reached(item)
            return None if price is None else min(max(price, quotes.low), quotes.high)
        sells = item.order.side is Side.SELL
        if quotes.close < limit if sells else quotes.close > limit:
            return None
        return max(limit, quotes.low) if sells else min(limit, quotes.high)

    def _of(self, order: ExchangeOrder) -> Quotes:
        quotes = self._quotes.get(order.side)
        if quotes is None:
            quotes = Quotes.of(self._bar, order.side, self._rules.spread_bps)
            self._quotes[order.side] = quotes
        return quotes

    def _at_open(self, item: OpenOrder) -> Decimal | None:
        quotes = self._of(item.order)
        return price_at_open(item.order, item.stop_price, quotes, strict=self._rules.strict)

    def _reached(self, item: OpenOrder) -> Decimal | None:
        quotes = self._of(item.order)
        return price_inside(item.order, item.stop_price, quotes, strict=self._rules.strict)

    def _fill(
        self, item: OpenOrder, price: Decimal | None, *, at_open: bool
    ) -> Iterator[ExchangeEvent]:
        """Trade as much as the bar's volume and the funds allow, where the market is at `price`."""
        if price is None:
            return
        order, at, entry = item.order, self._bar.timestamp, self._book.entry_of(item)
        if order.type is OrderType.STOP and not item.triggered:
            item.triggered = True
            if entry is not None and not entry.is_done:
                yield from self._book.exit_begun(entry, at)
        takes = order.type is not OrderType.LIMIT or not item.rests
        paid = self._rules.price_of(order, price, at, takes_liquidity=takes)
        wanted = self._within_volume(item)
        quantity = self._within_funds(item, wanted, paid)
        if quantity:
            yield self._execution(item, quantity, paid)
            if entry is not None:
                entry.closed += quantity
            else:
                self._start_trails(item, paid)
                if not at_open:
                    self._inside.add(order.order_id)
            yield from self._book.filled(item, at)
        if quantity < wanted:
            reason = f"{wanted} shares at {paid} cannot be paid for"
            yield from self._book.end(item, at, "INSUFFICIENT_FUNDS", reason)

    def _within_volume(self, item: OpenOrder) -> int:
        wanted = self._book.tradable(item)
        if self._left is None or wanted <= self._left:
            return wanted
        return self._left // item.order.instrument.lot_size * item.order.instrument.lot_size

    def _within_funds(self, item: OpenOrder, wanted: int, paid: Decimal) -> int:
        if item.order.side is Side.SELL or item.order.closes is not None:
            return wanted
        lot = item.order.instrument.lot_size
        affordable = self._funds(item.order, paid)
        return wanted if affordable >= wanted else max(affordable, 0) // lot * lot

    def _execution(self, item: OpenOrder, quantity: int, paid: Decimal) -> Execution:
        order, value = item.order, quantity * paid
        before = item.filled, item.value
        schedule = self._rules.fees(order.instrument.market, order.as_of)
        fee = schedule.of_trade(order.side, before, quantity, value)
        item.filled, item.value, item.trades = (
            before[0] + quantity,
            before[1] + value,
            item.trades + 1,
        )
        if self._left is not None:
            self._left -= quantity
        trade_id = f"{order.order_id}-{item.trades}"
        return Execution(
            trade_id,
            order.order_id,
            order.symbol,
            order.side,
            quantity,
            paid,
            fee,
            self._bar.timestamp,
        )

    def _start_trails(self, entry: OpenOrder, paid: Decimal) -> None:
        for item in self._book.exits_of(entry):
            if item.order.is_trailing and item.stop_price is None:
                item.stop_price = item.order.trail_from(paid)

    def _ratchet(self, item: OpenOrder) -> None:
        """Let a trailing stop follow the bar, after the bar was held against its old level."""
        entry, order = self._book.entry_of(item), item.order
        if not order.is_trailing or item.triggered or item.stop_price is None:
            return
        if order.closes is not None and (entry is None or entry.unsold == 0):
            return
        quotes, sells = self._of(order), order.side is Side.SELL
        extreme = quotes.high if sells else quotes.low
        if order.closes in self._inside:
            extreme = quotes.close  # the high may be older than the position
        level = order.trail_from(extreme)
        item.stop_price = max(item.stop_price, level) if sells else min(item.stop_price, level)
