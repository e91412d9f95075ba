"""What can go wrong in an analysis.

    AnalysisError
    ├── BrokenAnalysisError      the analysis of one instrument failed unexpectedly
    ├── CacheUnavailableError    Redis is off or does not answer; inside the cache only
    ├── NotEnoughBarsError     too few bars for the preset
    ├── RequestError           a client's request cannot be answered as it is
    ├── UnknownPresetError     no preset of that name
    ├── UnreadableScheduleError  what is written about a schedule is not ours to read
    └── BusyScheduleError      a fire by hand while another is under way

    JobError
    ├── JobRunningError    another process is at it
    ├── NoBarsError        the store has nothing to compute from
    └── WorkerLostError    a process of the pool ended in the middle of its work

What a source of bars cannot do is a `MarketError` (`streamdesk.market.errors`).
"""


class AnalysisError(Exception):
    """Anything this service expects to go wrong."""


class BrokenAnalysisError(AnalysisError):
    """The analysis of one instrument failed unexpectedly; the log has the traceback."""


class CacheUnavailableError(AnalysisError):
    """Redis is off, or does not answer: memory has to do."""


class NotEnoughBarsError(AnalysisError):
    """An instrument has fewer bars than its analysis needs."""

    def __init__(self, symbol: str, bars: int, needed: int) -> None:
        """Say how many are missing.

        Args:
            symbol: the instrument.
            bars: how many there are.
            needed: how many there have to be.
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
    """What is written about a schedule cannot be read: nothing is fired until it can."""

    def __init__(self, *keys: str) -> None:
        """Name the values.

        Args:
            keys: where they are.
        """
        super().__init__(
            f"one of the keys {', '.join(keys)} holds what this version cannot read: run the "
            "version that wrote it, or delete both; slots fired so far are forgotten then"
        )


class BusyScheduleError(AnalysisError):
    """A fire by hand was asked for while this process is at one."""


class RequestError(AnalysisError):
    """A request that cannot be answered as it is."""

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
    """Another process computes into the same folder now."""


class NoBarsError(JobError):
    """The bar store has no bars of this market."""


class WorkerLostError(JobError):
    """A process of the pool ended, as when the machine runs out of memory."""
