"""Instruments, series of bars, and where bars come from."""

from streamdesk.market.errors import (
    BarError,
    BarFileError,
    BarSourceUnavailableError,
    MarketError,
    SeriesError,
    StoreError,
    UnknownInstrumentError,
)
from streamdesk.market.instruments import BUILT_IN, UNIVERSE, Instrument, market_of
from streamdesk.market.series import BarSeries
from streamdesk.market.sources.port import Answers, BarSource

# Sources and the store are imported from their modules: they need the extra `sources`.
__all__ = [
    "BUILT_IN",
    "UNIVERSE",
    "Answers",
    "BarError",
    "BarFileError",
    "BarSeries",
    "BarSource",
    "BarSourceUnavailableError",
    "Instrument",
    "MarketError",
    "SeriesError",
    "StoreError",
    "UnknownInstrumentError",
    "market_of",
]
