"""The exchange's open orders: what has become of each, and which of them close which entry."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.exchange.orders import ExchangeOrder
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import OrderState


@dataclass(frozen=True, slots=True)
class Execution:
    """One trade of an order.

    Attributes:
        trade_id: follows from the order and the number of the trade in it.
        order_id: the order.
        symbol, side: as ordered.
        quantity: shares.
        price, fee: in the market's currency.
        at: end of the bar that filled it.
    """

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    fee: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """What an order is now.

    Attributes:
        order_id, symbol: which.
        state: ACCEPTED (also when its quantity or prices changed), FILLED, CANCELED or REJECTED.
        quantity, filled_quantity: shares ordered, and traded so far.
        at: end of the bar, or the time of the request.
        code, reason: why it is canceled or rejected; the code is stable, for programs.
    """

    order_id: str
    symbol: str
    state: OrderState
    quantity: int
    filled_quantity: int
    at: datetime
    code: str | None = None
    reason: str | None = None


ExchangeEvent = Execution | OrderUpdate


@dataclass(slots=True)
class OpenOrder:
    """An order in the book. Plain data: an adapter can keep it in a row.

    Attributes:
        order: as submitted, or as replaced since.
        sequence: when it came; orders of one kind are matched in this order.
        filled, trades: shares traded so far, and in how many trades.
        value: of these shares, in the market's currency; fees with a minimum need it.
        stop_price: now; a trailing stop moves it.
        triggered: the stop was touched: what is left trades at the next open.
        rests: it has been in the book before the bar, so that it takes no liquidity.
        trading_day: of a day order, the first day that it could trade, at the exchange.
        closed: of an entry, the shares that orders closing it have traded.
        is_done: of an entry that is kept for the orders that close it; it trades no more.
    """

    order: ExchangeOrder
    sequence: int
    filled: int = 0
    trades: int = 0
    value: Decimal = ZERO
    stop_price: Decimal | None = None
    triggered: bool = False
    rests: bool = False
    trading_day: date | None = None
    closed: int = 0
    is_done: bool = False

    @property
    def remaining(self) -> int:
        """Shares still to trade."""
        return self.order.quantity - self.filled

    @property
    def unsold(self) -> int:
        """Of an entry: shares traded that nothing has closed yet."""
        return self.filled - self.closed


@dataclass(frozen=True, slots=True)
class ExchangeState:
    """All that an exchange remembers.

    Attributes:
        orders: open orders, and entries that are done while their position is open.
        seen: end of the newest bar of each symbol.
        sequence: of the newest order.
    """

    orders: tuple[OpenOrder, ...] = ()
    seen: Mapping[str, datetime] = field(default_factory=dict)
    sequence: int = 0


class Book:
    """Open orders by id. Orders that close an entry are one-cancels-the-other.

    Args:
        orders: what is open; copied.
    """

    def __init__(self, orders: Iterable[OpenOrder] = ()) -> None:
        self._orders = {item.order.order_id: replace(item) for item in orders}

    def all(self) -> tuple[OpenOrder, ...]:
        """Copies of everything in the book, in the order in which it came."""
        return tuple(replace(item) for item in self._in_turn(self._orders.values()))

    def find(self, order_id: str) -> OpenOrder | None:
        """An order in the book."""
        return self._orders.get(order_id)

    def add(self, item: OpenOrder) -> None:
        """Take an order in."""
        self._orders[item.order.order_id] = item

    def live(self, symbol: str) -> list[OpenOrder]:
        """Orders of a symbol that can trade, in the order in which they came."""
        return self._in_turn(
            item for item in self._orders.values() if item.order.symbol == symbol and self.has(item)
        )

    def has(self, item: OpenOrder) -> bool:
        """Whether an order can still trade."""
        return not item.is_done and item.order.order_id in self._orders

    def of_symbol(self, symbol: str) -> list[OpenOrder]:
        """Orders of a symbol, entries that are done included."""
        return self._in_turn(o for o in self._orders.values() if o.order.symbol == symbol)

    def entry_of(self, item: OpenOrder) -> OpenOrder | None:
        """The entry that an order closes."""
        return None if item.order.closes is None else self._orders.get(item.order.closes)

    def exits_of(self, entry: OpenOrder) -> list[OpenOrder]:
        """The orders that close an entry."""
        return self._in_turn(
            item for item in self._orders.values() if item.order.closes == entry.order.order_id
        )

    def resize_exits(self, entry: OpenOrder, before: int) -> list[OpenOrder]:
        """Let the exits of a whole entry follow its new quantity, so that all of it is protected.

        Args:
            entry: not done.
            before: its quantity before.
        """
        exits = [item for item in self.exits_of(entry) if item.order.quantity == before]
        for item in exits:
            item.order = replace(item.order, quantity=entry.order.quantity)
        return exits if before != entry.order.quantity else []

    def tradable(self, item: OpenOrder) -> int:
        """Shares that an order may trade now: an exit, what its entry has bought and still has."""
        entry = self.entry_of(item)
        return item.remaining if entry is None else min(item.remaining, entry.unsold)

    def filled(self, item: OpenOrder, at: datetime) -> Iterator[OrderUpdate]:
        """Take note that an order has traded: close it when it is done, and the others with it."""
        entry = self.entry_of(item)
        if item.remaining == 0:
            yield update_of(item, OrderState.FILLED, at)
            yield from self._leave(item, at)
        if entry is not None:
            yield from self.exit_begun(entry, at)

    def exit_begun(self, entry: OpenOrder, at: datetime) -> Iterator[OrderUpdate]:
        """The position is being left: what is left of its entry is not bought any more."""
        if entry.is_done:
            yield from self.settle(entry, at)
        else:
            yield from self.end(entry, at, "EXITED", "the position is being closed")

    def end(self, item: OpenOrder, at: datetime, code: str, reason: str) -> Iterator[OrderUpdate]:
        """Cancel what is left of an order."""
        yield update_of(item, OrderState.CANCELED, at, code, reason)
        yield from self._leave(item, at)

    def _leave(self, item: OpenOrder, at: datetime) -> Iterator[OrderUpdate]:
        if item.order.closes is not None:
            self._orders.pop(item.order.order_id, None)
            return
        # An entry stays while its position is open: it says how much there is to close.
        item.is_done = True
        yield from self.settle(item, at)

    def settle(self, entry: OpenOrder, at: datetime) -> Iterator[OrderUpdate]:
        """Fit the exits of an entry that is done to its position; forget it when that is closed."""
        for item in self.exits_of(entry):
            size = item.filled + self.tradable(item)
            if size == 0:
                yield from self.end(item, at, "NOTHING_TO_CLOSE", "no position is left to close")
                continue
            if size == item.order.quantity:
                continue
            item.order = replace(item.order, quantity=size)
            state = OrderState.FILLED if item.remaining == 0 else OrderState.ACCEPTED
            yield update_of(item, state, at)
            if item.remaining == 0:
                self._orders.pop(item.order.order_id)
        if entry.unsold == 0:
            self._orders.pop(entry.order.order_id, None)

    @staticmethod
    def _in_turn(items: Iterable[OpenOrder]) -> list[OpenOrder]:
        return sorted(items, key=lambda item: item.sequence)


def update_of(
    item: OpenOrder,
    state: OrderState,
    at: datetime,
    code: str | None = None,
    reason: str | None = None,
) -> OrderUpdate:
    """What an order is now, as an event."""
    order = item.order
    return OrderUpdate(
        order.order_id, order.symbol, state, order.quantity, item.filled, at, code, reason
    )
