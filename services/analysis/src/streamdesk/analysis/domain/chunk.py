"""A chunk of stocks: its bars, and the indicators computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamdesk.analysis.domain.job import VALUES
from streamdesk.indicators import IndicatorError, atr, bollinger, kdj, macd, rsi, sma

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

_NEVER: Times = np.empty(0, np.int64)

AVERAGES = (5, 10, 20, 60)
FEWEST_BARS = AVERAGES[0]
"""With fewer bars than this there is no value at all."""


class Bars(Protocol):
    """The columns of a series that indicators are computed from."""

    @property
    def symbol(self) -> str:
        """As in AAPL.US."""
        ...

    @property
    def timestamps(self) -> Times:
        """Ends of the bars, ms since 1970, ascending."""
        ...

    @property
    def high(self) -> Floats:
        """Highest prices."""
        ...

    @property
    def low(self) -> Floats:
        """Lowest prices."""
        ...

    @property
    def close(self) -> Floats:
        """Last prices."""
        ...


@dataclass(frozen=True, slots=True)
class ChunkBars:
    """Bars of several stocks in a few large arrays: many small ones would be slow to send.

    Args:
        symbols: of the chunk, in order.
        counts: number of bars of each.
        as_of: end of the last bar of each, ms since 1970; 0 without a bar.
        prices: three rows: highs, lows and closes; one stock after the other.
    """

    symbols: tuple[str, ...]
    counts: NDArray[np.int64]
    as_of: Times
    prices: Floats

    @classmethod
    def of(cls, symbols: Sequence[str], found: Sequence[Bars | None]) -> "ChunkBars":
        """The chunk of these symbols and their bars; None for a symbol without bars."""
        there = [series for series in found if series is not None and len(series.timestamps)]
        columns = [
            np.concatenate([np.empty(0), *(getattr(series, name) for series in there)])
            for name in ("high", "low", "close")
        ]
        times = [_NEVER if series is None else series.timestamps for series in found]
        return cls(
            symbols=tuple(symbols),
            counts=np.array([len(one) for one in times], np.int64),
            as_of=np.array([one[-1] if len(one) else 0 for one in times], np.int64),
            prices=np.array(columns, np.float64),
        )


@dataclass(frozen=True, slots=True)
class ChunkValues:
    """The values of a chunk: one row a stock, in the order of its symbols.

    Args:
        symbols: of the chunk.
        counts: number of bars that the values of each are from.
        as_of: end of the last bar of each, ms since 1970; 0 without a bar.
        values: a column for each of VALUES; NaN where there are too few bars for it.
        errors: why a stock failed; empty for one that did not.
    """

    symbols: tuple[str, ...]
    counts: NDArray[np.int64]
    as_of: Times
    values: Floats
    errors: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def failed(self) -> dict[str, str]:
        """The reasons, by symbol."""
        pairs = zip(self.symbols, self.errors, strict=True)
        return {symbol: error for symbol, error in pairs if error}

    def indicators(self, at: int) -> dict[str, float]:
        """The values of one stock by name, without the missing ones."""
        row = zip(VALUES, self.values[at].tolist(), strict=True)
        return {name: value for name, value in row if value == value}  # noqa: PLR0124 - false for NaN alone


def compute(bars: ChunkBars) -> ChunkValues:
    """The nine indicators of each stock; one that fails stops no other."""
    values = np.full((len(bars.symbols), len(VALUES)), np.nan)
    errors = []
    ends = np.cumsum(bars.counts)
    for at, (end, count) in enumerate(zip(ends.tolist(), bars.counts.tolist(), strict=True)):
        high, low, close = bars.prices[:, end - count : end]
        error = ""
        if count < FEWEST_BARS:
            error = f"{count} daily bars; the first value needs {FEWEST_BARS}"
        else:
            try:
                values[at] = latest(high, low, close)
            except IndicatorError as problem:
                error = str(problem)
        errors.append(error)
    return ChunkValues(bars.symbols, bars.counts, bars.as_of, values, tuple(errors))


def latest(high: Floats, low: Floats, close: Floats) -> list[float]:
    """The last value of each of VALUES, in their order; NaN where there are too few bars.

    Raises:
        InputError: a price is not finite.
    """
    convergence = macd(close, 12, 26, 9)  # first: its error names a price that is not finite
    columns = (
        *(sma(close, period) for period in AVERAGES),
        *convergence,
        rsi(close, 14),
        *bollinger(close, 20, 2.0),
        atr(high, low, close, 14),
        *kdj(high, low, close, 9, 3, 3),
    )
    return [column[-1] for column in columns]
