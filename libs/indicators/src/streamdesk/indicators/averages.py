"""Averages that TA-Lib has in another form."""

import numpy as np
import talib

from streamdesk.indicators.columns import FloatArray


def ema_from(seed: float, values: FloatArray, period: int) -> FloatArray:
    """Exponential average that starts from `seed`, one value for each of `values`.

    E = E[-1] + 2 / (period + 1) * (x - E[-1]), with E[-1] = `seed` before the first value. TA-Lib
    starts from the mean of the first `period` values instead, so it is given the seed that many
    times in front.

    Args:
        seed: the average before the first value.
        values: finite numbers.
        period: bars, 2 or more.
    """
    if not values.size:
        return values
    fronted = np.concatenate((np.full(period, seed), values))
    average: FloatArray = talib.EMA(fronted, timeperiod=period)
    return average[period:]
