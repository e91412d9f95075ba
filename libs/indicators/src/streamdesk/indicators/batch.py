"""Indicators over whole arrays: one value for each bar, NaN where there are too few bars yet.

All arrays are float64, oldest bar first, and come back with the length they came with. The
numbers are TA-Lib's (https://ta-lib.org), except for two decisions explained at `rsi` and
`volume_ratio`. `streaming` gives the very same numbers bar by bar.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from streamdesk.indicators.columns import FloatArray, column, columns
from streamdesk.indicators.errors import InputError
from streamdesk.indicators.parameters import Parameters, check_deviations, check_period

NEUTRAL_RSI = 50.0
"""RSI of a price that does not move."""


class Bands(NamedTuple):
    """Bollinger bands, in the unit of the price."""

    upper: FloatArray
    middle: FloatArray
    lower: FloatArray


class Macd(NamedTuple):
    """MACD, in the unit of the price."""

    line: FloatArray
    signal: FloatArray
    histogram: FloatArray


@dataclass(frozen=True, slots=True)
class IndicatorArrays:
    """All indicators of one instrument, one value a bar; the names are those of a stream's."""

    rsi: FloatArray
    bollinger_upper: FloatArray
    bollinger_middle: FloatArray
    bollinger_lower: FloatArray
    macd: FloatArray
    macd_signal: FloatArray
    macd_histogram: FloatArray
    sma_short: FloatArray
    sma_long: FloatArray
    atr: FloatArray
    volume_ratio: FloatArray


def rsi(close: ArrayLike, period: int = 14) -> FloatArray:
    """Relative strength index, 0 to 100.

    RSI = 100 * G / (G + L), where G and L are Wilder's averages of the gains and losses from
    close to close: the mean of the first `period` changes, then
    A = (A[-1] * (period - 1) + change) / period. First value at bar `period` (counted from 0).

    When nothing moved in the last `period` changes and no gain is left in G, TA-Lib answers 0,
    "utterly oversold". A price that does not move is neither oversold nor overbought: 50 here.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978), section VI.

    Raises:
        InputError: not one-dimensional, or a close is not finite.
        ParameterError: `period` is below 2.
    """
    check_period("rsi", period)
    prices = column("close", close)
    if not prices.size:
        return prices
    values = talib.RSI(prices, timeperiod=period)
    bars = np.arange(prices.size)
    changed = np.concatenate(([False], np.diff(prices) != 0))
    last_change = np.maximum.accumulate(np.where(changed, bars, 0))
    values[(values == 0) & (bars - last_change >= period)] = NEUTRAL_RSI
    return values


def bollinger(close: ArrayLike, period: int = 20, deviations: float = 2.0) -> Bands:
    """Bollinger bands: a simple average and, `deviations` standard deviations away, its bands.

    The deviation is the population's, sqrt(mean(x^2) - mean(x)^2) over `period` closes, as
    Bollinger uses it. First value at bar `period - 1`. A price that stands still has three
    equal bands.

    Source: John Bollinger, Bollinger on Bollinger Bands (2001), chapter 7.

    Raises:
        InputError: not one-dimensional, or a close is not finite.
        ParameterError: `period` is below 2 or `deviations` not above 0.
    """
    check_period("bollinger", period)
    check_deviations(deviations)
    prices = column("close", close)
    if not prices.size:
        return Bands(prices, prices, prices)
    return Bands(
        *talib.BBANDS(
            prices, timeperiod=period, nbdevup=float(deviations), nbdevdn=float(deviations)
        )
    )


def macd(close: ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Moving average convergence divergence.

    line = EMA(close, fast) - EMA(close, slow); signal line = EMA(line, signal); histogram =
    line - signal line. EMA = EMA[-1] + 2 / (n + 1) * (x - EMA[-1]), seeded with the mean of its
    first n values; both averages of the close start at bar `slow - 1`, so that they are of the
    same age. First value of all three at bar `slow + signal - 2`.

    Source: Gerald Appel, Technical Analysis: Power Tools for Active Investors (2005), chapter 8.

    Raises:
        InputError: not one-dimensional, or a close is not finite.
        ParameterError: a period is out of range, or `fast` is not less than `slow`.
    """
    Parameters(macd_fast=fast, macd_slow=slow, macd_signal=signal)
    prices = column("close", close)
    if not prices.size:
        return Macd(prices, prices, prices)
    return Macd(*talib.MACD(prices, fastperiod=fast, slowperiod=slow, signalperiod=signal))


def sma(values: ArrayLike, period: int) -> FloatArray:
    """Simple moving average: the mean of the last `period` values; first at bar `period - 1`.

    Raises:
        InputError: not one-dimensional, or a value is not finite.
        ParameterError: `period` is below 2.
    """
    check_period("sma", period)
    numbers = column("values", values)
    return talib.SMA(numbers, timeperiod=period) if numbers.size else numbers


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, period: int = 14) -> FloatArray:
    """Average true range, in the unit of the price.

    True range = max(high, close[-1]) - min(low, close[-1]); ATR is Wilder's average of it: the
    mean of the first `period` ranges, then (ATR[-1] * (period - 1) + range) / period. The first
    bar has no previous close and no range. First value at bar `period`.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978), section III.

    Raises:
        InputError: arrays that are not of one length, or a price that is not finite.
        ParameterError: `period` is below 1.
    """
    check_period("atr", period, 1)
    highs, lows, closes = columns(high=high, low=low, close=close)
    return talib.ATR(highs, lows, closes, timeperiod=period) if closes.size else closes


def volume_ratio(volume: ArrayLike, period: int = 20) -> FloatArray:
    """Volume of a bar over the mean of the `period` volumes before it; 1 is usual.

    The bar itself is left out of the mean (our decision): with it, a burst would hide in its own
    average, and the ratio could never exceed `period`. First value at bar `period`. Where all
    previous volumes are 0 there is nothing to compare with: NaN. Volume 0 after others: 0.

    Raises:
        InputError: not one-dimensional, or a volume is not finite or negative.
        ParameterError: `period` is below 1.
    """
    check_period("volume", period, 1)
    volumes = column("volume", volume)
    if volumes.size and volumes.min() < 0:
        raise InputError(f"volume must not be negative, got {volumes.min()}")
    ratios = np.full(volumes.size, np.nan)
    if volumes.size > period:
        means = sliding_window_view(volumes[:-1], period).mean(axis=1)
        np.divide(volumes[period:], means, out=ratios[period:], where=means > 0)
    return ratios


def compute(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    volume: ArrayLike,
    parameters: Parameters | None = None,
) -> IndicatorArrays:
    """All indicators of one instrument.

    Raises:
        InputError: arrays that are not of one length, a value that is not finite, or a negative
            volume.
    """
    p = parameters or Parameters()
    highs, lows, closes, volumes = columns(high=high, low=low, close=close, volume=volume)
    bands = bollinger(closes, p.bollinger, p.deviations)
    convergence = macd(closes, p.macd_fast, p.macd_slow, p.macd_signal)
    return IndicatorArrays(
        rsi=rsi(closes, p.rsi),
        bollinger_upper=bands.upper,
        bollinger_middle=bands.middle,
        bollinger_lower=bands.lower,
        macd=convergence.line,
        macd_signal=convergence.signal,
        macd_histogram=convergence.histogram,
        sma_short=sma(closes, p.sma_short),
        sma_long=sma(closes, p.sma_long),
        atr=atr(highs, lows, closes, p.atr),
        volume_ratio=volume_ratio(volumes, p.volume),
    )
