"""The market's present as its bars tell it: mark, time, bar length and ATR of every symbol.

Everything here is event time. The wall clock has no part in it: a replay of 2018 has its present
in 2018.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import BarClosed
from streamdesk.trading.corporate_actions import CorporateAction
from streamdesk.trading.money import PRICE_STEP, price_from
from streamdesk.trading.price_jumps import BelievedPrice

ATR_BARS = 14
"""Wilder, New Concepts in Technical Trading Systems (1978)."""

MAX_SYMBOLS = 50_000
"""Symbols that are remembered; the one without a bar for longest is forgotten first. All of the
US and Hong Kong are about 15,000; a symbol takes some 300 bytes."""


@dataclass(frozen=True, slots=True)
class MarketState:
    """What the desk knows about the market of one symbol.

    Attributes:
        at: end of the symbol's newest bar; of the newest bar of its market, where it has none.
        interval_seconds: length of that bar.
        mark: close of the symbol's newest bar; None: no bar of it is known.
        atr: its average true range over 14 bars, Wilder's, in the market's currency; None before
            the fifteenth bar.
    """

    at: datetime
    interval_seconds: int
    mark: Decimal | None = None
    atr: Decimal | None = None


@dataclass(slots=True)
class _Seen:
    """The newest bar of a symbol, and the way to its ATR."""

    at: datetime
    interval_seconds: int
    close: float
    ranges: int = 0
    average: float = 0.0

    def advance(self, bar: BarClosed) -> None:
        """Take a newer bar."""
        if bar.interval_seconds != self.interval_seconds:
            self.ranges, self.average = 0, 0.0  # ranges of bars of another length do not compare
        else:
            true_range = max(bar.high, self.close) - min(bar.low, self.close)
            self.ranges = min(self.ranges + 1, ATR_BARS)
            # The first average is the mean of the first 14 ranges; Wilder's smoothing follows.
            self.average += (true_range - self.average) / self.ranges
        self.at, self.interval_seconds, self.close = bar.timestamp, bar.interval_seconds, bar.close


class MarketView:
    """Remembers the newest bar of each symbol; bounded, in memory.

    Args:
        max_symbols: how many symbols are remembered.
    """

    def __init__(self, max_symbols: int = MAX_SYMBOLS) -> None:
        self._max_symbols = max_symbols
        self._symbols: OrderedDict[str, _Seen] = OrderedDict()
        self._markets: dict[str, MarketState] = {}

    def see(self, bar: BarClosed) -> None:
        """Take a bar; one that is not newer than the symbol's newest changes nothing."""
        seen = self._symbols.get(bar.symbol)
        if seen is None:
            self._symbols[bar.symbol] = _Seen(bar.timestamp, bar.interval_seconds, bar.close)
            if len(self._symbols) > self._max_symbols:
                self._symbols.popitem(last=False)
        elif bar.timestamp > seen.at:
            seen.advance(bar)
            self._symbols.move_to_end(bar.symbol)
        else:
            return
        market = _market_of(bar.symbol)
        newest = self._markets.get(market)
        if newest is None or bar.timestamp > newest.at:
            self._markets[market] = MarketState(bar.timestamp, bar.interval_seconds)

    def of(self, symbol: str) -> MarketState | None:
        """The market of a symbol; None when no bar of it, nor of its market, is known."""
        seen = self._symbols.get(symbol)
        if seen is None:
            return self._markets.get(_market_of(symbol))
        atr = price_from(seen.average) if seen.ranges == ATR_BARS else None
        mark = max(price_from(seen.close), PRICE_STEP)  # a close below a millionth is not 0
        return MarketState(seen.at, seen.interval_seconds, mark, atr)

    def split(self, action: CorporateAction) -> None:
        """Count a symbol's newest bar in new shares, if it is one of old ones."""
        seen = self._symbols.get(action.symbol)
        if seen is not None and not action.has_begun(seen.at):
            seen.close /= float(action.ratio)
            seen.average /= float(action.ratio)

    def believed(self, symbol: str) -> BelievedPrice | None:
        """The close of the symbol's newest bar; None when no bar of it is known."""
        state = self.of(symbol)
        if state is None or state.mark is None:
            return None
        return BelievedPrice(state.mark, state.at)

    def has_reached(self, symbol: str, at: datetime) -> bool:
        """Whether a bar of this symbol that ends at this time, or later, is known."""
        seen = self._symbols.get(symbol)
        return seen is not None and seen.at >= at

    def knows(self, symbol: str) -> bool:
        """Whether a bar of this symbol is known."""
        return symbol in self._symbols


def _market_of(symbol: str) -> str:
    """The end of a symbol; all pairs without one are one market."""
    return symbol.rpartition(".")[2] if "." in symbol else ""
