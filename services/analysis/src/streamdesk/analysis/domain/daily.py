"""Daily bars from shorter ones."""

import numpy as np

from streamdesk.analysis.domain.job import DAY_SECONDS
from streamdesk.market.series import BarSeries

_DAY_MS = DAY_SECONDS * 1000


def daily(series: BarSeries) -> BarSeries:
    """One bar for each UTC day of a series: first, highest, lowest and last price, all volume.

    Each ends with its day's last bar. A bar that ends at midnight belongs to the day before it.
    The UTC day has a whole session of New York and of Hong Kong.
    """
    if not len(series):
        return BarSeries.empty(series.symbol, DAY_SECONDS)
    days = (series.timestamps - 1) // _DAY_MS
    first = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1])))
    last = np.concatenate((first[1:], [len(series)])) - 1
    return BarSeries(
        series.symbol,
        DAY_SECONDS,
        series.timestamps[last],
        open=series.open[first],
        high=np.maximum.reduceat(series.high, first),
        low=np.minimum.reduceat(series.low, first),
        close=series.close[last],
        volume=np.add.reduceat(series.volume, first),
    )
