"""The bars of one instrument as arrays: what indicators are computed from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import SeriesError

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

COLUMNS = ("open", "high", "low", "close", "volume")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, exactly: floats would lose the last digit of some."""
    return (moment - _EPOCH) // _MILLISECOND


def to_datetime(milliseconds: int) -> datetime:
    """The time of so many milliseconds since 1970, in UTC."""
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


@dataclass(frozen=True, slots=True, eq=False)
class BarSeries:
    """Bars of one instrument and one length, oldest first.

    Args:
        symbol: as in AAPL.US or BTCUSDT.
        interval_seconds: length of a bar.
        timestamps: ends of the bars, ms since 1970, strictly ascending.
        open: first prices, in the currency of the market.
        high: highest prices.
        low: lowest prices.
        close: last prices.
        volume: shares, or coins, traded.

    Raises:
        SeriesError: the arrays are not of one length, of other types than int64 and float64, or
            the times do not ascend.
    """

    symbol: str
    interval_seconds: int
    timestamps: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        """Refuse what indicators would compute nonsense from."""
        times = self.timestamps
        if times.dtype != np.int64 or times.ndim != 1:
            raise SeriesError(f"{self.symbol}: timestamps are {times.dtype}; expected int64")
        for name in COLUMNS:
            values: Floats = getattr(self, name)
            if values.shape != times.shape or values.dtype != np.float64:
                raise SeriesError(
                    f"{self.symbol}: {name} is {values.dtype} of shape {values.shape}; expected "
                    f"float64, one value for each of the {len(times)} timestamps"
                )
        if not (times[1:] > times[:-1]).all():
            raise SeriesError(f"{self.symbol}: timestamps do not ascend; sort them, drop doubles")

    @classmethod
    def of(cls, bars: Sequence[BarClosed]) -> Self:
        """The series of these bars, in whatever order; of two of one time the later named counts.

        Raises:
            SeriesError: there is no bar, or they are not of one instrument and one length.
        """
        kinds = {(bar.symbol, bar.interval_seconds) for bar in bars}
        if len(kinds) != 1:
            raise SeriesError(
                f"a series is of one instrument and one length of bars; got {sorted(kinds)[:5]}"
            )
        [(symbol, interval_seconds)] = kinds
        latest = {to_milliseconds(bar.timestamp): bar for bar in bars}
        times = sorted(latest)
        rows = [
            (bar.open, bar.high, bar.low, bar.close, bar.volume)
            for bar in (latest[time] for time in times)
        ]
        columns = np.ascontiguousarray(np.array(rows, np.float64).T)
        return cls(symbol, interval_seconds, np.array(times, np.int64), *columns)

    @classmethod
    def empty(cls, symbol: str, interval_seconds: int) -> Self:
        """The series without bars."""
        none = np.empty(0, np.float64)
        return cls(symbol, interval_seconds, np.empty(0, np.int64), none, none, none, none, none)

    def __len__(self) -> int:
        return len(self.timestamps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BarSeries):
            return NotImplemented
        return (
            (self.symbol, self.interval_seconds) == (other.symbol, other.interval_seconds)
            and np.array_equal(self.timestamps, other.timestamps)
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in COLUMNS)
        )

    __hash__: Any = None  # arrays can change

    @property
    def as_of(self) -> datetime:
        """The end of the last bar, in UTC.

        Raises:
            SeriesError: there is no bar.
        """
        if not len(self):
            raise SeriesError(f"{self.symbol}: a series without bars has no last one")
        return to_datetime(self.timestamps[-1])

    def last(self, count: int) -> "BarSeries":
        """The newest `count` bars, or all there are; views, not copies."""
        if count >= len(self):
            return self
        part = slice(len(self) - max(0, count), None)
        return BarSeries(
            self.symbol,
            self.interval_seconds,
            self.timestamps[part],
            *(getattr(self, name)[part] for name in COLUMNS),
        )

    def bars(self) -> Iterator[BarClosed]:
        """The bars one by one, oldest first, as events.

        Raises:
            ValidationError: numbers that the contract of a bar refuses.
        """
        columns = (getattr(self, name).tolist() for name in COLUMNS)
        kinds = repeat((self.symbol, self.interval_seconds))
        for (symbol, seconds), time, *row in zip(
            kinds, self.timestamps.tolist(), *columns, strict=False
        ):
            yield BarClosed(
                symbol=symbol,
                timestamp=to_datetime(time),
                interval_seconds=seconds,
                **dict(zip(COLUMNS, row, strict=True)),
            )
