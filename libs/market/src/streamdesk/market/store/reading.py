"""Reads parts from disk, caches them, and puts them together as series."""

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamdesk.market.errors import StoreError
from streamdesk.market.series import COLUMNS, BarSeries
from streamdesk.market.store.layout import PartFile, Partition
from streamdesk.market.store.rows import Rows, from_parquet, merged

_SMALL = 1 << 16
_ATTEMPTS = 100


def read_part(part: PartFile) -> Rows:
    """The rows of a part.

    Raises:
        FileNotFoundError: it was merged into another part, or pruned.
        StoreError: it cannot be read, or is damaged.
    """
    try:
        content = part.path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{part.path} cannot be read: {error}; check the disk") from error
    if zlib.crc32(content) != part.crc32:
        raise StoreError(
            f"{part.path} is damaged: its checksum is not the one in its name; move it away to "
            "continue without its bars"
        )
    return from_parquet(content, str(part.path))


class PartCache:
    """Reads days, and caches the parts used last: a part never changes.

    Args:
        limit_bytes: memory for cached parts; 0 for none.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0
        self._parts: OrderedDict[Path, Rows] = OrderedDict()
        self._lock = threading.Lock()  # used by several threads

    def day(
        self, partition: Partition, day: date, count: int, wanted: frozenset[str] | None
    ) -> Rows | None:
        """The last `count` bars of each wanted symbol (None: of all) on a day; None if none is.

        Raises:
            StoreError: a part of it cannot be read.
        """
        for _ in range(_ATTEMPTS):
            try:
                parts = [self._part(part).newest(count, wanted) for part in partition.parts(day)]
            except FileNotFoundError:
                continue  # merged into another part since it was listed
            found = [rows for rows in parts if len(rows)]
            return merged(found).newest(count, None) if found else None
        raise StoreError(
            f"{partition.day(day)} lists a file that is not there; is it a broken link?"
        )

    def _part(self, part: PartFile) -> Rows:
        with self._lock:
            if (known := self._parts.get(part.path)) is not None:
                self._parts.move_to_end(part.path)
                return known
        rows = read_part(part)
        with self._lock:
            self._remember(part.path, rows)
        return rows

    def _remember(self, path: Path, rows: Rows) -> None:
        # A part that would push out most of the others is not cached.
        if path in self._parts or rows.nbytes > self._limit_bytes // 4:
            return
        self._parts[path] = rows
        self._taken_bytes += rows.nbytes
        while self._taken_bytes > self._limit_bytes:
            _, oldest = self._parts.popitem(last=False)
            self._taken_bytes -= oldest.nbytes


class BarCollector:
    """Collects days, the newest first, until every symbol has its bars.

    Args:
        count: bars wanted of each symbol.
        wanted: symbols wanted; None for all that are found.
    """

    def __init__(self, count: int, wanted: frozenset[str] | None) -> None:
        self._count = count
        self._wanted = wanted
        self._places: dict[str, int] = {}
        self._days: list[tuple[Rows, NDArray[np.int32]]] = []
        self._have = np.zeros(0, np.int64)
        self._last: tuple[tuple[str, ...], NDArray[np.int32]] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no older day can matter."""
        if self._wanted is not None and len(self._places) < len(self._wanted):
            return False
        return bool(len(self._have)) and int(self._have.min()) >= self._count

    def add(self, rows: Rows) -> None:
        """Add a day, older than all before."""
        codes = self._table(rows.symbols)[rows.codes]
        self._days.append((rows, codes))
        have = np.bincount(codes, minlength=len(self._places))
        have[: len(self._have)] += self._have
        self._have = have

    def _table(self, symbols: tuple[str, ...]) -> NDArray[np.int32]:
        """Our code of each of the day's codes; most days have the very same symbols."""
        if self._last is None or self._last[0] != symbols:
            ours = [self._places.setdefault(symbol, len(self._places)) for symbol in symbols]
            self._last = (symbols, np.array(ours, np.int32))
        return self._last[1]

    def series(self, interval_seconds: int) -> Iterator[BarSeries]:
        """What was collected, by symbol."""
        if not self._days:
            return
        days = self._days[::-1]
        codes = np.concatenate([codes for _, codes in days])
        # Stable, so that bars stay in the order of time. Of small numbers numpy's sort is linear.
        narrow = codes.astype(np.uint16) if len(self._places) <= _SMALL else codes
        order = np.argsort(narrow, kind="stable")
        times = np.concatenate([rows.timestamps for rows, _ in days])[order]
        columns = [
            np.concatenate([rows.values[place] for rows, _ in days])[order]
            for place in range(len(COLUMNS))
        ]
        # The rows of a symbol now lie together, so its newest bars end where its rows end.
        ends = np.cumsum(self._have)
        for symbol in sorted(self._places):
            place = self._places[symbol]
            end, have = int(ends[place]), int(self._have[place])
            if have:
                part = slice(end - min(have, self._count), end)
                yield BarSeries(
                    symbol, interval_seconds, times[part], *(column[part] for column in columns)
                )
