"""What can go wrong in an analysis.

    AnalysisError
    ├── BrokenAnalysisError      the analysis of one instrument failed unexpectedly
    ├── CacheUnavailableError    Redis is off or does not answer; inside the cache only
    ├── NotEnoughBarsError       too few bars for the preset
    ├── RequestError             a request is not valid
    ├── UnknownPresetError       no preset has that name
    ├── UnreadableScheduleError  the record of a schedule cannot be parsed
    └── BusyScheduleError        a refresh on request while another is in progress

    JobError
    ├── JobRunningError          another process computes in the folder
    ├── NoBarsError              the store has nothing to compute from
    └── WorkerLostError          a process of the pool ended while it computed

A failure of a source of bars is a `MarketError` (`streamdesk.market.errors`).
"""


class AnalysisError(Exception):
    """Any expected failure of an analysis."""


class BrokenAnalysisError(AnalysisError):
    """The analysis of one instrument failed unexpectedly; the log has the traceback."""


class CacheUnavailableError(AnalysisError):
    """Redis is off, or does not answer: memory is the cache."""


class NotEnoughBarsError(AnalysisError):
    """An instrument has fewer bars than its analysis needs."""

    def __init__(self, symbol: str, bars: int, needed: int) -> None:
        """Say how many are missing.

        Args:
            symbol: the instrument.
            bars: how many there are.
            needed: how many the analysis needs.
        """
        super().__init__(
            f"{symbol} has {bars} bars, its analysis needs {needed}: wait until the feed has "
            "brought more, or choose a source with a longer history"
        )
        self.symbol = symbol
        self.bars = bars
        self.needed = needed


class UnknownPresetError(AnalysisError):
    """No preset has this name."""


class UnreadableScheduleError(AnalysisError):
    """The record of a schedule cannot be parsed: nothing is fired until it can."""

    def __init__(self, *keys: str) -> None:
        """Name the keys.

        Args:
            keys: of the record.
        """
        super().__init__(
            f"one of the keys {', '.join(keys)} holds what this version cannot read: run the "
            "version that wrote it, or delete both; slots fired so far are forgotten then"
        )


class BusyScheduleError(AnalysisError):
    """This process has a refresh on request in progress."""


class RequestError(AnalysisError):
    """A request is not valid."""

    def __init__(self, status: int, message: str) -> None:
        """Say what is wrong.

        Args:
            status: of HTTP, from 400 to 499.
            message: what is wrong and what to do, for the client.
        """
        super().__init__(message)
        self.status = status


class JobError(Exception):
    """The job cannot run; the message says why and what to do."""


class JobRunningError(JobError):
    """Another process computes in the same folder."""


class NoBarsError(JobError):
    """The bar store has no bars of this market."""


class WorkerLostError(JobError):
    """A process of the pool ended, for example because the machine ran out of memory."""
