"""The simulated market as a feed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import islice

from streamdesk.market.instruments import Instrument
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.pacing import Pacer
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch
from streamdesk.signal_generator.domain.simulation import Walk


class SimulatedFeed:
    """Bars of `domain.simulation`, at a steady pace and without an end.

    While its bars are not read the market stands still.

    Args:
        instruments: the instruments of the market.
        seed: the same seed and start give the very same bars.
        start: end of the last bar of the history.
        interval_seconds: length of a bar, on the market's clock.
        bars_per_second: pace for each instrument, in real time; 0 for as fast as they are read.
        history_bars: bars of the past for each instrument.
    """

    name = "simulated"
    total_bars = None

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        seed: int,
        start: datetime,
        interval_seconds: int,
        bars_per_second: float,
        history_bars: int,
    ) -> None:
        self.symbols = tuple(instrument.symbol for instrument in instruments)
        self._bars_per_second = bars_per_second
        self._history_bars = history_bars
        began = start.timestamp() - history_bars * interval_seconds
        self._walks = [
            Walk(
                instrument,
                seed=seed,
                start=datetime.fromtimestamp(began, start.tzinfo),
                interval_seconds=interval_seconds,
            )
            for instrument in instruments
        ]

    async def history(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """The bars before the start, one batch for each instrument."""
        for walk in self._walks:
            # A long history takes seconds to compute: probes and the drain get their turn.
            await asyncio.sleep(0)
            if drain.requested.is_set():
                return
            yield FeedBatch(tuple(islice(walk, self._history_bars)))

    async def live(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """Batches of one bar of every instrument."""
        pacer = Pacer(self._bars_per_second)
        while not await pacer.wait(drain):
            yield FeedBatch(tuple(next(walk) for walk in self._walks))
