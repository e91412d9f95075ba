"""HAMA at its edges: prices that stand still, few bars, cheap coins; what holds for any bars."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.indicators import (
    NSDT,
    PRESETS,
    QUANTDINGER,
    HamaPreset,
    InputError,
    ParameterError,
    hama,
    hama_preset,
)

NUMBERS = ("open", "high", "low", "close", "line", "middle", "upper", "lower", "width")
SIGNS = ("direction", "side", "cross", "trend", "bands")

both = pytest.mark.parametrize("preset", [NSDT, QUANTDINGER], ids=lambda preset: preset.name)


def same(values: Any) -> Any:
    return pytest.approx(values, rel=1e-8, abs=1e-8, nan_ok=True)


@both
@pytest.mark.parametrize("price", [0.1, 7.3, 0.00001234, 91_250.5])
def test_a_price_that_stands_still_has_no_direction_and_crosses_nothing(
    preset: HamaPreset, price: float
) -> None:
    still = np.full(700, price)
    arrays = hama(still, still, still, still, preset=preset)
    for name in ("direction", "side", "cross", "trend"):
        assert not getattr(arrays, name).any(), name
    assert (arrays.width[preset.bands_period - 1 :] == 0).all()
    assert arrays.line[-1] == pytest.approx(price)


def test_a_price_that_stands_still_is_squeezed_by_a_fixed_width_but_not_by_rank() -> None:
    still = np.full(700, 50.0)
    assert (hama(still, still, still, still, preset=QUANTDINGER).bands[399:] == -1).all()
    assert not hama(still, still, still, still, preset=NSDT).bands.any()


def test_bands_of_quantdinger_are_judged_by_their_width_in_percent(walk: Any) -> None:
    arrays = hama(*walk(11, 1_500), preset=QUANTDINGER)
    known = slice(399, None)
    width, bands = arrays.width[known], arrays.bands[known]
    assert (bands == np.where(width < 0.10, -1, np.where(width > 0.15, 1, 0))).all()
    quiet = tuple(100 + (prices - 100) / 20 for prices in walk(11, 1_500))
    assert (hama(*quiet, preset=QUANTDINGER).bands[known] == -1).all()


def test_bands_of_nsdt_are_judged_by_the_widths_of_the_last_125_bars(walk: Any) -> None:
    arrays = hama(*walk(12, 600), preset=NSDT)
    for i in range(19 + 124, 600):
        others = arrays.width[i - 124 : i].tolist()
        rank = sum(1.0 if w < arrays.width[i] else 0.5 * (w == arrays.width[i]) for w in others)
        rank /= 124
        assert arrays.bands[i] == (-1 if rank < 0.1 else 1 if rank > 0.9 else 0), i
    assert not arrays.bands[: 19 + 124].any()


def test_bands_narrow_in_a_calm_and_widen_in_the_storm_after_it() -> None:
    rng = np.random.default_rng(4)
    steps = np.concatenate((rng.normal(0, 1, 200), rng.normal(0, 0.05, 30), rng.normal(0, 2, 30)))
    close = 500 + np.cumsum(steps)
    bands = hama(close, close + 1, close - 1, close, preset=NSDT).bands
    assert (bands[222:230] == -1).all()
    assert (bands[252:] == 1).all()


@both
def test_a_coin_of_a_hundred_thousandth_of_a_dollar_has_bands(
    preset: HamaPreset, walk: Any
) -> None:
    dear, cheap = walk(9, 450, level=100.0), walk(9, 450, level=1e-5)
    assert hama(*cheap, preset=preset).width == same(hama(*dear, preset=preset).width)
    assert hama(*cheap, preset=preset).width[-1] > 0


@both
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 600))
def test_highs_are_above_lows_and_the_middle_is_between_the_bands(
    preset: HamaPreset, seed: int, count: int, walk: Any
) -> None:
    arrays = hama(*walk(seed, count), preset=preset)
    candles = np.isfinite(arrays.high)
    assert (arrays.high[candles] >= arrays.low[candles]).all()
    known = np.isfinite(arrays.width)
    assert (arrays.upper[known] >= arrays.middle[known]).all()
    assert (arrays.middle[known] >= arrays.lower[known]).all()
    assert np.isfinite(arrays.close).sum() == max(0, count - preset.close_period + 1)


@both
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 599))
def test_a_value_of_hama_does_not_change_when_bars_follow(
    preset: HamaPreset, seed: int, cut: int, walk: Any
) -> None:
    prices = walk(seed, 600)
    whole, part = (
        hama(*prices, preset=preset),
        hama(*(column[:cut] for column in prices), preset=preset),
    )
    for name in NUMBERS + SIGNS:
        early = getattr(whole, name)[:cut]
        assert np.array_equal(early, getattr(part, name), equal_nan=True), name


@both
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-20, 20))
def test_another_unit_of_the_price_changes_the_unit_of_the_candles_and_no_sign(
    preset: HamaPreset, seed: int, exponent: int, walk: Any
) -> None:
    prices, unit = walk(seed, 500), 2.0**exponent
    arrays, scaled = hama(*prices, preset=preset), hama(*(p * unit for p in prices), preset=preset)
    for name in NUMBERS[:-1]:
        assert getattr(scaled, name) / unit == same(getattr(arrays, name)), name
    assert scaled.width == same(arrays.width)
    for name in SIGNS:
        assert np.array_equal(getattr(scaled, name), getattr(arrays, name)), name


@both
# The same walks every time: one bar in ten million differs by just about the noise.
@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_mirrored_prices_turn_every_sign_but_that_of_the_bands(
    preset: HamaPreset, seed: int, walk: Any
) -> None:
    o, h, lo, c = walk(seed, 500)
    level = 2 * float(h.max())
    arrays = hama(o, h, lo, c, preset=preset)
    mirrored = hama(level - o, level - lo, level - h, level - c, preset=preset)
    for name in ("direction", "side", "cross", "trend"):
        assert np.array_equal(getattr(mirrored, name), -getattr(arrays, name)), name
    assert mirrored.high == same(level - arrays.low)


@both
def test_the_bars_needed_are_just_enough_for_every_value_and_its_change(
    preset: HamaPreset, walk: Any
) -> None:
    prices = walk(1, preset.bars_needed)
    arrays = hama(*prices, preset=preset)
    assert all(math.isfinite(getattr(arrays, name)[-1]) for name in NUMBERS)
    assert math.isfinite(arrays.open[-2])
    assert math.isfinite(arrays.line[-2])


def test_nsdt_needs_144_bars_and_quantdinger_400() -> None:
    assert (NSDT.bars_needed, QUANTDINGER.bars_needed) == (144, 400)


@both
@pytest.mark.parametrize("count", [0, 1, 2, 19, 20])
def test_few_bars_give_arrays_of_their_length_and_no_signs(
    preset: HamaPreset, count: int, walk: Any
) -> None:
    arrays = hama(*(column[:count] for column in walk(1, 20)), preset=preset)
    for name in NUMBERS + SIGNS:
        assert getattr(arrays, name).size == count, name
    assert not any(getattr(arrays, name).any() for name in SIGNS)


def test_a_bar_of_one_price_is_a_bar_like_others(walk: Any) -> None:
    prices = walk(6, 450)[3]
    arrays = hama(prices, prices, prices, prices, preset=NSDT)
    assert np.isfinite(arrays.close[19:]).all()
    assert arrays.high.tolist() == same(arrays.low.tolist())


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_price_that_is_not_above_zero_is_refused_and_its_bar_named(bad: float) -> None:
    with pytest.raises(InputError, match=rf"low at bar 1 must be above 0, got {bad}"):
        hama([1, 1], [1, 1], [1, bad], [1, 1])


def test_a_price_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="open at bar 0 is not a finite number"):
        hama([math.nan], [1], [1], [1])
    with pytest.raises(InputError, match="open 1, high 2, low 1, close 1"):
        hama([1], [1, 2], [1], [1])


def test_presets_are_found_by_name_and_others_refused() -> None:
    assert hama_preset("nsdt") is NSDT
    assert set(PRESETS) == {"nsdt", "quantdinger"}
    with pytest.raises(ParameterError, match="one of nsdt, quantdinger, got 'NSDT'"):
        hama_preset("NSDT")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"open_period": 1}, "open_period must be a whole number of bars from 2"),
        ({"rank_period": 1}, "rank_period must be a whole number of bars from 2"),
        ({"deviations": 0.0}, "deviations must be a number above 0"),
        ({"squeeze_below": 0.9}, "squeeze_below 0.9 must be from 0 to less than"),
    ],
)
def test_a_preset_that_makes_no_sense_is_refused(wrong: Any, complaint: str) -> None:
    parts = {name: getattr(NSDT, name) for name in NSDT.__slots__}
    with pytest.raises(ParameterError, match=complaint):
        HamaPreset(**{**parts, **wrong})


def test_a_slow_open_makes_a_preset_need_more_bars(walk: Any) -> None:
    parts = {name: getattr(NSDT, name) for name in NSDT.__slots__}
    slow = HamaPreset(**{**parts, "open_period": 200})
    arrays = hama(*walk(1, slow.bars_needed), preset=slow)
    assert slow.bars_needed == 202
    assert np.isfinite(arrays.open[-2])
    assert np.isnan(arrays.open[-3])


@both
def test_a_price_that_leaves_its_rest_crosses_the_line_once(preset: HamaPreset) -> None:
    prices = np.concatenate((np.full(500, 100.0), np.full(50, 103.0)))
    arrays = hama(prices, prices, prices, prices, preset=preset)
    assert np.flatnonzero(arrays.cross).tolist() == [500]
    assert arrays.cross[500] == 1


def test_a_close_outside_its_bar_makes_the_bar_higher_or_lower(walk: Any) -> None:
    o, h, lo, c = walk(2, 100)
    above, below = hama(o, h, lo, h + 1), hama(o, h, lo, lo - 1)
    assert np.array_equal(above.high, hama(o, h + 1, lo, c).high, equal_nan=True)
    assert np.array_equal(below.low, hama(o, h, lo - 1, c).low, equal_nan=True)
