"""Numbers from bars: technical indicators, batch and streaming."""

from streamdesk.indicators.batch import (
    Bands,
    FloatArray,
    IndicatorArrays,
    Macd,
    atr,
    bollinger,
    compute,
    macd,
    rsi,
    sma,
    volume_ratio,
)
from streamdesk.indicators.errors import IndicatorError, InputError, ParameterError
from streamdesk.indicators.parameters import Parameters
from streamdesk.indicators.streaming import IndicatorSet, IndicatorValues

__all__ = [
    "Bands",
    "FloatArray",
    "IndicatorArrays",
    "IndicatorError",
    "IndicatorSet",
    "IndicatorValues",
    "InputError",
    "Macd",
    "ParameterError",
    "Parameters",
    "atr",
    "bollinger",
    "compute",
    "macd",
    "rsi",
    "sma",
    "volume_ratio",
]
