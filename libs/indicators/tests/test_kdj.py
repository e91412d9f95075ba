"""KDJ against its formula in plain Python, against pandas, and at its edges."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.indicators import InputError, ParameterError, kdj

Bar = tuple[float, float, float]

TICKS = st.integers(1, 2_000)
BARS = st.lists(
    st.tuples(TICKS, TICKS, TICKS).map(lambda t: (max(t), min(t), t[2])), min_size=9, max_size=80
)


def close_to(values: Any) -> Any:
    return pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True)


def in_plain_python(bars: list[Bar], period: int = 9) -> list[tuple[float, ...]]:
    """The formula bar by bar, from the definition; None of NumPy, none of TA-Lib."""
    k = d = 50.0
    values: list[tuple[float, ...]] = []
    for i, (_, _, close) in enumerate(bars):
        if i < period - 1:
            values.append((math.nan,) * 3)
            continue
        window = bars[i - period + 1 : i + 1]
        highest = max(high for high, _, _ in window)
        lowest = min(low for _, low, _ in window)
        raw = 50.0 if highest == lowest else 100 * (close - lowest) / (highest - lowest)
        k = 2 / 3 * k + raw / 3
        d = 2 / 3 * d + k / 3
        values.append((k, d, 3 * k - 2 * d))
    return values


def columns(bars: list[Bar]) -> Any:
    return np.array(bars, dtype=np.float64).T


def test_three_bars_of_a_short_kdj_are_those_computed_on_paper() -> None:
    # Range of two bars. RSV: (12 - 8) / (12 - 8) = 100 %, (10 - 8) / (14 - 8) = 33.3 %.
    values = kdj([10, 12, 14], [8, 9, 8], [9, 12, 10], period=2)
    assert values.k.tolist() == close_to([math.nan, 200 / 3, 500 / 9])
    assert values.d.tolist() == close_to([math.nan, 500 / 9, 500 / 9])
    assert values.j.tolist() == close_to([math.nan, 800 / 9, 500 / 9])


def test_kdj_is_what_pandas_computes(golden_bars: Any, golden: Any) -> None:
    values = kdj(golden_bars.high, golden_bars.low, golden_bars.close)
    for row in golden["kdj"]:
        got = [column[row["bar"]] for column in values]
        expected = [math.nan if row[name] is None else row[name] for name in "kdj"]
        assert got == close_to(expected), row["bar"]


@settings(max_examples=80, deadline=None)
@given(BARS)
def test_kdj_is_its_formula_on_any_bars(bars: list[Bar]) -> None:
    values = np.array(kdj(*columns(bars))).T
    for i, expected in enumerate(in_plain_python(bars)):
        assert values[i].tolist() == close_to(list(expected)), i


@settings(max_examples=80, deadline=None)
@given(BARS)
def test_k_and_d_stay_between_0_and_100(bars: list[Bar]) -> None:
    values = kdj(*columns(bars))
    for column in (values.k[8:], values.d[8:]):
        assert column.min() >= -1e-9
        assert column.max() <= 100 + 1e-9


@settings(max_examples=80, deadline=None)
@given(BARS, st.integers(1, 500), st.integers(-10, 10))
def test_kdj_does_not_depend_on_the_level_or_the_unit_of_the_price(
    bars: list[Bar], shift: int, exponent: int
) -> None:
    # Whole numbers and powers of two, so that moving the prices rounds none of them.
    unit = 2.0**exponent
    moved = [((h + shift) * unit, (lo + shift) * unit, (c + shift) * unit) for h, lo, c in bars]
    assert np.array(kdj(*columns(moved))) == close_to(np.array(kdj(*columns(bars))))


@settings(max_examples=80, deadline=None)
@given(BARS)
def test_mirrored_prices_mirror_kdj_about_50(bars: list[Bar]) -> None:
    mirrored = [(-low, -high, -close) for high, low, close in bars]
    assert np.array(kdj(*columns(mirrored))) == close_to(100 - np.array(kdj(*columns(bars))))


@settings(max_examples=40, deadline=None)
@given(BARS, st.integers(0, 79))
def test_a_value_of_kdj_does_not_change_when_bars_follow(bars: list[Bar], cut: int) -> None:
    whole, part = np.array(kdj(*columns(bars))), np.array(kdj(*columns([*bars[: cut + 1]])))
    assert np.array_equal(whole[:, : cut + 1], part, equal_nan=True)


def test_a_price_that_never_moved_is_in_the_middle() -> None:
    values = kdj(np.full(30, 7.3), np.full(30, 7.3), np.full(30, 7.3))
    for column in values:
        assert np.isnan(column[:8]).all()
        assert (column[8:] == 50).all()


def test_a_price_that_stands_still_after_a_rise_returns_to_the_middle() -> None:
    prices = np.concatenate((np.linspace(10, 20, 30), np.full(60, 20.0)))
    values = kdj(prices, prices, prices)
    assert values.k[29] > 95
    assert values.k[-1] == pytest.approx(50, abs=1e-6)
    assert (np.diff(values.k[37:]) <= 0).all()


def test_the_seed_is_forgotten_within_a_month_of_bars(golden_bars: Any) -> None:
    prices = golden_bars.high, golden_bars.low, golden_bars.close
    whole = kdj(*prices)
    late = kdj(*(column[500:] for column in prices))
    assert late.k[30:] == pytest.approx(whole.k[530:], abs=0.02)


def test_longer_smoothing_takes_less_of_the_news() -> None:
    bars = [(float(i + 1), float(i), i + 0.5) for i in range(40)]
    high, low, close = columns(bars)
    slow, usual = kdj(high, low, close, smooth_k=6), kdj(high, low, close)
    assert slow.k[9] < usual.k[9]


@pytest.mark.parametrize("count", [0, 1, 8])
def test_fewer_bars_than_the_period_give_no_kdj(count: int) -> None:
    values = kdj(np.ones(count), np.ones(count), np.ones(count))
    assert [column.size for column in values] == [count] * 3
    assert all(np.isnan(column).all() for column in values)


@pytest.mark.parametrize("name", ["period", "smooth_k", "smooth_d"])
def test_a_period_of_kdj_below_two_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ParameterError, match=f"kdj {name} must be a whole number of bars from 2"):
        kdj([1.0], [1.0], [1.0], **{name: 1})


def test_kdj_refuses_prices_that_do_not_fit_together() -> None:
    with pytest.raises(InputError, match="high 2, low 1, close 2"):
        kdj([1, 2], [1], [1, 2])
    with pytest.raises(InputError, match="low at bar 1 is not a finite number"):
        kdj([1, 2], [1, math.nan], [1, 2])
