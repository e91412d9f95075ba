import math
from typing import Any

import numpy as np
import pytest

from streamdesk.indicators import (
    IndicatorSet,
    InputError,
    ParameterError,
    Parameters,
    atr,
    bollinger,
    compute,
    macd,
    rsi,
    sma,
    volume_ratio,
)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused_and_its_bar_named(bad: float) -> None:
    with pytest.raises(InputError, match="close at bar 2 is not a finite number"):
        rsi([1.0, 2.0, bad])


def test_a_negative_volume_is_refused() -> None:
    with pytest.raises(InputError, match=r"negative, got -1\.0"):
        volume_ratio([1.0, -1.0])


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="high 2, low 1, close 2"):
        atr([1, 2], [1], [1, 2])


@pytest.mark.parametrize("values", [5.0, [[1.0, 2.0]]])
def test_anything_but_one_dimension_is_refused(values: Any) -> None:
    with pytest.raises(InputError, match="one dimension"):
        rsi(values)


def test_text_is_refused() -> None:
    with pytest.raises(InputError, match="array of numbers"):
        rsi(["ten"])


def test_no_bars_give_no_values() -> None:
    arrays = compute([], [], [], [])
    assert all(getattr(arrays, name).size == 0 for name in arrays.__slots__)


def test_a_single_bar_gives_no_value_yet() -> None:
    arrays = compute([1], [1], [1], [1])
    assert all(np.isnan(getattr(arrays, name)).all() for name in arrays.__slots__)


def test_the_input_is_left_as_it_was() -> None:
    closes = np.full(30, 7.0)
    rsi(closes)
    assert (closes == 7).all()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"rsi": 1}, "rsi must be a whole number of bars from 2"),
        ({"atr": 0}, "atr must be a whole number of bars from 1"),
        ({"volume": 2.5}, "volume must be a whole number"),
        ({"macd_fast": 26}, "macd_fast 26 must be less than macd_slow 26"),
        ({"sma_short": 60}, "sma_short 60 must be less than sma_long 50"),
        ({"deviations": 0}, "deviations must be a number above 0"),
        ({"deviations": math.nan}, "deviations must be a number above 0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: Any, complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint):
        Parameters(**wrong)


def test_the_single_functions_check_their_periods_too() -> None:
    with pytest.raises(ParameterError):
        sma([1.0], 0)
    with pytest.raises(ParameterError):
        bollinger([1.0], 20, -1)
    with pytest.raises(ParameterError):
        macd([1.0], fast=30)


@pytest.mark.parametrize(
    "bar", [(math.nan, 1, 1, 1), (1, 1, math.inf, 1), (1, 1, 1, math.nan), (1, 1, 1, -1)]
)
def test_a_refused_bar_leaves_the_stream_as_it_was(bar: tuple[float, ...]) -> None:
    refusing, other = IndicatorSet(), IndicatorSet()
    for i in range(60):
        price = 100 + math.sin(i)
        if i in {5, 50}:
            with pytest.raises(InputError):
                refusing.update(*bar)
        refusing.update(price + 1, price - 1, price, i)
        other.update(price + 1, price - 1, price, i)
        assert str(refusing.values) == str(other.values)  # as text, so that NaN equals NaN
    assert refusing.bars == other.bars == 60
