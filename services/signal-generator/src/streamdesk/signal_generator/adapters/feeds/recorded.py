"""Recorded bars as a feed, replayed in the order of their times."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from pathlib import Path

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarFileError
from streamdesk.market.recordings import BarRecording, FileFormat, read_recording
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.pacing import Pacer
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch
from streamdesk.signal_generator.domain.cursor import FeedCursor
from streamdesk.signal_generator.errors import RecordingChangedError


class RecordedFeed:
    """The bars of a recording; all bars of one time are one step. Ends with the recording.

    Args:
        recording: the bars and the refused rows.
        steps_per_second: pace; 0 for as fast as the bars are taken.
        run: name of the run: a restart under the same name resumes.
    """

    name = "recorded"

    def __init__(self, recording: BarRecording, *, steps_per_second: float, run: str) -> None:
        self.run = run
        self._steps = [tuple(bars) for _, bars in groupby(recording.bars, key=_time_of)]
        self._next = 0
        self._hash = hashlib.sha256()
        self._refused = tuple(recording.refused)
        self._steps_per_second = steps_per_second
        self.symbols = tuple(dict.fromkeys(bar.symbol for bar in recording.bars))
        self.total_bars: int | None = len(recording.bars)

    @classmethod
    def from_path(
        cls,
        path: Path,
        form: FileFormat,
        *,
        steps_per_second: float,
        run: str,
        watched: frozenset[str] | None = None,
        chosen: Sequence[str] = (),
    ) -> "RecordedFeed":
        """A feed of a file, or of all files in a folder.

        Args:
            path: file or folder.
            form: what the file does not contain.
            steps_per_second: pace; 0 for as fast as the bars are taken.
            run: name of the run: a restart under the same name resumes.
            watched: bars of other instruments are refused; None for any.
            chosen: bars of other instruments are left out silently; empty for all.

        Raises:
            BarFileError: the file cannot be used, or has no bar of a chosen instrument.
        """
        recording = read_recording(path, form, watched)
        found = sorted({bar.symbol for bar in recording.bars})
        absent = [symbol for symbol in chosen if symbol not in found]
        if absent:
            raise BarFileError(f"{path} has no bars of {', '.join(absent)}; it has {_few(found)}")
        if chosen:
            recording.bars = [bar for bar in recording.bars if bar.symbol in chosen]
        return cls(recording, steps_per_second=steps_per_second, run=run)

    async def history(self, _drain: Drain) -> AsyncIterator[FeedBatch]:
        """Nothing: a recording is replayed from its first bar on."""
        return
        yield

    async def resume(self, cursor: FeedCursor, drain: Drain) -> AsyncIterator[FeedBatch]:
        """The bars from where we are up to the cursor, without a pace."""
        for batch in self._refused_rows():
            yield batch
        time = cursor.time.timestamp()
        while self._next < len(self._steps) and _time_of(self._steps[self._next][0]) <= time:
            if drain.requested.is_set():
                return
            yield self._take()
        if self._hash.hexdigest() != cursor.played:
            raise RecordingChangedError(self.run, cursor.time)

    async def live(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """The bars of one time after another; the first batch holds the errors of refused rows."""
        for batch in self._refused_rows():
            yield batch
        pacer = Pacer(self._steps_per_second)
        while self._next < len(self._steps):
            if await pacer.wait(drain):
                return
            yield self._take()

    def _refused_rows(self) -> list[FeedBatch]:
        refused, self._refused = self._refused, ()
        return [FeedBatch((), refused)] if refused else []

    def _take(self) -> FeedBatch:
        bars = self._steps[self._next]
        self._next += 1
        for bar in bars:
            prices = f"{bar.open!r} {bar.high!r} {bar.low!r} {bar.close!r} {bar.volume!r}"
            self._hash.update(f"{bar.symbol} {bar.timestamp.isoformat()} {prices}\n".encode())
        return FeedBatch(bars, played=self._hash.hexdigest())


def _time_of(bar: BarClosed) -> float:
    return bar.timestamp.timestamp()


def _few(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
