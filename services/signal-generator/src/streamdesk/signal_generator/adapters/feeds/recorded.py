"""Recorded bars as a feed, replayed in the order of their times."""

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from pathlib import Path

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarFileError
from streamdesk.market.recordings import BarRecording, FileFormat, read_recording
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.pacing import Pacer
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch


class RecordedFeed:
    """The bars of a recording; all bars of one time are one step. Ends with the recording.

    Args:
        recording: the bars and the refused rows.
        steps_per_second: pace; 0 for as fast as the bars are taken.
    """

    name = "recorded"

    def __init__(self, recording: BarRecording, *, steps_per_second: float) -> None:
        self._bars = recording.bars
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
        watched: frozenset[str] | None = None,
        chosen: Sequence[str] = (),
    ) -> "RecordedFeed":
        """A feed of a file, or of all files in a folder.

        Args:
            path: file or folder.
            form: what the file does not contain.
            steps_per_second: pace; 0 for as fast as the bars are taken.
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
        return cls(recording, steps_per_second=steps_per_second)

    async def history(self, _drain: Drain) -> AsyncIterator[FeedBatch]:
        """Nothing: a recording is replayed from its first bar on."""
        return
        yield

    async def live(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """The bars of one time after another; the first batch holds the errors of refused rows."""
        if self._refused:
            yield FeedBatch((), self._refused)
        pacer = Pacer(self._steps_per_second)
        for _, bars in groupby(self._bars, key=_time_of):
            if await pacer.wait(drain):
                return
            yield FeedBatch(tuple(bars))


def _time_of(bar: BarClosed) -> float:
    return bar.timestamp.timestamp()


def _few(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
