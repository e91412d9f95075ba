"""Fills a store with simulated daily stocks, to try the job with."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from streamdesk.analysis.domain.job import DAY_SECONDS, HISTORY_BARS
from streamdesk.market.instruments import Instrument
from streamdesk.market.series import BarSeries
from streamdesk.market.sources.simulated import SimulatedBarSource
from streamdesk.market.store import BarStore

MOST = 20_000
_STEP = 500
_PRICES = (8.0, 15.0, 27.0, 50.0, 90.0, 160.0, 290.0, 520.0)


def instruments(count: int) -> tuple[Instrument, ...]:
    """Simulated shares: SIM00001.US and so on."""
    return tuple(
        Instrument(f"SIM{number:05}.US", _PRICES[number % len(_PRICES)])
        for number in range(1, count + 1)
    )


async def fill(
    store: BarStore,
    count: int,
    *,
    seed: int,
    clock: Callable[[], datetime],
    on_made: Callable[[int], None],
) -> int:
    """Fill the store with a year of daily bars of simulated stocks, unless it has them.

    Args:
        store: where the bars are written.
        count: how many stocks.
        seed: of the simulated market.
        clock: the time of day; the last bar is of the last day that has ended.
        on_made: called with the number of stocks made so far.

    Returns:
        The number of bars written; 0 if all were there, up to the last day that has ended.

    Raises:
        StoreError: the bars cannot be written.
    """
    wanted = instruments(count)
    source = SimulatedBarSource(seed, clock, wanted)
    newest = (await source.latest([wanted[-1].symbol], DAY_SECONDS, 1))[wanted[-1].symbol]
    there = await asyncio.to_thread(
        store.read_market, "US", DAY_SECONDS, 1, [one.symbol for one in wanted]
    )
    last = newest.timestamps[-1] if isinstance(newest, BarSeries) else 0
    if len(there) == count and all(one.timestamps[-1] >= last for one in there.values()):
        return 0
    series: list[BarSeries] = []
    for at in range(0, count, _STEP):
        symbols = [one.symbol for one in wanted[at : at + _STEP]]
        found = await source.latest(symbols, DAY_SECONDS, HISTORY_BARS)
        series += [one for one in found.values() if isinstance(one, BarSeries)]
        on_made(len(series))
    return await asyncio.to_thread(store.write_series, series)
