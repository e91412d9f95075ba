"""A simulated market: the same seed always gives the same prices.

Each instrument walks independently, from its own random numbers, so that a change of the watchlist
does not change the prices of other instruments. It passes through phases; each has a drift, a
volatility, a volume and a usual length, and leads to others:

    climb -> dip -> rebound -> climb ...     where the strongest buy signals are found
    slide -> bounce -> slide ...             and the sell signals
    calm                                     between them

Now and then the price gaps. A weak pull towards the start price keeps a price from reaching zero
when a demo runs for days. It is not a model of any real market.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamdesk.contracts.events import BarClosed
from streamdesk.market.bars import make_bar
from streamdesk.market.instruments import Instrument, on_tick

VOLATILITY = 0.0025
"""Standard deviation of a bar's log return, where a phase does not change it."""

PULL = 0.003
"""Share of the log distance to the start price that a bar takes back."""

GAP_CHANCE = 1 / 150
GAP_VOLATILITIES = 4.0
BURST_CHANCE = 1 / 40
BURST_FACTOR = (2.0, 5.0)
BUSY_TURNOVER = 2_000_000.0
"""Usual turnover of a bar, in the currency of the market."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the market.

    Args:
        drift: mean log return of a bar, in volatilities.
        volatility: factor on the volatility.
        volume: factor on the usual volume.
        bars: least and greatest length.
        then: the phases that may follow; one that is named twice is twice as likely.
    """

    drift: float
    volatility: float
    volume: float
    bars: tuple[int, int]
    then: tuple[str, ...]


PHASES: dict[str, Phase] = {
    "calm": Phase(0.0, 0.6, 0.8, (8, 20), ("climb", "climb", "slide")),
    "climb": Phase(0.45, 0.8, 1.0, (18, 35), ("dip", "dip", "dip", "calm")),
    "dip": Phase(-1.5, 0.7, 1.1, (4, 7), ("rebound", "rebound", "rebound", "slide")),
    "rebound": Phase(1.3, 0.8, 2.4, (3, 5), ("climb", "climb", "calm")),
    "slide": Phase(-0.5, 0.9, 1.2, (15, 30), ("bounce", "bounce", "calm")),
    "bounce": Phase(1.3, 0.8, 1.3, (3, 5), ("slide", "climb", "calm")),
}


class Walk:
    """The bars of one instrument, one after another.

    Args:
        instrument: the instrument.
        seed: the same seed gives the same bars.
        start: end of the bar before the first.
        interval_seconds: length of a bar.
        last: bar of an earlier walk from whose close this one continues; None for the start price.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        seed: int,
        start: datetime,
        interval_seconds: int,
        last: BarClosed | None = None,
    ) -> None:
        self._instrument = instrument
        # Seeded by text: independent of PYTHONHASHSEED, of the platform, and of the neighbours.
        began = f":{last.timestamp.isoformat()}" if last else ""
        self._random = random.Random(f"{seed}:{instrument.symbol}{began}")  # noqa: S311 - a simulation, not a secret
        self._time = start
        self._step = timedelta(seconds=interval_seconds)
        self._interval_seconds = interval_seconds
        price = last.close if last else instrument.start_price
        self._log_price = math.log(price)
        self._close = on_tick(instrument.market, price)
        self._phase = PHASES[self._random.choice(sorted(PHASES))]
        self._left = self._random.randint(*self._phase.bars)

    def __iter__(self) -> Iterator[BarClosed]:
        return self

    def __next__(self) -> BarClosed:
        """The next bar; there is always one."""
        self._next_phase()
        chance = self._random
        volatility = VOLATILITY * self._phase.volatility
        gap = 0.0
        if chance.random() < GAP_CHANCE:
            gap = chance.gauss(0, GAP_VOLATILITIES * VOLATILITY)
        distance = self._log_price - math.log(self._instrument.start_price)
        move = chance.gauss(self._phase.drift * VOLATILITY, volatility) - PULL * distance
        first = math.exp(self._log_price + gap) if gap else self._close
        self._log_price += gap + move
        last = math.exp(self._log_price)
        above = max(first, last) * (1 + abs(chance.gauss(0, volatility / 2)))
        below = min(first, last) * (1 - abs(chance.gauss(0, volatility / 2)))
        self._time += self._step
        return self._bar(first, above, below, last, volume=self._volume(abs(gap + move)))

    def _next_phase(self) -> None:
        if self._left == 0:
            self._phase = PHASES[self._random.choice(self._phase.then)]
            self._left = self._random.randint(*self._phase.bars)
        self._left -= 1

    def _volume(self, move: float) -> float:
        usual = BUSY_TURNOVER / self._instrument.start_price
        burst = self._random.uniform(*BURST_FACTOR) if self._random.random() < BURST_CHANCE else 1
        intensity = self._phase.volume * (1 + 0.3 * move / VOLATILITY)
        shares = usual * burst * intensity * math.exp(self._random.gauss(0, 0.25))
        lots = max(1, round(shares / self._instrument.lot_size))
        return float(lots * self._instrument.lot_size)

    def _bar(self, *prices: float, volume: float) -> BarClosed:
        market = self._instrument.market
        first, above, below, last = (on_tick(market, price) for price in prices)
        self._close = last
        # Two prices on either side of a change of the tick may round past each other.
        return make_bar(
            symbol=self._instrument.symbol,
            timestamp=self._time,
            interval_seconds=self._interval_seconds,
            open_=first,
            high=max(first, above, last),
            low=min(first, below, last),
            close=last,
            volume=volume,
        )
