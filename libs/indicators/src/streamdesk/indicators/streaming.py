"""Indicators bar by bar: constant cost a bar, and the very numbers of `batch`.

A TA-Lib stream handle can only be opened on enough history. Until then a part collects its
inputs; from then on it forgets them. Handles cannot be pickled: after a restart, feed the
history again (5,000 instruments take a fifth of a second).
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from talib import stream

from streamdesk.indicators.batch import NEUTRAL_RSI, volume_ratio
from streamdesk.indicators.errors import InputError
from streamdesk.indicators.parameters import Parameters

V = TypeVar("V")
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class IndicatorValues:
    """All indicators at one bar; NaN where there are too few bars yet.

    Prices, bands, averages, MACD and ATR are in the unit of the price; `rsi` is 0 to 100;
    `volume_ratio` is 1 when the volume is usual. Formulas: `streamdesk.indicators.batch`.
    """

    rsi: float = _NAN
    bollinger_upper: float = _NAN
    bollinger_middle: float = _NAN
    bollinger_lower: float = _NAN
    macd: float = _NAN
    macd_signal: float = _NAN
    macd_histogram: float = _NAN
    sma_short: float = _NAN
    sma_long: float = _NAN
    atr: float = _NAN
    volume_ratio: float = _NAN


class IndicatorSet:
    """All indicators of one instrument, fed bar by bar.

    Not thread-safe: one instrument, one set, one caller.
    """

    def __init__(self, parameters: Parameters | None = None) -> None:
        p = parameters or Parameters()
        three = (_NAN, _NAN, _NAN)
        self._rsi = _Rsi(p.rsi)
        self._bands = _Part(
            lambda c: stream.BBANDS(
                c,
                timeperiod=p.bollinger,
                nbdevup=float(p.deviations),
                nbdevdn=float(p.deviations),
            ),
            needed=p.bollinger,
            missing=three,
        )
        self._macd = _Part(
            lambda c: stream.MACD(
                c,
                fastperiod=p.macd_fast,
                slowperiod=p.macd_slow,
                signalperiod=p.macd_signal,
            ),
            needed=p.macd_slow + p.macd_signal - 1,
            missing=three,
        )
        self._short = _Part(
            lambda c: stream.SMA(c, timeperiod=p.sma_short), needed=p.sma_short, missing=_NAN
        )
        self._long = _Part(
            lambda c: stream.SMA(c, timeperiod=p.sma_long), needed=p.sma_long, missing=_NAN
        )
        self._atr = _Part(
            lambda h, low, c: stream.ATR(h, low, c, timeperiod=p.atr),
            needed=p.atr + 1,
            missing=_NAN,
        )
        self._volume = _VolumeRatio(p.volume)
        self._bars = 0
        self._values = IndicatorValues()

    @property
    def bars(self) -> int:
        """Bars taken so far."""
        return self._bars

    @property
    def values(self) -> IndicatorValues:
        """The values at the last bar; all NaN before the first."""
        return self._values

    def update(self, high: float, low: float, close: float, volume: float) -> IndicatorValues:
        """Take one closed bar and give the values at it.

        Raises:
            InputError: a value is not finite, or the volume is negative; the set is unchanged.
        """
        if not all(map(math.isfinite, (high, low, close, volume))):
            raise InputError(
                f"a bar must be finite: high {high}, low {low}, close {close}, volume {volume}"
            )
        if volume < 0:
            raise InputError(f"volume must not be negative, got {volume}")
        upper, middle, lower = self._bands.update(close)
        line, signal, histogram = self._macd.update(close)
        self._bars += 1
        self._values = IndicatorValues(
            rsi=self._rsi.update(close),
            bollinger_upper=upper,
            bollinger_middle=middle,
            bollinger_lower=lower,
            macd=line,
            macd_signal=signal,
            macd_histogram=histogram,
            sma_short=self._short.update(close),
            sma_long=self._long.update(close),
            atr=self._atr.update(high, low, close),
            volume_ratio=self._volume.update(volume),
        )
        return self._values


class _Part(Generic[V]):
    """One TA-Lib handle, and the history it waits for."""

    def __init__(self, start: Callable[..., Any], needed: int, missing: V) -> None:
        self._start = start
        self._needed = needed
        self._missing = missing
        self._history: list[tuple[float, ...]] = []
        self._handle: Any = None

    def update(self, *inputs: float) -> V:
        if self._handle is not None:
            value: V = self._handle.update(*inputs)
            return value
        self._history.append(inputs)
        if len(self._history) < self._needed:
            return self._missing
        columns = np.array(self._history, dtype=np.float64).T
        self._handle = self._start(*map(np.ascontiguousarray, columns))
        self._history.clear()
        first: V = self._handle.value
        return first


class _Rsi:
    """TA-Lib's RSI, neutral where the price stands still; see `batch.rsi`."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._part = _Part(
            lambda c: stream.RSI(c, timeperiod=period), needed=period + 1, missing=_NAN
        )
        self._last = _NAN
        self._unchanged = -1

    def update(self, close: float) -> float:
        self._unchanged = self._unchanged + 1 if close == self._last or self._unchanged < 0 else 0
        self._last = close
        value = self._part.update(close)
        still = value == 0 and self._unchanged >= self._period
        return NEUTRAL_RSI if still else value


class _VolumeRatio:
    """The batch formula over the last `period` + 1 volumes, so that both round alike."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._window: deque[float] = deque(maxlen=period + 1)

    def update(self, volume: float) -> float:
        self._window.append(volume)
        if len(self._window) <= self._period:
            return _NAN
        return float(volume_ratio(np.array(self._window), self._period)[-1])
