import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.market import BarSeries, SeriesError
from streamdesk.market.series import COLUMNS, to_datetime, to_milliseconds

BarOf = Callable[..., Any]


def columns(count: int) -> list[Any]:
    return [np.full(count, float(number)) for number in range(1, 6)]


def test_bars_in_any_order_become_a_series_oldest_first(bar_of: BarOf) -> None:
    series = BarSeries.of([bar_of(number=n, price=100.0 + n) for n in (2, 0, 1)])
    assert series.close.tolist() == [100.0, 101.0, 102.0]
    assert series.as_of == datetime(2026, 11, 20, 15, 32, tzinfo=UTC)
    assert (series.symbol, series.interval_seconds, len(series)) == ("AAPL.US", 60, 3)


def test_of_two_bars_of_one_time_the_later_named_counts(bar_of: BarOf) -> None:
    series = BarSeries.of([bar_of(price=1.0), bar_of(number=1), bar_of(price=2.0)])
    assert series.close.tolist() == [2.0, 100.0]


def test_a_series_of_bars_gives_the_bars_back(bar_of: BarOf) -> None:
    bars = [bar_of(number=n, price=100.0 + n, high=200.0, volume=n * 10.0) for n in range(5)]
    assert list(BarSeries.of(bars).bars()) == bars


def test_the_arrays_can_be_given_to_compiled_code_as_they_are(bar_of: BarOf) -> None:
    series = BarSeries.of([bar_of(number=n) for n in range(5)]).last(3)
    for name in COLUMNS:
        assert getattr(series, name).flags.c_contiguous


def test_bars_of_two_instruments_or_lengths_make_no_series(bar_of: BarOf) -> None:
    with pytest.raises(SeriesError, match=r"'700\.HK', 60.*'AAPL\.US', 60"):
        BarSeries.of([bar_of(), bar_of("700.HK")])
    with pytest.raises(SeriesError, match="300"):
        BarSeries.of([bar_of(), bar_of(number=1, interval_seconds=300)])
    with pytest.raises(SeriesError, match=r"got \[\]"):
        BarSeries.of([])


def test_an_empty_series_has_no_last_bar() -> None:
    empty = BarSeries.empty("AAPL.US", 60)
    assert len(empty) == 0
    assert list(empty.bars()) == []
    with pytest.raises(SeriesError, match="has no last one"):
        _ = empty.as_of


@pytest.mark.parametrize(("count", "left"), [(0, 0), (-1, 0), (1, 1), (4, 4), (9, 4)])
def test_the_last_bars_are_the_newest(bar_of: BarOf, count: int, left: int) -> None:
    series = BarSeries.of([bar_of(number=n, price=100.0 + n) for n in range(4)])
    assert series.last(count).close.tolist() == [100.0, 101.0, 102.0, 103.0][4 - left :]


@pytest.mark.parametrize("times", [[2, 1], [1, 1], [1, 3, 2]])
def test_times_that_do_not_ascend_are_refused(times: list[int]) -> None:
    with pytest.raises(SeriesError, match="timestamps do not ascend"):
        BarSeries("AAPL.US", 60, np.array(times), *columns(len(times)))


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    times: Any = np.arange(3)
    with pytest.raises(SeriesError, match=r"volume is float64 of shape \(2,\)"):
        BarSeries("AAPL.US", 60, times, *[*columns(3)[:4], np.ones(2)])
    with pytest.raises(SeriesError, match="open is int64"):
        BarSeries("AAPL.US", 60, times, times, *columns(3)[1:])
    with pytest.raises(SeriesError, match="timestamps are float64"):
        BarSeries("AAPL.US", 60, times.astype(float), *columns(3))


def test_series_are_equal_when_all_their_numbers_are(bar_of: BarOf) -> None:
    bars = [bar_of(number=n) for n in range(3)]
    series = BarSeries.of(bars)
    assert series == BarSeries.of(bars)
    assert series != BarSeries.of(bars[:2])
    assert series != BarSeries.of([*bars[:2], bar_of(number=2, close=99.0)])
    assert series != "a series"


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000_000))
def test_a_time_survives_the_way_to_milliseconds_and_back(milliseconds: int) -> None:
    assert to_milliseconds(to_datetime(milliseconds)) == milliseconds


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 20, 23, 31, tzinfo=timezone(timedelta(hours=8)))
    assert to_datetime(to_milliseconds(moment)) == moment
    assert to_milliseconds(moment) == math.floor(moment.timestamp() * 1_000)
