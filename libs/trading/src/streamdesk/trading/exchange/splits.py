"""Open orders when shares are split."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from streamdesk.contracts.events import Side
from streamdesk.trading.exchange.book import Book, OpenOrder, OrderUpdate, update_of
from streamdesk.trading.exchange.orders import ExchangeOrder
from streamdesk.trading.markets import Ticks
from streamdesk.trading.money import PRICE_STEP
from streamdesk.trading.orders import OrderState


def split(
    book: Book, symbol: str, ratio: Fraction, ticks: Ticks | None, at: datetime | None
) -> Iterator[OrderUpdate]:
    """Scale every order of a symbol: quantities times `ratio`, prices by it.

    Fractions of a share are dropped; the position's fraction is paid out in cash, which is not the
    exchange's matter. Limits are rounded to the tick that is not worse than what was asked for. An
    order of which no share is left is canceled.

    Args:
        book: changed.
        symbol: whose shares are split.
        ratio: new shares for one old.
        ticks: of the markets; None: prices are not rounded.
        at: end of the last bar at the old prices; None: the orders' own times.
    """
    items = book.of_symbol(symbol)
    for item in items:
        _scale(item, ratio, ticks, at or item.order.as_of)
    for item in items:
        when = at or item.order.as_of
        if item.is_done:
            yield from book.settle(item, when)
        elif not book.has(item):
            continue
        elif item.order.quantity == 0:
            yield from book.end(item, when, "SPLIT", "less than one share is left after a split")
        else:
            yield update_of(item, OrderState.ACCEPTED, when)


def _scale(item: OpenOrder, ratio: Fraction, ticks: Ticks | None, at: datetime) -> None:
    order = item.order
    unsold, remaining = _shares(item.unsold, ratio), _shares(item.remaining, ratio)
    item.closed = _shares(item.closed, ratio)
    item.filled = item.closed + unsold if order.closes is None else _shares(item.filled, ratio)
    item.stop_price = _price(item.stop_price, ratio)
    item.order = replace(
        order,
        quantity=item.filled + remaining,
        limit_price=_limit(order, ratio, ticks, at),
        stop_price=_price(order.stop_price, ratio),
        trail_amount=_price(order.trail_amount, ratio),
        reference_price=_price(order.reference_price, ratio),
    )


def _shares(quantity: int, ratio: Fraction) -> int:
    return quantity * ratio.numerator // ratio.denominator


def _price(price: Decimal | None, ratio: Fraction) -> Decimal | None:
    if price is None:
        return None
    return (price * ratio.denominator / ratio.numerator).quantize(PRICE_STEP)


def _limit(
    order: ExchangeOrder, ratio: Fraction, ticks: Ticks | None, at: datetime
) -> Decimal | None:
    limit = _price(order.limit_price, ratio)
    if limit is None or ticks is None:
        return limit
    market = order.instrument.market
    if order.side is Side.BUY:
        return ticks.down(market, limit, at) or ticks.tick(market, limit, at)
    return ticks.up(market, limit, at)
