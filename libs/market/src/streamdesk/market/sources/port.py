"""The port of all sources of bars."""

from collections.abc import Callable, Sequence
from typing import Protocol

from streamdesk.market.errors import MarketError
from streamdesk.market.series import BarSeries

Answers = dict[str, BarSeries | MarketError]
"""By symbol, its bars or the error of this one symbol."""

Observe = Callable[[str, str], None]
"""Called after each request to a source: with the source's name and the outcome, for metrics.

Outcomes are `ok`, `unknown`, `unavailable`, and `limited`: refused for now by the server's rate
limit or our own."""


class BarSource(Protocol):
    """Something that has the latest bars of instruments.

    Attributes:
        name: short stable name, as used in settings, analyses and metrics.
    """

    @property
    def name(self) -> str:
        """Short stable name, as used in settings, analyses and metrics."""
        ...

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """The newest closed bars of each instrument: at most `count`, often fewer.

        Args:
            symbols: instruments, as in AAPL.US or BTCUSDT; duplicates are answered once.
            interval_seconds: length of a bar.
            count: bars that are wanted of each.

        Returns:
            An entry for each symbol: its bars, or UnknownInstrumentError (the source does not have
            it), BarSourceUnavailableError (ask again later) or another MarketError. The error of
            one symbol is never raised, so that the others are answered.
        """
        ...

    async def close(self) -> None:
        """Release connections and files; `latest` may fail after this."""
        ...
