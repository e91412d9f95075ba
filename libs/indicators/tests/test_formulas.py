"""Every indicator against its formula, written out in plain Python."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from streamdesk.indicators import atr, bollinger, macd, rsi, sma, volume_ratio


def close_to(values: Any) -> Any:
    return pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True)


def wilder(changes: list[float], period: int) -> list[float]:
    averages = [sum(changes[:period]) / period]
    for change in changes[period:]:
        averages.append((averages[-1] * (period - 1) + change) / period)
    return averages


def ema(values: list[float], period: int) -> list[float]:
    averages = [sum(values[:period]) / period]
    for value in values[period:]:
        averages.append(averages[-1] + 2 / (period + 1) * (value - averages[-1]))
    return averages


def test_rsi_is_wilders_share_of_gains_in_all_movement(
    random_bars: Callable[[int, int], Any],
) -> None:
    closes = random_bars(1, 120).close.tolist()
    changes = [b - a for a, b in pairwise(closes)]
    gains = wilder([max(change, 0) for change in changes], 14)
    losses = wilder([max(-change, 0) for change in changes], 14)
    expected = [100 * g / (g + lo) for g, lo in zip(gains, losses, strict=True)]
    assert rsi(closes)[14:].tolist() == close_to(expected)


def test_bollinger_bands_are_two_population_deviations_from_the_mean(
    random_bars: Callable[[int, int], Any],
) -> None:
    closes = random_bars(2, 80).close
    bands = bollinger(closes)
    for i in range(19, 80):
        window = closes[i - 19 : i + 1]
        deviation = math.sqrt(float(np.mean((window - window.mean()) ** 2)))
        assert bands.middle[i] == close_to(window.mean())
        assert bands.upper[i] == pytest.approx(window.mean() + 2 * deviation, rel=1e-7)
        assert bands.lower[i] == pytest.approx(window.mean() - 2 * deviation, rel=1e-7)


def test_macd_is_the_difference_of_two_averages_of_one_age_and_its_signal_line(
    random_bars: Callable[[int, int], Any],
) -> None:
    closes = random_bars(3, 100).close.tolist()
    fast = ema(closes[14:], 12)
    slow = ema(closes, 26)
    line = [f - s for f, s in zip(fast, slow, strict=True)]
    signal = ema(line, 9)
    values = macd(closes)
    assert values.line[33:].tolist() == close_to(line[8:])
    assert values.signal[33:].tolist() == close_to(signal)
    assert values.histogram[33:].tolist() == close_to(
        [a - b for a, b in zip(line[8:], signal, strict=True)]
    )


def test_sma_is_the_mean_of_the_last_values() -> None:
    assert sma([1, 2, 3, 4, 6], 3).tolist() == close_to([math.nan, math.nan, 2, 3, 13 / 3])


def test_atr_is_wilders_average_of_the_true_range(random_bars: Callable[[int, int], Any]) -> None:
    bars = random_bars(4, 60)
    ranges = [
        max(bars.high[i], bars.close[i - 1]) - min(bars.low[i], bars.close[i - 1])
        for i in range(1, 60)
    ]
    assert atr(bars.high, bars.low, bars.close)[14:].tolist() == close_to(wilder(ranges, 14))


def test_the_true_range_counts_a_gap_from_the_last_close() -> None:
    assert atr([10, 21], [9, 20], [10, 20], period=1)[1] == 11


def test_the_volume_ratio_compares_with_the_bars_before_and_not_with_itself() -> None:
    assert volume_ratio([10.0] * 20 + [50.0])[20] == 5


def test_the_volume_ratio_of_no_volume_is_zero() -> None:
    assert volume_ratio([10.0] * 20 + [0.0])[20] == 0


def test_the_volume_ratio_is_unknown_when_nothing_was_traded_before() -> None:
    assert math.isnan(volume_ratio([0.0] * 20 + [50.0])[20])


@pytest.mark.parametrize("price", [0.1, 100.0, 123456.789])
def test_a_price_that_stands_still_is_neutral(price: float) -> None:
    closes = np.full(120, price)
    assert np.all(rsi(closes)[14:] == 50)
    assert np.all(macd(closes).histogram[33:] == 0)
    assert np.all(atr(closes, closes, closes)[14:] == 0)
    bands = bollinger(closes)
    assert bands.upper[19:].tolist() == close_to(bands.lower[19:].tolist())


def test_a_price_that_only_falls_is_not_taken_for_one_that_stands_still() -> None:
    assert rsi(np.linspace(100, 50, 40))[-1] == 0


def test_a_price_that_only_rises_has_an_rsi_of_100() -> None:
    assert rsi(np.linspace(50, 100, 40))[-1] == 100


@pytest.mark.parametrize(
    ("name", "first"),
    [("rsi", 14), ("bollinger", 19), ("macd", 33), ("sma 20", 19), ("sma 50", 49), ("atr", 14)],
)
def test_there_is_no_value_before_enough_bars(
    name: str, first: int, random_bars: Callable[[int, int], Any]
) -> None:
    bars = random_bars(5, 60)
    values = {
        "rsi": rsi(bars.close),
        "bollinger": bollinger(bars.close).upper,
        "macd": macd(bars.close).line,
        "sma 20": sma(bars.close, 20),
        "sma 50": sma(bars.close, 50),
        "atr": atr(bars.high, bars.low, bars.close),
    }[name]
    assert np.isnan(values[:first]).all()
    assert np.isfinite(values[first:]).all()
