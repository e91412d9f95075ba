"""A recording as a source of bars."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarFileError, UnknownInstrumentError
from streamdesk.market.recordings import FileFormat, read_recording
from streamdesk.market.series import BarSeries
from streamdesk.market.sources.port import Answers


class RecordedBarSource:
    """The last bars of a recording: CSV or Parquet, a file or a folder of files.

    It is read once, at first use: files added later are not seen. Rows that were refused are left
    out; from then on `refused` has their errors.

    Args:
        path: file or folder, see `streamdesk.market.recordings`.
        form: what the files do not contain; by default crypto pairs are included.
    """

    name = "recorded"

    def __init__(self, path: Path, form: FileFormat | None = None) -> None:
        self._path = path
        self._form = form or FileFormat(with_crypto=True)
        self._series: dict[tuple[str, int], BarSeries] | None = None
        self._reading = asyncio.Lock()
        self.refused: tuple[str, ...] = ()

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """The last bars of each; see `BarSource`. Another length of bars is unknown, too."""
        try:
            series = await self._read()
        except BarFileError as error:
            return dict.fromkeys(symbols, error)
        return {
            symbol: found.last(count)
            if (found := series.get((symbol, interval_seconds)))
            else UnknownInstrumentError(
                symbol, f"{self._path.name} has no bars of {interval_seconds} s of it"
            )
            for symbol in symbols
        }

    async def close(self) -> None:
        """Forget what was read."""
        self._series = None

    async def _read(self) -> dict[tuple[str, int], BarSeries]:
        async with self._reading:
            if self._series is None:
                recording = await asyncio.to_thread(read_recording, self._path, self._form)
                self.refused = tuple(str(error) for error in recording.refused)
                self._series = await asyncio.to_thread(_by_kind, recording.bars)
            return self._series


def _by_kind(bars: Iterable[BarClosed]) -> dict[tuple[str, int], BarSeries]:
    kinds = defaultdict(list)
    for bar in bars:
        kinds[bar.symbol, bar.interval_seconds].append(bar)
    return {kind: BarSeries.of(some) for kind, some in kinds.items()}
