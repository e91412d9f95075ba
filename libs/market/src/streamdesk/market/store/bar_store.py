"""The bar store: Parquet files by market, length of bar, and day.

Any number of processes write, read and tidy the same folder at once. When `write` returns, its bars
are on disk, and every read that begins afterwards has them, whichever process is killed and when.
`layout.py` describes how.
"""

import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.market.errors import StoreError
from streamdesk.market.instruments import market_of
from streamdesk.market.series import BarSeries
from streamdesk.market.store import upkeep
from streamdesk.market.store.files import make_folder, sync_folder, write_durably
from streamdesk.market.store.layout import PartFile, Partition, partitions
from streamdesk.market.store.reading import BarCollector, PartCache
from streamdesk.market.store.rows import Rows, rows_of_bars, rows_of_series, to_parquet

CACHE_BYTES = 64 * 1024 * 1024
LEAST_REACH_DAYS = 7
DAY_SECONDS = 86_400

_FIRST_DAY = date(1970, 1, 1)
_OPEN_SHARE = 4  # a market is open for a quarter of the time, or more


def reach_days(interval_seconds: int, count: int) -> int:
    """How many of the newest stored days are searched for `count` bars.

    An instrument that did not trade for so long has no bars. Without a bound, a suspended
    instrument would make every read search the whole store.
    """
    return LEAST_REACH_DAYS + _OPEN_SHARE * -(-count * interval_seconds // DAY_SECONDS)


class BarStore:
    """Bars on disk. Cheap to create; safe to use from several threads.

    Args:
        folder: the store's folder, made when needed; bars are in `bars` in it.
        cache_bytes: memory for files read last; 0 for none.
        clock_ns: the time, ns since 1970: of two writes of one bar the later counts.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cache_bytes: int = CACHE_BYTES,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.folder = folder
        self._root = folder / "bars"
        self._cache = PartCache(cache_bytes)
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._written = 0
        self._known: set[Path] = set()

    def write(self, bars: Sequence[BarClosed]) -> int:
        """Store bars of any instruments, lengths and days; on disk when this returns.

        A bar that is stored already is replaced.

        Returns:
            The number of bars; one that occurs twice counts once.

        Raises:
            StoreError: not all of them are stored. Writing all of them again is safe.
        """
        groups: dict[tuple[str, int], list[BarClosed]] = defaultdict(list)
        for bar in bars:
            groups[market_of(bar.symbol), bar.interval_seconds].append(bar)
        return sum(
            self._keep(Partition(self._root, *kind), rows_of_bars(group))
            for kind, group in groups.items()
        )

    def write_series(self, series: Iterable[BarSeries]) -> int:
        """Store whole series, as `write` does: for many bars at once."""
        groups: dict[tuple[str, int], list[BarSeries]] = defaultdict(list)
        for each in series:
            if len(each):
                groups[market_of(each.symbol), each.interval_seconds].append(each)
        return sum(
            self._keep(Partition(self._root, *kind), rows_of_series(group))
            for kind, group in groups.items()
        )

    def _keep(self, partition: Partition, rows: Rows) -> int:
        for number, of_day in rows.split_by_day():
            day = _FIRST_DAY + timedelta(days=number)
            self._prepare(partition, day)
            written = self._now()
            of_day.written[:] = written
            content = to_parquet(of_day)
            part = PartFile.new(partition.day(day), written, len(of_day), zlib.crc32(content))
            write_durably(part.path, content)
        return len(rows)

    def _prepare(self, partition: Partition, day: date) -> None:
        """See that a day's folder is on disk, and that what is in it counts as written before."""
        folder = partition.day(day)
        if folder in self._known:
            return
        try:
            make_folder(folder)
            # Another writer may have made them, and not have brought them to the disk yet.
            for above in (partition.folder, partition.folder.parent, partition.root, self.folder):
                sync_folder(above)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be made: {error}; check that the store's folder may be written to"
            ) from error
        with self._lock:
            newest = max((part.written for part in partition.parts(day)), default=0)
            self._written = max(self._written, newest)
            self._known.add(folder)

    def _now(self) -> int:
        """The time of a write, later than all before, even if the clock was set back."""
        with self._lock:
            self._written = max(self._clock_ns(), self._written + 1)
            return self._written

    def read(self, symbol: str, interval_seconds: int, count: int) -> BarSeries:
        """The newest `count` bars of an instrument, or those within `reach_days`.

        Raises:
            StoreError: a file cannot be read.
        """
        symbol = canonical_symbol(symbol)
        found = self.read_market(market_of(symbol), interval_seconds, count, (symbol,))
        return found.get(symbol) or BarSeries.empty(symbol, interval_seconds)

    def read_market(
        self,
        market: str,
        interval_seconds: int,
        count: int,
        symbols: Collection[str] | None = None,
    ) -> dict[str, BarSeries]:
        """The newest `count` bars of each instrument of a market, or all there are.

        Args:
            market: as `market_of` has it.
            interval_seconds: length of a bar.
            count: most bars of each.
            symbols: the instruments, in any spelling; None for all with a bar on one of the
                newest `LEAST_REACH_DAYS` stored days.

        Returns:
            By symbol, in our spelling; without symbols that have no bar within `reach_days`.

        Raises:
            StoreError: a file cannot be read.
        """
        partition = Partition(self._root, market, interval_seconds)
        wanted = None if symbols is None else frozenset(map(canonical_symbol, symbols))
        collector = BarCollector(count, wanted)
        newest = partition.days()[: -reach_days(interval_seconds, count) - 1 : -1]
        # Where no symbols are named, a full collector only means that those found so far are full:
        # an older day may hold others.
        least_days = LEAST_REACH_DAYS if wanted is None else 1
        for number, day in enumerate(newest, start=1):
            rows = self._cache.day(partition, day, count, wanted)
            if rows is not None:
                collector.add(rows)
            if collector.is_full and number >= least_days:
                break
        return {series.symbol: series for series in collector.series(interval_seconds)}

    def symbols(self, market: str | None = None, interval_seconds: int | None = None) -> list[str]:
        """Instruments with a bar on one of the newest `LEAST_REACH_DAYS` stored days, sorted.

        Args:
            market: only of this one.
            interval_seconds: only with bars of this length.

        Raises:
            StoreError: a file cannot be read.
        """
        found: set[str] = set()
        for partition in partitions(self._root):
            if market in (None, partition.market) and interval_seconds in (
                None,
                partition.interval_seconds,
            ):
                for day in partition.days()[-LEAST_REACH_DAYS:]:
                    rows = self._cache.day(partition, day, 1, None)
                    found.update(rows.symbols if rows is not None else ())
        return sorted(found)

    def compact(self) -> int:
        """Merge small files into larger ones; return how many files fewer there are.

        Does nothing while another process does.

        Raises:
            StoreError: parts of some day cannot be read or written; all other days are done.
        """
        return upkeep.compact(self._root)

    def prune(self, keep_days: int, today: date | None = None) -> int:
        """Remove all but the newest `keep_days` days; return how many were removed.

        Args:
            keep_days: counted back from the newest stored day of a market and length, or from
                today if that is earlier.
            today: in UTC; None: from the clock.

        Raises:
            StoreError: something cannot be removed.
        """
        return upkeep.prune(self._root, keep_days, today or datetime.now(UTC).date())
