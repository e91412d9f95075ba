"""Where bars come from, whatever is behind it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from streamdesk.market.errors import MarketError
from streamdesk.market.series import BarSeries

Answers = dict[str, BarSeries | MarketError]
"""By symbol, its bars or what was wrong with this one symbol."""

Observe = Callable[[str, str], None]
"""Told of each request to a source: the source's name and how it ended, both for metrics.

Outcomes are `ok`, `unknown`, `unavailable`, and `limited`: not now, says the server or our pace."""


class BarSource(Protocol):
    """Something that has the latest bars of instruments.

    Attributes:
        name: short stable word, as it stands in settings, analyses and metrics.
    """

    @property
    def name(self) -> str:
        """Short stable word, as it stands in settings, analyses and metrics."""
        ...

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """The newest closed bars of each instrument: at most `count`, often fewer.

        Args:
            symbols: instruments, as in AAPL.US or BTCUSDT; doubles are answered once.
            interval_seconds: length of a bar.
            count: bars that are wanted of each.

        Returns:
            An entry for each symbol: its bars, or UnknownInstrumentError (never had it),
            BarSourceUnavailableError (ask again later) or another MarketError. The trouble of one
            symbol is never raised, so that it does not cost the others.
        """
        ...

    async def close(self) -> None:
        """Give back connections and files; asked for bars after this, a source may fail."""
        ...
