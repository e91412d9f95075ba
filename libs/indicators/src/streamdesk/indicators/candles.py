"""HAMA: candles made of moving averages, a line to compare them with, and Bollinger bands."""

from dataclasses import dataclass

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from streamdesk.indicators.averages import ema_from
from streamdesk.indicators.columns import FloatArray, columns
from streamdesk.indicators.errors import InputError
from streamdesk.indicators.presets import NSDT, HamaPreset

SignArray = NDArray[np.int8]

NOISE = 1e-10
"""Share of the price up to which a difference is rounding, and counts as none."""


@dataclass(frozen=True, slots=True)
class HamaArrays:
    """HAMA of one instrument, one value a bar; NaN, or 0 for a sign, where it is not known yet.

    Attributes:
        open: the candle's open, in the unit of the price, as the next seven.
        high: the candle's high. Averages of other lengths than the body's: it can lie inside it.
        low: the candle's low.
        close: the candle's close.
        line: the line that the candle's close crosses.
        upper: upper Bollinger band of the close.
        middle: middle band.
        lower: lower band.
        width: distance of the outer bands, as a share of the middle one (0.1 is 10 %).
        direction: 1 where the candle's open rose from the bar before, -1 where it fell.
        side: 1 where the candle's close is above the line, -1 where it is below.
        cross: 1 where the candle's close came to lie above the line at this bar, -1 below.
        trend: 1 where the line rose from the bar before, -1 where it fell.
        bands: -1 where the Bollinger bands are squeezed, 1 where they expand.
    """

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    line: FloatArray
    upper: FloatArray
    middle: FloatArray
    lower: FloatArray
    width: FloatArray
    direction: SignArray
    side: SignArray
    cross: SignArray
    trend: SignArray
    bands: SignArray

    @property
    def green(self) -> NDArray[np.bool_]:
        """The candle's colour: green where its open rose, red where it did not."""
        return self.direction > 0


def hama(
    open_: ArrayLike,
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    *,
    preset: HamaPreset = NSDT,
) -> HamaArrays:
    """HAMA, Heikin-Ashi candles of moving averages.

    With o, h, l, c the bars, EMA an exponential average that starts from its first value, and the
    periods of the preset: open = EMA((o[-1] + c[-1]) / 2), high = EMA(max(h, c)),
    low = EMA(min(l, c)), close = EMA((o + h + l + c) / 4). Nothing is recursive but the averages.
    The line is WMA or EMA of (h + l) / 2 or c. An average of n bars has its first value at bar
    n - 1, the open's at bar n.

    Colour: green where the open is above that of the bar before; red otherwise, also where it
    stands still. A crossing: the close is above the line, and at the bar before it was not; or
    the other way round. Differences within `NOISE` of the price count as none: rounding gives a
    price that stands still neither a trend nor crossings.

    Sources: see the presets in `streamdesk.indicators.presets`.

    Raises:
        InputError: arrays that are not of one length, or a price that is not finite or not above 0.
    """
    o, h, lo, c = columns(open=open_, high=high, low=low, close=close)
    _check_positive(open=o, high=h, low=lo, close=c)
    candle_open = np.full(c.size, np.nan)
    candle_open[1:] = _ema((o[:-1] + c[:-1]) / 2, preset.open_period)
    candle_close = _ema((o + h + lo + c) / 4, preset.close_period)
    line = _line(h, lo, c, preset)
    middle, reach = _bands(c, preset)
    width = 2 * reach / middle
    side = _sign(candle_close - line, c)
    return HamaArrays(
        open=candle_open,
        high=_ema(np.maximum(h, c), preset.high_period),
        low=_ema(np.minimum(lo, c), preset.low_period),
        close=candle_close,
        line=line,
        upper=middle + reach,
        middle=middle,
        lower=middle - reach,
        width=width,
        direction=_sign(_change(candle_open), c),
        side=side,
        cross=_crossings(side, np.isfinite(candle_close - line)),
        trend=_sign(_change(line), c),
        bands=_judged(width, preset),
    )


def _check_positive(**named: FloatArray) -> None:
    for name, prices in named.items():
        if prices.size and prices.min() <= 0:
            bar = int(prices.argmin())
            raise InputError(f"{name} at bar {bar} must be above 0, got {prices[bar]}")


def _ema(values: FloatArray, period: int) -> FloatArray:
    if not values.size:
        return values
    average = ema_from(float(values[0]), values, period)
    average[: period - 1] = np.nan
    return average


def _line(h: FloatArray, lo: FloatArray, c: FloatArray, preset: HamaPreset) -> FloatArray:
    source = (h + lo) / 2 if preset.line_of == "hl2" else c
    if preset.line_kind == "ema" or not c.size:
        return _ema(source, preset.line_period)
    line: FloatArray = talib.WMA(source, timeperiod=preset.line_period)
    return line


def _bands(c: FloatArray, preset: HamaPreset) -> tuple[FloatArray, FloatArray]:
    """Middle band, and the distance of the outer ones from it."""
    if not c.size:
        return c, c
    period = preset.bands_period
    deviation: FloatArray = talib.STDDEV(c, timeperiod=period, nbdev=1.0)
    if preset.sample_deviation:
        deviation *= np.sqrt(period / (period - 1))
    middle = _ema(c, period) if preset.bands_kind == "ema" else talib.SMA(c, timeperiod=period)
    return middle, preset.deviations * deviation


def _judged(width: FloatArray, preset: HamaPreset) -> SignArray:
    measure = width if preset.rank_period is None else _rank(width, preset)
    judged = np.zeros(width.size, dtype=np.int8)
    judged[measure < preset.squeeze_below] = -1
    judged[measure > preset.expansion_above] = 1
    return judged


def _rank(width: FloatArray, preset: HamaPreset) -> FloatArray:
    """Share of the other widths that are smaller, 0 to 1; equal ones count half."""
    ranks = np.full(width.size, np.nan)
    period = preset.rank_period or 2
    known = width[preset.bands_period - 1 :]
    if known.size >= period:
        windows = sliding_window_view(known, period)
        now = windows[:, -1:]
        smaller = np.count_nonzero(windows < now, axis=1)
        equal = np.count_nonzero(windows == now, axis=1) - 1  # but for the bar itself
        ranks[width.size - len(windows) :] = (smaller + equal / 2) / (period - 1)
    return ranks


def _change(values: FloatArray) -> FloatArray:
    return np.diff(values, prepend=np.nan)


def _sign(difference: FloatArray, price: FloatArray) -> SignArray:
    # Where the difference is NaN, the comparison is false: 0.
    return np.where(np.abs(difference) > NOISE * price, np.sign(difference), 0).astype(np.int8)


def _crossings(side: SignArray, known: NDArray[np.bool_]) -> SignArray:
    crossings = np.zeros(side.size, dtype=np.int8)
    now, before = side[1:], side[:-1]
    crossings[1:] = np.where((now > 0) & (before <= 0), 1, 0) - ((now < 0) & (before >= 0))
    crossings[1:][~known[:-1]] = 0
    return crossings
