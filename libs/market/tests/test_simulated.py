from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.market import BUILT_IN, UNIVERSE, BarSeries, SeriesError, UnknownInstrumentError
from streamdesk.market.instruments import CRYPTO, Instrument, market_of, tick_size
from streamdesk.market.series import COLUMNS
from streamdesk.market.sources.simulated import VOLATILITY, SimulatedBarSource

NOW = datetime(2026, 11, 20, 15, 30, 17, tzinfo=UTC)
SYMBOLS = [instrument.symbol for instrument in UNIVERSE]
INTERVALS = [1, 5, 60, 90, 300, 3_600, 86_400]

symbols = st.sampled_from(SYMBOLS)
intervals = st.sampled_from(INTERVALS)
times = st.integers(1_600_000_000, 2_000_000_000)


def market(seed: int = 1, instruments: Sequence[Instrument] = UNIVERSE) -> SimulatedBarSource:
    return SimulatedBarSource(seed, lambda: NOW, instruments)


KNOWN = [
    [125004.2, 125292.66, 125361.62],
    [125310.24, 125406.86, 125531.13],
    [124961.01, 125173.28, 125306.77],
    [125292.66, 125361.62, 125383.69],
    [3.1851, 7.4571, 16.6133],
]
MARKET = market()


def bars(symbol: str, seconds: int, first: int, count: int) -> BarSeries:
    return MARKET.bars([symbol], seconds, first, count)[symbol]


async def latest(symbol: str, seconds: int = 60, count: int = 10) -> BarSeries:
    answer = (await MARKET.latest([symbol], seconds, count))[symbol]
    assert isinstance(answer, BarSeries)
    return answer


@settings(max_examples=50, deadline=None)
@given(symbol=symbols, seconds=intervals, time=times, skip=st.integers(0, 60), data=st.data())
def test_a_bar_is_the_same_whichever_bars_it_is_asked_with(
    symbol: str, seconds: int, time: int, skip: int, data: st.DataObject
) -> None:
    first = time // seconds
    long = bars(symbol, seconds, first, 64)
    count = data.draw(st.integers(1, 64 - skip))
    part = bars(symbol, seconds, first + skip, count)
    for name in ("timestamps", *COLUMNS):
        assert np.array_equal(getattr(part, name), getattr(long, name)[skip : skip + count])


