"""What the exchange refuses, with a stable code."""

from collections.abc import Sequence
from decimal import Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.exchange.book import Book
from streamdesk.trading.exchange.orders import ExchangeOrder, OrderType, other
from streamdesk.trading.exchange.rules import ExchangeRules

Refusal = tuple[str, str]
"""Code and reason."""


def refusal(
    order: ExchangeOrder, together: Sequence[ExchangeOrder], book: Book, rules: ExchangeRules
) -> Refusal | None:
    """Why an order is refused, None if it is taken.

    Codes: QUANTITY, LOT_SIZE, PRICE_MISSING, PRICE_TICK, STOP_SIDE, TARGET_SIDE, UNKNOWN_ENTRY.

    Args:
        order: the order.
        together: the orders submitted in the same call.
        book: what is open.
        rules: the price ticks.
    """
    return (
        _quantity(order)
        or _prices(order)
        or _ticks(order, rules)
        or _entry(order, together, book)
        or _side_of_market(order, together)
    )


def _quantity(order: ExchangeOrder) -> Refusal | None:
    if order.quantity <= 0:
        return "QUANTITY", f"a quantity of {order.quantity} cannot be traded"
    # What closes a position may be an odd lot: splits and partial fills leave such positions.
    if order.closes is None and order.quantity % order.instrument.lot_size:
        return "LOT_SIZE", f"{order.quantity} is no multiple of {order.instrument.lot_size}"
    return None


def _prices(order: ExchangeOrder) -> Refusal | None:
    wanted = {
        OrderType.MARKET: True,
        OrderType.LIMIT: order.limit_price is not None,
        OrderType.STOP: order.stop_price is not None
        or (order.is_trailing and (order.closes or order.reference_price) is not None),
    }
    if not wanted[order.type]:
        return "PRICE_MISSING", f"a {order.type} order needs its price"
    numbers = order.limit_price, order.stop_price, order.trail_amount, order.trail_percent
    if any(number is not None and number <= 0 for number in numbers):
        return "PRICE_MISSING", f"prices and distances are above 0, not {numbers}"
    if order.type is not OrderType.LIMIT and order.limit_price is not None:
        return "PRICE_MISSING", f"a {order.type} order has no limit"
    return None


def _ticks(order: ExchangeOrder, rules: ExchangeRules) -> Refusal | None:
    limit, market = order.limit_price, order.instrument.market
    if rules.ticks is None or limit is None or rules.ticks.is_on_tick(market, limit, order.as_of):
        return None
    return "PRICE_TICK", f"{limit} is not on the tick"


def _entry(order: ExchangeOrder, together: Sequence[ExchangeOrder], book: Book) -> Refusal | None:
    if order.closes is None:
        return None
    item = book.find(order.closes)
    entry = item.order if item else next((o for o in together if o.order_id == order.closes), None)
    if entry is None or entry.closes is not None:
        return "UNKNOWN_ENTRY", f"no position of entry {order.closes} is open or being opened"
    if (entry.symbol, entry.side) != (order.symbol, other(order.side)):
        return "UNKNOWN_ENTRY", f"{order.closes} is an entry of {entry.symbol}, {entry.side}"
    return None


def _side_of_market(order: ExchangeOrder, together: Sequence[ExchangeOrder]) -> Refusal | None:
    """A stop that the market has passed already would sell at once; so would such a target."""
    reference = order.reference_price
    if reference is None:
        return None
    up, stop, limit = order.side is Side.BUY, order.stop_price, order.limit_price
    if stop is not None and not _beyond(stop, reference, up=up):
        return "STOP_SIDE", _wrong(order, "stop", stop, reference)
    attached = any(entry.order_id == order.closes for entry in together)
    if attached and limit is not None and not _beyond(limit, reference, up=not up):
        return "TARGET_SIDE", _wrong(order, "target", limit, reference)
    return None


def _beyond(price: Decimal, reference: Decimal, *, up: bool) -> bool:
    return price > reference if up else price < reference


def _wrong(order: ExchangeOrder, name: str, price: Decimal, reference: Decimal) -> str:
    return f"a {order.side} {name} at {price} is on the wrong side of the market at {reference}"
