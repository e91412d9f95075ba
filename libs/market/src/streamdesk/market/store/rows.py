"""Bars of many instruments as columns, and as the bytes of a Parquet file."""

import io
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from arro3.core import (
    Array,
    DataType,
    RecordBatch,
    Table,
    dictionary_dictionary,
    dictionary_indices,
)
from arro3.io import read_parquet, write_parquet
from numpy.typing import NDArray

from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.market.errors import StoreError
from streamdesk.market.series import COLUMNS, BarSeries, Floats, Times, to_milliseconds

Codes = NDArray[np.int32]

_SYMBOL = DataType.dictionary(DataType.int32(), DataType.utf8())
_TIME = DataType.timestamp("ms", tz="UTC")
_COMPRESSION = "lz4_raw"  # read several times faster than zstd, for half as much again on disk
_DAY_MS = 86_400_000
_NAMES = ("symbol", "timestamp", *COLUMNS, "written")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Bars of one length, by symbol and then by time; no two of one symbol and time.

    Args:
        symbols: names, ascending; some may have no row.
        codes: of each row, the place of its symbol in `symbols`.
        timestamps: end of each bar, ms since 1970.
        values: open, high, low, close and volume of each row.
        written: when each row was written, ns since 1970: of two rows of one bar the later counts.
    """

    symbols: tuple[str, ...]
    codes: Codes
    timestamps: Times
    values: tuple[Floats, ...]
    written: Times

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """Memory that they take, roughly."""
        return (4 + 8 + 8 * len(COLUMNS) + 8) * len(self)

    def take(self, index: NDArray[Any] | slice) -> "Rows":
        """Some of the rows; they keep their order."""
        return Rows(
            self.symbols,
            self.codes[index],
            self.timestamps[index],
            tuple(column[index] for column in self.values),
            self.written[index],
        )

    def newest(self, count: int, wanted: frozenset[str] | None) -> "Rows":
        """The last `count` rows of each symbol that is wanted; None for all."""
        lengths = np.bincount(self.codes, minlength=len(self.symbols))
        kept = np.minimum(lengths, count)
        if wanted is not None:
            asked = np.zeros(len(self.symbols), np.bool_)
            asked[self._places(wanted)] = True
            kept[~asked] = 0
        total = int(kept.sum())
        if total == len(self):
            return self
        # Row by row of each symbol: where its rows end, less how many of its rows are to come.
        ends = np.repeat(np.cumsum(lengths), kept)
        left = np.repeat(np.cumsum(kept), kept) - np.arange(total)
        return self.take(ends - left)

    def _places(self, wanted: frozenset[str]) -> list[int]:
        """Where the wanted symbols stand; most of a market's thousands are not wanted."""
        places = ((bisect_left(self.symbols, symbol), symbol) for symbol in wanted)
        return [at for at, symbol in places if self.symbols[at : at + 1] == (symbol,)]

    def split_by_day(self) -> Iterable[tuple[int, "Rows"]]:
        """The rows of each day, with its number since 1970-01-01 UTC."""
        days = self.timestamps // _DAY_MS
        for day in np.unique(days).tolist():
            yield day, self.take(days == day)


def rows_of_bars(bars: Sequence[BarClosed]) -> Rows:
    """Rows of bars of one length; of two of one symbol and time the later named counts.

    `written` is 0, for the store to set.
    """
    symbols = tuple(sorted({bar.symbol for bar in bars}))
    places = {symbol: place for place, symbol in enumerate(symbols)}
    numbers = [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]
    return _sorted(
        Rows(
            symbols,
            np.array([places[bar.symbol] for bar in bars], np.int32),
            np.array([to_milliseconds(bar.timestamp) for bar in bars], np.int64),
            tuple(np.ascontiguousarray(np.array(numbers, np.float64).T)),
            np.zeros(len(bars), np.int64),
        )
    )


def rows_of_series(series: Sequence[BarSeries]) -> Rows:
    """Rows of series of one length, as `rows_of_bars`."""
    symbols = tuple(sorted({each.symbol for each in series}))
    places = {symbol: place for place, symbol in enumerate(symbols)}
    lengths = [len(each) for each in series]
    return _sorted(
        Rows(
            symbols,
            np.repeat(np.array([places[each.symbol] for each in series], np.int32), lengths),
            np.concatenate([each.timestamps for each in series]),
            tuple(np.concatenate([getattr(each, name) for each in series]) for name in COLUMNS),
            np.zeros(sum(lengths), np.int64),
        )
    )


