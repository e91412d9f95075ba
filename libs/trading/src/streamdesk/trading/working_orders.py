"""When an order that is working has to make way: an entry out of time, an exit left behind.

Time is the market's, the end of the newest bar: a replay decides alike at any speed, and while no
market is open nothing expires.
"""

from datetime import datetime
from enum import StrEnum

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.decisions import Crossing
from streamdesk.trading.money import price_from
from streamdesk.trading.orders import Order, Origin

LEAST_BARS = 2
"""Bars for which an entry works at least: it is made at the end of one bar and can be filled in
the next one at the earliest, which is a day later where bars are daily."""
MAX_EXITS = 20
"""Exits of one position before the last one is left to a person: twenty bars of pursuit mean that
nobody buys, and each costs the broker's limit of requests two calls."""


class CancelCode(StrEnum):
    """Why the desk cancels what is left of an order."""

    ENTRY_EXPIRED = "ENTRY_EXPIRED"
    """The entry was not filled in time."""
    STOP_CROSSED = "STOP_CROSSED"
    """The market crossed a stop of what the entry buys."""
    SELL_SIGNAL = "SELL_SIGNAL"
    """A signal sells what the entry buys."""
    SPLIT = "SPLIT"
    """The shares are split: what is left of the order is of old ones."""
    CANCEL_ALL = "CANCEL_ALL"
    """A person cancels every order."""
    CLOSE_ALL = "CLOSE_ALL"
    """A person closes every position; what the entry has not bought is not bought any more."""
    EXIT_PRICED_ANEW = "EXIT_PRICED_ANEW"
    """The market has moved away from the limit of the exit."""


def expires(order: Order, bar: BarClosed, market_time: datetime, timeout_seconds: float) -> bool:
    """Whether an entry has waited too long.

    Args:
        order: any order that is working.
        bar: the newest bar, of any instrument.
        market_time: up to which its symbol's bars are known to have come.
        timeout_seconds: of market time; longer where the market's bars are.
    """
    if order.intent.side is not Side.BUY:
        return False
    age_seconds = (market_time - order.intent.as_of).total_seconds()
    return age_seconds >= max(timeout_seconds, LEAST_BARS * bar.interval_seconds)


def crosses_stop(order: Order, bar: BarClosed) -> bool:
    """Whether a bar after an entry was made is through the stop of what it would buy."""
    intent = order.intent
    is_entry = intent.side is Side.BUY and intent.stop_loss is not None
    is_after = bar.symbol == intent.symbol and bar.timestamp > intent.as_of
    return is_entry and is_after and price_from(bar.low) <= (intent.stop_loss or 0)


def left_behind(order: Order, bar: BarClosed) -> Crossing | None:
    """The exit to make anew when the market is below the limit of one that is working.

    A limit that the market left is not filled before it comes back, and a stop must not wait for
    that.
    """
    intent, close = order.intent, price_from(bar.close)
    if intent.side is Side.BUY or bar.symbol != intent.symbol:
        return None
    if bar.timestamp <= intent.as_of or close >= intent.limit_price:
        return None
    origin = Origin.EXIT if intent.origin is Origin.SIGNAL else intent.origin
    return Crossing(origin, intent.limit_price, close, bar.timestamp)


def cancel_code_for(live: Order, crossed: Crossing) -> CancelCode | None:
    """Why the order that has a symbol must make way for an exit; None when it need not.

    Args:
        live: the symbol's order.
        crossed: what the exit is for.
    """
    if not live.state.is_working or live.contradiction is not None:
        return None
    if live.intent.side is Side.BUY:
        is_by_person = crossed.origin is Origin.CLOSE_ALL
        return CancelCode.CLOSE_ALL if is_by_person else CancelCode.STOP_CROSSED
    is_left = crossed.at > live.intent.as_of and crossed.price < live.intent.limit_price
    return CancelCode.EXIT_PRICED_ANEW if is_left else None
