"""The simulated market as a feed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from streamdesk.contracts.events import BarClosed
from streamdesk.market.instruments import Instrument
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.pacing import Pacer
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch
from streamdesk.signal_generator.domain.cursor import FeedCursor
from streamdesk.signal_generator.domain.simulation import Walk

Published = Callable[[datetime], AsyncIterator[BarClosed]]
"""The bars that were published since a time of day, oldest first."""


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """The market that is simulated.

    Args:
        instruments: its instruments.
        seed: the same seed and start give the very same bars.
        start: end of the last bar of the history; None for the present.
        interval_seconds: length of a bar, on the market's clock.
        bars_per_second: pace for each instrument, in real time; 0 for as fast as they are read.
        history_bars: bars of the past for each instrument.
    """

    instruments: Sequence[Instrument]
    seed: int
    start: datetime | None
    interval_seconds: int
    bars_per_second: float
    history_bars: int


class SimulatedFeed:
    """Bars of `domain.simulation`, at a steady pace and without an end.

    While its bars are not read the market stands still. A restart continues from the last prices
    that were published, later than their time, with other random numbers.

    Args:
        market: what is simulated.
        published: reads the bars of the run back.
        clock: the time of day.
    """

    name = "simulated"
    run = ""
    total_bars = None

    def __init__(
        self, market: SimulatedMarket, published: Published, clock: Callable[[], datetime]
    ) -> None:
        self.symbols = tuple(instrument.symbol for instrument in market.instruments)
        self._market = market
        self._published = published
        self._clock = clock
        self._last: dict[str, BarClosed] = {}
        history = timedelta(seconds=market.history_bars * market.interval_seconds)
        self._walks = self._walks_from((market.start or self._now()) - history)

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)

    def _walks_from(self, start: datetime) -> list[Walk]:
        market = self._market
        return [
            Walk(
                instrument,
                seed=market.seed,
                start=start,
                interval_seconds=market.interval_seconds,
                last=self._last.get(instrument.symbol),
            )
            for instrument in market.instruments
        ]

    async def history(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """The bars before the start, one batch for each instrument."""
        for walk in self._walks:
            # A long history takes seconds to compute: probes and the drain get their turn.
            await asyncio.sleep(0)
            if drain.requested.is_set():
                return
            yield self._delivered(tuple(islice(walk, self._market.history_bars)))

    async def resume(self, cursor: FeedCursor, drain: Drain) -> AsyncIterator[FeedBatch]:
        """What was published, as a history; the market then continues from there."""
        keep = max(1, self._market.history_bars)
        bars: dict[str, deque[BarClosed]] = {name: deque(maxlen=keep) for name in self.symbols}
        async for bar in self._published(cursor.began_at):
            known = bars.get(bar.symbol)
            last = self._last.get(bar.symbol)
            if known is not None and (last is None or bar.timestamp > last.timestamp):
                known.append(bar)
        for published in bars.values():
            if drain.requested.is_set():
                return
            if published:
                yield self._delivered(tuple(published))
        step = timedelta(seconds=self._market.interval_seconds)
        # With a start of its own the market has a clock of its own; otherwise it has ours.
        start = cursor.time if self._market.start else max(cursor.time, self._now() - step)
        self._walks = self._walks_from(start)

    async def live(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        """Batches of one bar of every instrument."""
        pacer = Pacer(self._market.bars_per_second)
        while not await pacer.wait(drain):
            yield self._delivered(tuple(next(walk) for walk in self._walks))

    def _delivered(self, bars: tuple[BarClosed, ...]) -> FeedBatch:
        self._last |= {bar.symbol: bar for bar in bars}
        return FeedBatch(bars)
