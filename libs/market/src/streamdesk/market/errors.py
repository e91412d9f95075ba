"""What can be wrong with market data and its sources.

MarketError
├── BarError              one bar; it is counted, logged and skipped
│   ├── UnreadableBarError    a field is missing or invalid
│   ├── NotFiniteError        a price or volume is NaN or infinite
│   ├── NegativeVolumeError   the volume is below 0
│   ├── BadPriceError         not above 0, or low, open, close and high do not fit together
│   ├── UnknownSymbolError    not on the watchlist
│   ├── DuplicateBarError     a second bar for one time
│   ├── OutOfOrderBarError    older than the bar before it
│   └── OutlierBarError       many times as high or as low as the price before it
├── BarFileError          a file of bars that cannot be used at all
├── SeriesError           bars that do not form a series
├── UnknownInstrumentError    a source does not have this instrument
├── BarSourceUnavailableError    a source cannot answer now
├── StoreError            the bar store cannot be read or written
└── SessionFileError      a file of special trading hours that cannot be used
"""

from datetime import datetime


class MarketError(ValueError):
    """Base of the errors of this library."""


class BarError(MarketError):
    """One bar that cannot be used.

    Attributes:
        reason: short stable name, for metrics.
    """

    reason = "bar"


class UnreadableBarError(BarError):
    """A field is missing or cannot be read."""

    reason = "unreadable"


class NotFiniteError(BarError):
    """A price or the volume is not a finite number."""

    reason = "not-finite"

    def __init__(self, symbol: str, name: str, value: float) -> None:
        super().__init__(f"{symbol}: {name} is {value}; expected a finite number")


class NegativeVolumeError(BarError):
    """The volume is negative."""

    reason = "negative-volume"

    def __init__(self, symbol: str, volume: float) -> None:
        super().__init__(f"{symbol}: volume is {volume}; expected 0 or more shares")


class BadPriceError(BarError):
    """A price is not above 0, or the prices do not fit together."""

    reason = "bad-price"


class UnknownSymbolError(BarError):
    """A bar of an instrument that is not watched."""

    reason = "unknown-symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol!r} is not on the watchlist; add it there, or leave its bars out")


class DuplicateBarError(BarError):
    """A bar with the time of the one before it."""

    reason = "duplicate"

    def __init__(self, symbol: str, timestamp: datetime) -> None:
        super().__init__(f"{symbol}: a second bar for {timestamp.isoformat()}")


class OutOfOrderBarError(BarError):
    """A bar older than the one before it."""

    reason = "out-of-order"

    def __init__(self, symbol: str, timestamp: datetime, last: datetime) -> None:
        super().__init__(
            f"{symbol}: bar of {timestamp.isoformat()} after the one of {last.isoformat()}"
        )


class OutlierBarError(BarError):
    """A price that is many times as high or as low as the last good one."""

    reason = "outlier"

    def __init__(self, symbol: str, value: float, reference: float, factor: float) -> None:
        super().__init__(
            f"{symbol}: {value} is {factor:g} times or more off the last good price {reference}; "
            "left out unless it lasts"
        )


class BarFileError(MarketError):
    """A file of bars that cannot be used at all."""


class SeriesError(MarketError):
    """Bars that do not form a series; the message names what does not fit."""


class UnknownInstrumentError(MarketError):
    """A source does not have this instrument; asking again does not help.

    Attributes:
        symbol: the instrument asked for.
    """

    def __init__(self, symbol: str, detail: str = "") -> None:
        super().__init__(
            f"{symbol[:40]!r} is not known{f': {detail}' if detail else ''}; "
            "check its spelling, as in AAPL.US, 700.HK or BTCUSDT"
        )
        self.symbol = symbol


class BarSourceUnavailableError(MarketError):
    """A source cannot answer now.

    Attributes:
        retry_after_seconds: when it may be asked again; None where that is not known.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreError(MarketError):
    """The bar store cannot be read or written; the message names the file."""


class SessionFileError(MarketError):
    """A file of special trading hours cannot be used; the message names the line."""
