"""Reads the daily bars of a store, or derives them from shorter bars where a market has none."""

from collections.abc import Sequence

from streamdesk.analysis.domain.daily import daily
from streamdesk.analysis.domain.job import DAY_SECONDS, HISTORY_BARS
from streamdesk.market.instruments import CURRENCIES
from streamdesk.market.series import BarSeries
from streamdesk.market.store import BarStore

SHORTER_SECONDS = (3_600, 1_800, 900, 300, 60, 30, 15, 10, 5, 1)
"""Lengths that days are derived from, the longest first: it takes the fewest bars."""

ROWS_AT_ONCE = 10_000_000  # half a gigabyte


def daily_bars(
    store: BarStore, market: str | None, symbols: Sequence[str] | None = None
) -> dict[str, BarSeries]:
    """The newest daily bars of each stock.

    Args:
        store: the bar store.
        market: as in US; None for all.
        symbols: these alone; None for all.

    Raises:
        StoreError: the bars cannot be read.
    """
    found: dict[str, BarSeries] = {}
    for one in CURRENCIES if market is None else (market,):
        days = store.read_market(one, DAY_SECONDS, HISTORY_BARS, symbols)
        found |= days or _from_shorter(store, one, symbols)
    return found


def _from_shorter(
    store: BarStore, market: str, symbols: Sequence[str] | None
) -> dict[str, BarSeries]:
    for seconds in SHORTER_SECONDS:
        there = store.symbols(market, seconds)
        chosen = there if symbols is None else sorted(set(there) & set(symbols))
        if not chosen:
            continue
        count = HISTORY_BARS * DAY_SECONDS // seconds
        step = max(1, ROWS_AT_ONCE // count)
        found: dict[str, BarSeries] = {}
        for at in range(0, len(chosen), step):
            series = store.read_market(market, seconds, count, chosen[at : at + step])
            found |= {symbol: daily(one).last(HISTORY_BARS) for symbol, one in series.items()}
        return found
    return {}
