"""A simulated market whose bars are computed on demand, for any time and length.

The log price is a sum of noises, each a straight line between random points that lie so many
seconds apart; the further apart the higher, by the square root, as in a random walk.
Every random number is a hash of seed, symbol, noise and point. So a price depends on the moment
alone: any bar is computed without those before it, and bars of any length agree about the price
at their ends. It is not a model of any real market.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from streamdesk.market.errors import SeriesError, UnknownInstrumentError
from streamdesk.market.instruments import CRYPTO, UNIVERSE, Instrument, on_ticks
from streamdesk.market.series import BarSeries, Floats, to_milliseconds
from streamdesk.market.sources.port import Answers

VOLATILITY = {"US": 0.0008, "HK": 0.0008, CRYPTO: 0.0012}
"""Standard deviation of the log return of a minute, about."""

SPACINGS_SECONDS = tuple(8**n for n in range(9))
"""Between the points of a noise: from a second to half a year."""

TURNOVER = 1_000_000.0
"""Usual turnover of a minute, in the currency of the market."""

_SECONDS_OF_A_STEP = 60.0
# A noise of amplitude sqrt(spacing), summed over all, returns this times more in a minute.
_CALIBRATION = 0.87
_SHAPE = 64  # a number that no noise has
_POINTS_AT_ONCE = 16_384  # some milliseconds, after which other tasks run

Integers = NDArray[np.int64]
_Hashes = NDArray[np.uint64]


class SimulatedBarSource:
    """The simulated market as a source: bar `i` ends `i` times its length after 1970.

    Args:
        seed: the same seed always gives the very same bars, on every machine.
        clock: the time of day, which decides the latest bar.
        instruments: the instruments of the market.
    """

    name = "simulated"

    def __init__(
        self, seed: int, clock: Callable[[], datetime], instruments: Sequence[Instrument] = UNIVERSE
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._instruments = {instrument.symbol: instrument for instrument in instruments}

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """The bars that are closed by now; see `BarSource`."""
        asked = dict.fromkeys(symbols)
        if interval_seconds <= 0:
            return {symbol: _bad_length(interval_seconds) for symbol in asked}
        last = to_milliseconds(self._clock()) // (1_000 * interval_seconds)
        answers: Answers = {symbol: _unknown(symbol) for symbol in asked}
        known = (symbol for symbol in asked if symbol in self._instruments)
        # In slices, with a pause after each: the arithmetic would hold the loop up for all symbols.
        while some := list(islice(known, max(1, _POINTS_AT_ONCE // max(1, count)))):
            answers.update(self.bars(some, interval_seconds, last - count + 1, count))
            await asyncio.sleep(0)
        return answers

    def bars(
        self, symbols: Sequence[str], interval_seconds: int, first: int, count: int
    ) -> dict[str, BarSeries]:
        """The bars number `first` to `first + count - 1`.

        Args:
            symbols: instruments of this market.
            interval_seconds: length of a bar.
            first: number of the first; number `i` ends at `i * interval_seconds` since 1970.
            count: how many.

        Raises:
            SeriesError: the length is not above 0.
            UnknownInstrumentError: one of the symbols is not of this market.
        """
        if interval_seconds <= 0:
            raise _bad_length(interval_seconds)
        if count <= 0 or not symbols:
            return {symbol: BarSeries.empty(symbol, interval_seconds) for symbol in symbols}
        numbers = np.arange(first, first + count)
        found: dict[str, BarSeries] = {}
        for market, instruments in self._by_market(symbols).items():
            columns = self._columns(market, instruments, interval_seconds, numbers)
            for row, instrument in enumerate(instruments):
                found[instrument.symbol] = BarSeries(
                    instrument.symbol,
                    interval_seconds,
                    numbers * (1_000 * interval_seconds),
                    *(column[row] for column in columns),
                )
        return {symbol: found[symbol] for symbol in symbols}

    async def close(self) -> None:
        """Nothing to release."""

    def _by_market(self, symbols: Sequence[str]) -> dict[str, list[Instrument]]:
        markets: dict[str, list[Instrument]] = {}
        for symbol in dict.fromkeys(symbols):
            instrument = self._instruments.get(symbol)
            if instrument is None:
                raise _unknown(symbol)
            markets.setdefault(instrument.market, []).append(instrument)
        return markets

    def _columns(
        self, market: str, instruments: Sequence[Instrument], interval_seconds: int, bars: Integers
    ) -> tuple[Floats, ...]:
        """Open, high, low, close, volume: a row an instrument, a column a bar."""
        keys = _keys(f"{self._seed}:{i.symbol}" for i in instruments)
        own = _keys(f"{self._seed}:{i.symbol}:{interval_seconds}" for i in instruments)
        start = np.array([[i.start_price] for i in instruments])
        lot = np.array([[i.lot_size] for i in instruments], np.float64)
        ends = np.append(bars[0] - 1, bars) * interval_seconds
        prices = start * np.exp(VOLATILITY[market] * _walk(keys, ends))
        at_ends = on_ticks(market, prices)
        first, last = np.ascontiguousarray(at_ends[:, :-1]), at_ends[:, 1:].copy()
        minutes = interval_seconds / _SECONDS_OF_A_STEP
        shape = _random(own, _SHAPE, bars)
        reach = VOLATILITY[market] * np.sqrt(minutes)
        above = np.maximum(first, last) * (1 + reach * _share(shape, 0))
        below = np.minimum(first, last) * np.exp(-reach * _share(shape, 1))
        # Two prices on either side of a change of the tick may round past each other.
        high = np.maximum(on_ticks(market, above), np.maximum(first, last))
        low = np.minimum(on_ticks(market, below), np.minimum(first, last))
        usual = TURNOVER * minutes / start / lot
        lots = np.rint(usual * np.exp(2 * (_share(shape, 2) + _share(shape, 3) - 1)))
        # A division by a whole number is exact to the last digit; a product with 0.001 is not.
        lots = np.maximum(1.0, lots)
        volume = np.where(lot < 1, lots / np.maximum(1.0, np.rint(1 / lot)), lots * lot)
        return first, high, low, last, volume


def _unknown(symbol: str) -> UnknownInstrumentError:
    return UnknownInstrumentError(symbol, "the simulated market does not have it")


def _bad_length(interval_seconds: int) -> SeriesError:
    return SeriesError(f"bars of {interval_seconds} seconds; expected 1 or more")


def _keys(texts: Iterable[str]) -> _Hashes:
    """A number for each text, the same in every process."""
    digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _walk(keys: _Hashes, seconds: Integers) -> Floats:
    """The log price at these moments, in volatilities: a row a key. Over time its mean is 0."""
    total = np.zeros((len(keys), len(seconds)))
    for number, spacing in enumerate(SPACINGS_SECONDS):
        point, rest = np.divmod(seconds, spacing)
        height = _CALIBRATION * (spacing / _SECONDS_OF_A_STEP) ** 0.5
        share = rest / spacing
        before = int(point[0])
        if int(point[-1]) - before <= len(point):  # many moments between two points: hash them once
            noise = height * _normal(keys, number, np.arange(before, point[-1] + 2))
            place = point - before
            left = noise.take(place, axis=1)
            total += left
            total += (noise.take(place + 1, axis=1) - left) * share
        else:
            total += height * _normal(keys, number, point) * (1 - share)
            if share.any():
                total += height * _normal(keys, number, point + 1) * share
    return total


def _random(keys: _Hashes, number: int, points: Integers) -> _Hashes:
    """64 random bits for each key (row) and point (column)."""
    # splitmix64: every bit of the result depends on every bit of what went in.
    offset = np.uint64((number * 0xD1B54A32D192ED03) % 2**64)
    mixed = keys[:, None] + (points.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + offset)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _share(bits: _Hashes, part: int) -> Floats:
    """One of the four parts of random bits, from 0 to 1."""
    numbers: Floats = ((bits >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.float64)
    return numbers * (1 / 65_535)


def _normal(keys: _Hashes, number: int, points: Integers) -> Floats:
    """Random numbers, a row a key: mean 0, deviation 1, nearly normal, none beyond 3.5."""
    bits = _random(keys, number, points)
    # The sum of four uniform numbers of 16 bits, added in pairs.
    pairs = (bits & np.uint64(0x0000FFFF0000FFFF)) + (
        (bits >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    )
    sums = (pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32))
    return (sums.astype(np.float64) - 2 * 65_535) * (3**0.5 / 65_536)
