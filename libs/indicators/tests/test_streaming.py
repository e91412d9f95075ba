"""A stream gives the numbers of the batch, bit for bit, at every bar."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.indicators import IndicatorSet, IndicatorValues, Parameters, compute

NAMES = [field.name for field in fields(IndicatorValues)]
PRICES = st.one_of(
    st.floats(0.01, 10_000, allow_subnormal=False), st.sampled_from([0.1, 1.0, 100.0])
)
VOLUMES = st.one_of(st.just(0.0), st.floats(0, 1e12, allow_subnormal=False))


def assert_equal_bar_by_bar(
    bars: list[tuple[float, float, float, float]], parameters: Parameters | None = None
) -> None:
    high, low, close, volume = np.array(bars, dtype=np.float64).reshape(-1, 4).T
    batch = compute(high, low, close, volume, parameters)
    stream = IndicatorSet(parameters)
    for i, bar in enumerate(bars):
        values = stream.update(*bar)
        for name in NAMES:
            expected, got = getattr(batch, name)[i], getattr(values, name)
            assert np.array_equal(expected, got, equal_nan=True), f"{name} at bar {i}"


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_equals_the_batch_on_a_random_walk(
    seed: int, random_bars: Callable[[int, int], Any]
) -> None:
    bars = random_bars(seed, 300)
    columns = zip(bars.high, bars.low, bars.close, bars.volume, strict=True)
    assert_equal_bar_by_bar([(float(h), float(l_), float(c), float(v)) for h, l_, c, v in columns])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(PRICES, PRICES, PRICES, VOLUMES), max_size=120).map(
        lambda rows: [(max(a, b, c), min(a, b, c), c, v) for a, b, c, v in rows]
    )
)
def test_a_stream_equals_the_batch_on_any_bars(
    bars: list[tuple[float, float, float, float]],
) -> None:
    assert_equal_bar_by_bar(bars)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([99.0, 100.0, 101.0]), min_size=1, max_size=8).flatmap(
        lambda prices: st.lists(st.sampled_from(prices), min_size=20, max_size=90)
    ),
    st.integers(0, 60),
)
def test_a_stream_equals_the_batch_when_the_price_moves_and_then_stands_still(
    closes: list[float], still: int
) -> None:
    closes += [closes[-1]] * still
    assert_equal_bar_by_bar([(c, c, c, 0.0) for c in closes])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    periods=st.builds(
        Parameters,
        rsi=st.integers(2, 20),
        bollinger=st.integers(2, 30),
        deviations=st.floats(0.5, 3),
        macd_fast=st.integers(2, 12),
        macd_slow=st.integers(13, 30),
        macd_signal=st.integers(1, 12),
        sma_short=st.integers(2, 20),
        sma_long=st.integers(21, 60),
        atr=st.integers(1, 20),
        volume=st.integers(1, 30),
    ),
)
def test_a_stream_equals_the_batch_for_any_periods(seed: int, periods: Parameters) -> None:
    rng = np.random.default_rng(seed)
    closes = 50 + np.abs(np.cumsum(rng.normal(0, 1, 110))) + rng.random(110)
    bars = [(float(c) + 1, float(c) - 1, float(c), float(v)) for v, c in enumerate(closes)]
    assert_equal_bar_by_bar(bars, periods)


def test_a_new_stream_has_no_bars_and_no_values() -> None:
    stream = IndicatorSet()
    assert stream.bars == 0
    assert all(np.isnan(getattr(stream.values, name)) for name in NAMES)


def test_a_stream_remembers_its_last_values() -> None:
    stream = IndicatorSet()
    for i in range(60):
        last = stream.update(101, 99, 100 + i % 2, 10)
    assert stream.values is last
    assert stream.bars == 60


def test_batch_and_stream_use_the_same_names() -> None:
    assert list(compute([], [], [], []).__slots__) == NAMES
