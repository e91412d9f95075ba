"""Stops that follow the market. Pure.

A bar moves a stop for the bars after it: inside one bar the order of prices is not known, so its
high and its low are never held against each other. A market that ends the bar below the new stop
is sold in the next one.
"""

from collections.abc import Iterator
from decimal import Decimal

from streamdesk.contracts.events import BarClosed, ExitOptions
from streamdesk.trading.markets import MarketCode, Ticks
from streamdesk.trading.money import HUNDRED, PRICE_STEP, ZERO, price_from
from streamdesk.trading.portfolio import Holding
from streamdesk.trading.risk import TradeRequest


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
    wanted = max(_levels(holding.exits, holding, bar, atr), default=ZERO)
    if wanted <= 0:
        return None
    level = ticks.down(holding.market, wanted, bar.timestamp)
    is_raised = holding.stop_loss is None or level > holding.stop_loss
    return level if is_raised and level > 0 else None


def first_stop(request: TradeRequest, market: MarketCode, ticks: Ticks) -> Decimal | None:
    """The stop of what a signal buys: its own, or where its trail begins; None without both."""
    if request.stop_loss is not None or request.exits is None:
        return request.stop_loss
    atr = None if request.market is None else request.market.atr
    wanted = max(_trails(request.exits, request.market_price, atr), default=ZERO)
    level = ticks.down(market, wanted, request.as_of) if wanted > 0 else ZERO
    return level if level > 0 else None


def _trails(exits: ExitOptions, price: Decimal, atr: Decimal | None) -> Iterator[Decimal]:
    """The levels at the trails' distances below a price; not on a tick."""
    if exits.trail_percent is not None:
        distance = price * Decimal(repr(exits.trail_percent)) / HUNDRED
        yield (price - distance).quantize(PRICE_STEP)
    if exits.trail_atr is not None and atr is not None:
        yield (price - Decimal(repr(exits.trail_atr)) * atr).quantize(PRICE_STEP)


def _levels(
    exits: ExitOptions, holding: Holding, bar: BarClosed, atr: Decimal | None
) -> Iterator[Decimal]:
    yield from _trails(exits, price_from(bar.high), atr)
    if exits.break_even_percent is not None:
        gain = Decimal(repr(exits.break_even_percent)) / HUNDRED
        if price_from(bar.close) >= holding.average_price * (1 + gain):
            yield holding.average_price
