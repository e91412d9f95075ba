"""Stops that follow the market, and positions that are closed for their age. Pure.

A bar moves a stop for the bars after it: inside one bar the order of prices is not known, so its
high and its low are never held against each other. A market that ends the bar below the new stop
is sold in the next one.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from streamdesk.contracts.events import BarClosed
from streamdesk.trading.decisions import Crossing
from streamdesk.trading.markets import Ticks
from streamdesk.trading.money import HUNDRED, PRICE_STEP, price_from
from streamdesk.trading.orders import Origin
from streamdesk.trading.portfolio import Holding


def raised_stop(
    holding: Holding, bar: BarClosed, atr: Decimal | None, ticks: Ticks
) -> Decimal | None:
    """Where a bar moves the stop of a position; None where it stays.

    The trail is that of LeBeau's chandelier exit: a distance below the highest price since the
    entry. With ATRs the distance of each bar counts for its own high, so a market that becomes
    wilder does not lower the stop.

    Args:
        holding: the position, with its stop and its options.
        bar: newer than the bar of its entry; others move nothing.
        atr: average true range with this bar, market's currency; None while it is not known.
        ticks: of the market; a stop lies on a tick.
    """
    if holding.exits is None or bar.timestamp <= holding.opened_at:
        return None
    levels = [level for level in _levels(holding, bar, atr) if level > 0]
    if not levels:
        return None
    level = ticks.down(holding.market, max(levels), bar.timestamp)
    is_raised = holding.stop_loss is None or level > holding.stop_loss
    return level if is_raised and level > 0 else None


def _levels(holding: Holding, bar: BarClosed, atr: Decimal | None) -> Iterator[Decimal]:
    options, high = holding.exits, price_from(bar.high)
    if options is None:
        return
    if options.trail_percent is not None:
        distance = high * Decimal(repr(options.trail_percent)) / HUNDRED
        yield (high - distance).quantize(PRICE_STEP)
    if options.trail_atr is not None and atr is not None:
        yield (high - Decimal(repr(options.trail_atr)) * atr).quantize(PRICE_STEP)
    if options.break_even_percent is not None:
        gain = Decimal(repr(options.break_even_percent)) / HUNDRED
        if price_from(bar.close) >= holding.average_price * (1 + gain):
            yield holding.average_price


def overdue(holding: Holding, bar: BarClosed) -> Crossing | None:
    """The exit of a position that was held for as long as its options allow; None before."""
    if holding.exits is None or holding.exits.hold_seconds is None:
        return None
    end = holding.opened_at + timedelta(seconds=holding.exits.hold_seconds)
    if bar.timestamp < end or bar.timestamp <= holding.opened_at:
        return None
    close = price_from(bar.close)
    return Crossing(Origin.TIME_EXIT, close, close, bar.timestamp)
