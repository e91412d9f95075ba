"""The port of a feed of bars."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarError
from streamdesk.runtime import Drain
from streamdesk.signal_generator.domain.cursor import FeedCursor


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """Bars that closed together, at most one for each instrument, and the errors of the others.

    Args:
        bars: in the order of the watchlist or the file.
        refused: one error for each bar that is left out because it cannot be used.
        played: hash of all that the feed has delivered up to here; empty where a restart cannot
            deliver it again.
    """

    bars: tuple[BarClosed, ...]
    refused: tuple[BarError, ...] = ()
    played: str = ""


class Feed(Protocol):
    """A source of bars. It waits for its reader: nothing is dropped."""

    @property
    def name(self) -> str:
        """For logs, metrics and tasks, as in simulated."""

    @property
    def run(self) -> str:
        """Name of the run that it resumes; empty for whichever was the last."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments it delivers."""

    @property
    def total_bars(self) -> int | None:
        """Bars that `live` delivers in total; None when it has no end."""

    def history(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """Bars of the past, oldest first, one batch for each instrument; may be none.

        Ends early when the drain is requested.
        """

    def resume(self, cursor: FeedCursor, drain: Drain) -> AsyncIterator[FeedBatch]:
        """Bars that are published already, up to the cursor; `live` continues after it.

        Those that this object has delivered do not come again.

        Raises:
            RecordingChangedError: it would not continue what was played.
        """

    def live(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """Bars as they close; ends with the feed, or soon after the drain is requested."""
