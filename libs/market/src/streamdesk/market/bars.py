"""What a good bar is."""

import math
from datetime import datetime, timedelta
from itertools import pairwise

from pydantic import ValidationError

from streamdesk.contracts.base import summary
from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import (
    BadPriceError,
    DuplicateBarError,
    NegativeVolumeError,
    NotFiniteError,
    OutOfOrderBarError,
    UnknownSymbolError,
    UnreadableBarError,
)


def make_bar(
    *,
    symbol: str,
    timestamp: datetime,
    interval_seconds: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
) -> BarClosed:
    """A bar of these numbers.

    Args:
        symbol: as in AAPL.US.
        timestamp: end of the bar, with its zone.
        interval_seconds: length of the bar.
        open_: first price.
        high: highest price.
        low: lowest price.
        close: last price.
        volume: shares traded.

    Raises:
        NotFiniteError: a price or the volume is NaN or infinite.
        NegativeVolumeError: the volume is below 0.
        BadPriceError: a price is not above 0, or one lies outside of low to high.
        UnreadableBarError: the symbol or the time is not what the contract asks for.
    """
    prices = {"open": open_, "high": high, "low": low, "close": close}
    check_numbers(symbol, prices, volume)
    try:
        return BarClosed.model_validate(
            {
                "symbol": symbol,
                "timestamp": timestamp,
                "interval_seconds": interval_seconds,
                "volume": volume,
                **prices,
            }
        )
    except ValidationError as error:
        raise UnreadableBarError(f"{symbol}: {summary(error)}") from error


def check_numbers(symbol: str, prices: dict[str, float], volume: float) -> None:
    """Raise the BarError that names what is wrong with these prices and this volume."""
    for name, value in {**prices, "volume": volume}.items():
        if not math.isfinite(value):
            raise NotFiniteError(symbol, name, value)
    if volume < 0:
        raise NegativeVolumeError(symbol, volume)
    for name, value in prices.items():
        if value <= 0:
            raise BadPriceError(f"{symbol}: {name} is {value}; expected more than 0")
    low, high = prices["low"], prices["high"]
    for name, value in prices.items():
        if not low <= value <= high:
            raise BadPriceError(
                f"{symbol}: {name} {value} is not between low {low} and high {high}"
            )


class BarSequence:
    """Decides of each bar whether it may follow those before it.

    Args:
        symbols: the instruments that are watched; None for any.
    """

    def __init__(self, symbols: frozenset[str] | None = None) -> None:
        self._symbols = symbols
        self._last: dict[str, datetime] = {}

    def admit(self, bar: BarClosed) -> None:
        """Take the bar as its instrument's latest, or refuse it and change nothing.

        Raises:
            UnknownSymbolError: the instrument is not watched.
            NotFiniteError, NegativeVolumeError, BadPriceError: its numbers are invalid; a bar
                that was not validated may have such.
            DuplicateBarError: it has the time of the latest bar.
            OutOfOrderBarError: it is older than the latest bar.
        """
        if self._symbols is not None and bar.symbol not in self._symbols:
            raise UnknownSymbolError(bar.symbol)
        prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        check_numbers(bar.symbol, prices, bar.volume)
        last = self._last.get(bar.symbol)
        if last is not None and bar.timestamp <= last:
            if bar.timestamp == last:
                raise DuplicateBarError(bar.symbol, bar.timestamp)
            raise OutOfOrderBarError(bar.symbol, bar.timestamp, last)
        self._last[bar.symbol] = bar.timestamp


def usual_interval_seconds(timestamps: list[datetime], otherwise: int) -> int:
    """Length of an instrument's bars, from their times: the shortest step between two bars.

    Args:
        timestamps: in any order.
        otherwise: the answer for fewer than two different times.
    """
    ordered = sorted(set(timestamps))
    steps = [later - earlier for earlier, later in pairwise(ordered)]
    return max(1, min(steps) // timedelta(seconds=1)) if steps else otherwise