def merged(several: Sequence[Rows]) -> Rows:
    """All rows; of two of one symbol and time the one written later counts."""
    if len(several) == 1:
        return several[0]
    symbols = tuple(sorted(set().union(*(rows.symbols for rows in several))))
    places = {symbol: place for place, symbol in enumerate(symbols)}
    return _sorted(
        Rows(
            symbols,
            np.concatenate([renumbered(rows, places) for rows in several]),
            np.concatenate([rows.timestamps for rows in several]),
            tuple(
                np.concatenate([rows.values[place] for rows in several])
                for place in range(len(COLUMNS))
            ),
            np.concatenate([rows.written for rows in several]),
        )
    )


def renumbered(rows: Rows, places: dict[str, int]) -> Codes:
    """The codes of rows by the places that another table gives their symbols."""
    return np.array([places[symbol] for symbol in rows.symbols], np.int32)[rows.codes]


def _sorted(rows: Rows) -> Rows:
    """By symbol and time; of two of one symbol and time the one written later, or named later."""
    order = np.lexsort((rows.written, rows.timestamps, rows.codes))
    codes, times = rows.codes[order], rows.timestamps[order]
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = (codes[1:] != codes[:-1]) | (times[1:] != times[:-1])
    return rows.take(order[is_last])


def to_parquet(rows: Rows) -> bytes:
    """The bytes of a Parquet file with these rows."""
    present, codes = np.unique(rows.codes, return_inverse=True)
    names = Array([rows.symbols[place] for place in present.tolist()], DataType.utf8())
    symbols = names.cast(_SYMBOL).take(Array(codes.astype(np.int32)))
    times = Array(rows.timestamps).cast(_TIME)
    columns = [symbols, times, *(Array(column) for column in rows.values), Array(rows.written)]
    file = io.BytesIO()
    write_parquet(
        Table.from_arrays(columns, names=list(_NAMES)),
        file,
        compression=_COMPRESSION,
        # Numbers that seldom repeat: a dictionary of them is larger than they are.
        column_dictionary_enabled=dict.fromkeys(COLUMNS, False),
    )
    return file.getvalue()


def from_parquet(content: bytes, name: str) -> Rows:
    """The rows of a file that `to_parquet` made.

    Args:
        content: its bytes.
        name: its name in errors.

    Raises:
        StoreError: it is not such a file.
    """
    try:
        table = read_parquet(content, batch_size=max(1, len(content))).read_all()
        return merged([_rows(batch) for batch in table.combine_chunks().to_batches()])
    except BaseException as error:
        # arro3 panics on a broken footer; the class it raises then is not an Exception, and
        # cannot be imported.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise StoreError(
                f"{name} is not a file of bars: {error}; move it away to continue without it"
            ) from error
        raise


class _Names:
    """The table of symbols read last: most days of a market have the very same one."""

    last: tuple[Array, tuple[str, ...], bool] | None = None

    @classmethod
    def of(cls, table: Array) -> tuple[tuple[str, ...], bool]:
        """The symbols of a table in our spelling, and whether they ascend.

        To compare tables is a hundred times faster than to read one.
        """
        last = cls.last
        if last is None or last[0] != table:
            names = tuple(canonical_symbol(name) for name in table.to_pylist())
            ascend = all(name < after for name, after in pairwise(names))
            cls.last = last = (table, names, ascend)
        return last[1], last[2]


def _rows(batch: RecordBatch) -> Rows:
    column = batch.column("symbol")
    names, ascend = _Names.of(dictionary_dictionary(column))
    rows = Rows(
        names,
        dictionary_indices(column).to_numpy(),
        batch.column("timestamp").cast(DataType.int64()).to_numpy(),
        tuple(batch.column(name).to_numpy() for name in COLUMNS),
        batch.column("written").to_numpy(),
    )
    return rows if ascend else _respelled(rows)


def _respelled(rows: Rows) -> Rows:
    """Rows of a file that spells a symbol in another way, or in two."""
    symbols = tuple(sorted(set(rows.symbols)))
    places = {symbol: place for place, symbol in enumerate(symbols)}
    codes = renumbered(rows, places)
    return _sorted(Rows(symbols, codes, rows.timestamps, rows.values, rows.written))
