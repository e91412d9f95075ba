"""How the paper broker fills an order: the same order is always filled the same way.

The dice are a hash of what was ordered (not of ids, which differ from run to run): whole orders
are filled in one to three trades, each at a price between the reference price and the limit,
rounded against us to the tick.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.identity import moment
from streamdesk.trading.markets import Ticks, TradableInstrument
from streamdesk.trading.sizing import BPS

MOST_TRADES = 3


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """What the paper broker is asked for.

    Attributes:
        instrument: what to trade.
        side, quantity, limit_price: the order.
        reference_price: where the market is.
        as_of: the time of that price.
    """

    instrument: TradableInstrument
    side: Side
    quantity: int
    limit_price: Decimal
    reference_price: Decimal
    as_of: datetime


class Dice:
    """Numbers that follow from a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._throws = 0

    def throw(self, sides: int) -> int:
        """0 to sides - 1."""
        self._throws += 1
        digest = hashlib.sha256(f"{self._text}#{self._throws}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % sides


def fills(
    order: PaperOrder, ticks: Ticks, slippage_bps: Decimal
) -> tuple[tuple[int, Decimal], ...]:
    """Quantity and price of each trade; together the whole order, none beyond the limit.

    Args:
        order: the order.
        ticks: the markets' price steps.
        slippage_bps: most that a trade slips from the reference price, in hundredths of a percent.
    """
    parts = order.side.value, str(order.quantity), f"{order.limit_price:f}", moment(order.as_of)
    dice = Dice("|".join((order.instrument.symbol, *parts)))
    return tuple(
        (quantity, _price(order, ticks, slippage_bps * dice.throw(1001) / 1000))
        for quantity in _split(order, dice)
    )


def _split(order: PaperOrder, dice: Dice) -> list[int]:
    lot = order.instrument.lot_size
    lots, odd = divmod(order.quantity, lot)
    wanted = 1 + dice.throw(MOST_TRADES)
    sizes: list[int] = []
    # Each of the trades to come keeps at least one lot; an odd rest goes to the last.
    for left in range(min(wanted, max(lots, 1)) - 1, 0, -1):
        part = 1 + dice.throw(lots - left)
        sizes.append(part * lot)
        lots -= part
    return [*sizes, lots * lot + odd]


def _price(order: PaperOrder, ticks: Ticks, bps: Decimal) -> Decimal:
    market = order.instrument.market
    if order.side is Side.BUY:
        slipped = ticks.up(market, order.reference_price * (1 + bps / BPS), order.as_of)
        return min(slipped, order.limit_price)
    slipped = ticks.down(market, order.reference_price * (1 - bps / BPS), order.as_of)
    return max(slipped, order.limit_price)
