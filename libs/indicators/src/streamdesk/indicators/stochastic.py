"""KDJ: where the close stands in the range of the last bars, smoothed twice."""

from typing import NamedTuple

import numpy as np
import talib
from numpy.typing import ArrayLike

from streamdesk.indicators.averages import ema_from
from streamdesk.indicators.columns import FloatArray, columns
from streamdesk.indicators.parameters import check_period

NEUTRAL_KDJ = 50.0
"""Where K and D start, and what a range without height counts as."""


class Kdj(NamedTuple):
    """K and D, 0 to 100 while every close lies in its bar; J, -200 to 300."""

    k: FloatArray
    d: FloatArray
    j: FloatArray


def kdj(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    period: int = 9,
    smooth_k: int = 3,
    smooth_d: int = 3,
) -> Kdj:
    """KDJ, the stochastic oscillator as Chinese charts draw it.

    RSV = 100 * (close - LLV) / (HHV - LLV), with the lowest low and the highest high of the last
    `period` bars, this one included. K = K[-1] + (RSV - K[-1]) / `smooth_k`; D is to K what K is
    to RSV, with `smooth_d`; J = 3K - 2D. K and D are 50 before the first RSV. First value of all
    three at bar `period - 1`. With 3 the weights are the usual 2/3 and 1/3; what is left of the
    seed of 50 after 20 bars is less than 0.02 points of K.

    TA-Lib's STOCH smooths with plain means and gives other numbers.

    Where all `period` bars have one and the same price, the range has no height and RSV is 0 / 0.
    Such a price is neither high nor low: RSV is 50 (our decision, as for the RSI).

    Source: K and D are George Lane's stochastics; J and the seed of 50 as in
    https://www.tickwind.com/en/indicators/technical-stochastic-kdj.

    Raises:
        InputError: arrays that are not of one length, or a price that is not finite.
        ParameterError: a period is below 2.
    """
    for name, bars in (("period", period), ("smooth_k", smooth_k), ("smooth_d", smooth_d)):
        check_period(f"kdj {name}", bars)
    highs, lows, closes = columns(high=high, low=low, close=close)
    k, d, j = (np.full(closes.size, np.nan) for _ in range(3))
    first = period - 1
    if closes.size > first:
        raw = _raw(highs, lows, closes, period)
        # An average that takes 1/n of the news is the exponential one of 2n - 1 bars.
        k[first:] = ema_from(NEUTRAL_KDJ, raw, 2 * smooth_k - 1)
        d[first:] = ema_from(NEUTRAL_KDJ, k[first:], 2 * smooth_d - 1)
        j[first:] = 3 * k[first:] - 2 * d[first:]
    return Kdj(k, d, j)


def _raw(highs: FloatArray, lows: FloatArray, closes: FloatArray, period: int) -> FloatArray:
    first = period - 1
    lowest: FloatArray = talib.MIN(lows, timeperiod=period)[first:]
    height = talib.MAX(highs, timeperiod=period)[first:] - lowest
    raw = np.full(height.size, NEUTRAL_KDJ)
    np.divide(100 * (closes[first:] - lowest), height, out=raw, where=height > 0)
    return raw