@settings(max_examples=20, deadline=None)
@given(some=st.lists(symbols, min_size=1, max_size=20, unique=True), time=times)
def test_a_bar_is_the_same_whichever_instruments_it_is_asked_with(
    some: list[str], time: int
) -> None:
    together = MARKET.bars(some, 60, time // 60, 40)
    assert list(together) == some
    for symbol in some:
        assert together[symbol] == bars(symbol, 60, time // 60, 40)


@settings(max_examples=50, deadline=None)
@given(symbol=symbols, seconds=intervals, time=times)
def test_every_bar_keeps_the_contract_and_opens_where_the_last_closed(
    symbol: str, seconds: int, time: int
) -> None:
    series = bars(symbol, seconds, time // seconds, 50)
    assert len(list(series.bars())) == 50  # BarClosed refuses what does not fit together
    assert np.array_equal(series.open[1:], series.close[:-1])
    assert set(np.diff(series.timestamps).tolist()) == {1_000 * seconds}


@settings(max_examples=30, deadline=None)
@given(symbol=symbols, time=times)
def test_bars_of_any_length_agree_about_the_price_at_their_ends(symbol: str, time: int) -> None:
    hour = time // 3_600
    long = bars(symbol, 3_600, hour, 3)
    for seconds in (1, 60, 300):
        per_hour = 3_600 // seconds
        short = bars(symbol, seconds, (hour - 1) * per_hour + 1, 3 * per_hour)
        assert np.array_equal(short.close[per_hour - 1 :: per_hour], long.close)
        assert np.array_equal(short.open[::per_hour], long.open)


@settings(max_examples=30, deadline=None)
@given(instrument=st.sampled_from(UNIVERSE), seconds=intervals, time=times)
def test_prices_lie_on_ticks_and_volumes_are_whole_lots(
    instrument: Instrument, seconds: int, time: int
) -> None:
    series = bars(instrument.symbol, seconds, time // seconds, 30)
    for name in ("open", "high", "low", "close"):
        for price in getattr(series, name).tolist():
            tick = Decimal(str(tick_size(instrument.market, price)))
            assert Decimal(str(price)) % tick == 0
    for volume in series.volume.tolist():
        assert volume > 0
        assert Decimal(str(volume)) % Decimal(str(instrument.lot_size)) == 0


def test_another_seed_is_another_market() -> None:
    assert market(2).bars(["AAPL.US"], 60, 1, 50) != MARKET.bars(["AAPL.US"], 60, 1, 50)


def test_a_known_seed_gives_known_bars_on_every_machine() -> None:
    series = bars("BTCUSDT", 60, 29_000_000, 3)
    assert [getattr(series, name).tolist() for name in COLUMNS] == KNOWN


def test_another_list_of_instruments_changes_no_prices() -> None:
    alone = market(instruments=BUILT_IN[7:8])
    assert alone.bars(["700.HK"], 60, 29_000_000, 20) == MARKET.bars(["700.HK"], 60, 29_000_000, 20)


@pytest.mark.parametrize("seconds", [60, 3_600, 86_400])
def test_returns_grow_with_the_square_root_of_the_time(seconds: int) -> None:
    dear = [i.symbol for i in UNIVERSE if i.start_price > 100]  # of others a tick is a large step
    series = MARKET.bars(dear, seconds, 1_790_000_000 // seconds - 3_000, 3_000)
    deviations = [
        np.diff(np.log(one.close)).std() / VOLATILITY[market_of(symbol)] / (seconds / 60) ** 0.5
        for symbol, one in series.items()
    ]
    assert 0.8 < float(np.mean(deviations)) < 1.25


def test_a_market_that_runs_for_years_stays_near_its_start() -> None:
    series = MARKET.bars(SYMBOLS, 86_400, 1_790_000_000 // 86_400 - 2_000, 2_000)
    for instrument in UNIVERSE:
        closes = series[instrument.symbol].close / instrument.start_price
        assert 1 / 8 < closes.min() < closes.max() < 8


async def test_the_latest_bar_is_the_one_that_closed_last() -> None:
    assert (await latest("AAPL.US")).as_of == NOW.replace(second=0)
    assert (await latest("AAPL.US", 1)).as_of == NOW
    assert (await latest("BTCUSDT", 86_400)).as_of == NOW.replace(hour=0, minute=0, second=0)


async def test_time_adds_bars_and_changes_none() -> None:
    before = await latest("TSLA.US", 60, 100)
    later = SimulatedBarSource(1, lambda: NOW + timedelta(minutes=30))
    after = (await later.latest(["TSLA.US"], 60, 100))["TSLA.US"]
    assert isinstance(after, BarSeries)
    assert np.array_equal(after.close[:70], before.close[30:])


async def test_as_many_bars_come_as_are_asked_for_all_instruments_at_once() -> None:
    answers = await MARKET.latest([*SYMBOLS, *SYMBOLS[:3]], 60, 600)
    assert list(answers) == SYMBOLS
    assert {len(answer) for answer in answers.values() if isinstance(answer, BarSeries)} == {600}
    assert {symbol: market_of(symbol) for symbol in answers}["BTCUSDT"] == CRYPTO


async def test_an_instrument_of_another_market_is_unknown_and_the_others_are_answered() -> None:
    answers = await MARKET.latest(["AAPL.US", "XYZ.US", ""], 60, 5)
    assert isinstance(answers["AAPL.US"], BarSeries)
    assert "'XYZ.US' is not known" in str(answers["XYZ.US"])
    assert isinstance(answers[""], UnknownInstrumentError)


async def test_a_length_that_makes_no_sense_is_refused_for_each_symbol() -> None:
    answers = await MARKET.latest(["AAPL.US", "BTCUSDT"], 0, 5)
    assert {type(answer) for answer in answers.values()} == {SeriesError}


@pytest.mark.parametrize("count", [0, -3])
async def test_no_bars_are_an_empty_series(count: int) -> None:
    assert len(await latest("AAPL.US", 60, count)) == 0
