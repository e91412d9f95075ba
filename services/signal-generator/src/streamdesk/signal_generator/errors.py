"""What can be wrong with the settings; market data has `streamdesk.market.errors`.

SignalGeneratorError
├── WatchlistError        the watchlist or an entry of it is invalid
└── RecordingChangedError  a recording is not the one that was played before
"""

from datetime import datetime


class SignalGeneratorError(ValueError):
    """Base of the errors of this service."""


class WatchlistError(SignalGeneratorError):
    """A watchlist that cannot be used; the message names the entry."""


class RecordingChangedError(SignalGeneratorError):
    """A recording does not continue what its run has played."""

    def __init__(self, run: str, time: datetime) -> None:
        super().__init__(
            f"FEED_RUN={run}: FEED_FILE with SYMBOLS is not what this run has played up to "
            f"{time.isoformat()}; bring that recording back, or name another run, which begins "
            "with the first bar"
        )
