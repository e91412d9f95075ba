"""Which bars are wrong prints: far from the last good price, and gone again soon.

A decimal point in the wrong place, or a price of another share, lasts a bar. What lasts longer is
true, or a split: it is passed on, and whoever trades on it decides. So nothing is hidden
indefinitely, and every bar that is left out is an error of its own.
"""

from dataclasses import dataclass

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import OutlierBarError


@dataclass(slots=True)
class _Prices:
    """What a symbol's next bar is held against.

    Attributes:
        good: close of the last bar that was passed on.
        doubtful: close of the last one that was not; 0 without one since.
        in_a_row: how many were not, close to one another.
    """

    good: float
    doubtful: float = 0.0
    in_a_row: int = 0


class OutlierFilter:
    """Holds each bar against its symbol's last good price.

    Args:
        factor: a price so many times as high or as low is doubtful; 0: none is.
        bars: so many doubtful bars in a row, close to one another, are believed.
    """

    def __init__(self, factor: float, bars: int) -> None:
        self._factor = factor
        self._bars = bars
        self._symbols: dict[str, _Prices] = {}

    def admit(self, bar: BarClosed) -> bool:
        """Take the bar as good, or refuse it as doubtful.

        Returns:
            Whether its price had been doubtful before, and has lasted.

        Raises:
            OutlierBarError: it is one of fewer than `bars` so far.
        """
        if not self._factor:
            return False
        prices = self._symbols.setdefault(bar.symbol, _Prices(bar.close))
        value = self._furthest(bar, prices.good)
        if value is not None:
            is_close = prices.in_a_row and self._furthest(bar, prices.doubtful) is None
            prices.in_a_row = prices.in_a_row + 1 if is_close else 1
            prices.doubtful = bar.close
            if prices.in_a_row < self._bars:
                raise OutlierBarError(bar.symbol, value, prices.good, self._factor)
        prices.good, prices.in_a_row = bar.close, 0
        return value is not None

    def _furthest(self, bar: BarClosed, good: float) -> float | None:
        """The bar's low or high, where it is so many times off; None where neither is."""
        if bar.low * self._factor <= good:
            return bar.low
        return bar.high if bar.high >= good * self._factor else None
