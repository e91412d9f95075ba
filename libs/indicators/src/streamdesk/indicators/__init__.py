"""Numbers from bars: technical indicators, batch and streaming."""

from streamdesk.indicators.batch import (
    Bands,
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
from streamdesk.indicators.candles import HamaArrays, SignArray, hama
from streamdesk.indicators.columns import FloatArray
from streamdesk.indicators.errors import IndicatorError, InputError, ParameterError
from streamdesk.indicators.parameters import Parameters
from streamdesk.indicators.presets import (
    NSDT,
    PRESETS,
    QUANTDINGER,
    HamaPreset,
    hama_preset,
)
from streamdesk.indicators.stochastic import Kdj, kdj
from streamdesk.indicators.streaming import IndicatorSet, IndicatorValues

__all__ = [
    "NSDT",
    "PRESETS",
    "QUANTDINGER",
    "Bands",
    "FloatArray",
    "HamaArrays",
    "HamaPreset",
    "IndicatorArrays",
    "IndicatorError",
    "IndicatorSet",
    "IndicatorValues",
    "InputError",
    "Kdj",
    "Macd",
    "ParameterError",
    "Parameters",
    "SignArray",
    "atr",
    "bollinger",
    "compute",
    "hama",
    "hama_preset",
    "kdj",
    "macd",
    "rsi",
    "sma",
    "volume_ratio",
]
