"""Whether a bar is too far from the last price that was believed to be acted upon.

A split that nobody announced, and a print that is wrong, look alike: the price is at once somewhere
else. What trades on it sells a sound position, so such a bar is held back until a person, a
corporate action or the market itself says which it was.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import BarClosed
from streamdesk.trading.locks import EntryLock, LockCode
from streamdesk.trading.money import HUNDRED, MOST_PERCENT, price_from

HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class BelievedPrice:
    """The newest price of a symbol that was acted upon.

    Attributes:
        price: close of its bar, more than 0.
        at: end of that bar.
    """

    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class PriceJump:
    """A bar with a price beyond the bound.

    Attributes:
        symbol: of which instrument.
        before: what it is held against.
        price: of the bar's four prices the one that is furthest from it.
        percent: how far it is, of the price before.
        bound_percent: how far it may be.
        at: end of the bar.
    """

    symbol: str
    before: BelievedPrice
    price: Decimal
    percent: Decimal
    bound_percent: Decimal
    at: datetime

    @property
    def is_newer(self) -> bool:
        """Whether the bar came after the price it is held against."""
        return self.at > self.before.at

    def lock(self) -> EntryLock:
        """What keeps the symbol from being bought until it is known what the jump was."""
        reason = (
            f"{self.symbol} is at {self.price} in the bar of {self.at.isoformat()}, "
            f"{self.percent} % from {self.before.price}; at most {self.bound_percent} % are "
            "believed (PRICE_JUMP_PERCENT)"
        )
        return EntryLock(
            symbol=self.symbol,
            code=LockCode.PRICE_JUMP,
            until=None,
            reason=reason,
            made_at=self.at,
            value=self.percent,
            limit=self.bound_percent,
        )


def jump_of(bar: BarClosed, before: BelievedPrice, bound_percent: Decimal) -> PriceJump | None:
    """The jump of a bar; None when all its prices are within the bound, or at it.

    Args:
        bar: any bar of the symbol.
        before: the newest price that was believed.
        bound_percent: of that price; 0: every bar is believed.
    """
    if bound_percent == 0:
        return None
    prices = [price_from(number) for number in (bar.open, bar.high, bar.low, bar.close)]
    price = max(prices, key=lambda each: abs(each - before.price))
    percent = abs(price - before.price) / before.price * HUNDRED
    if percent <= bound_percent:
        return None
    shown = min(percent, MOST_PERCENT).quantize(HUNDREDTH)
    return PriceJump(bar.symbol, before, price, shown, bound_percent, bar.timestamp)
