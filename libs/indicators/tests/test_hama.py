"""HAMA against its formulas in plain Python and against pandas; its signs; its edges."""

import math
from typing import Any

import numpy as np
import pytest

from streamdesk.indicators import (
    NSDT,
    QUANTDINGER,
    HamaPreset,
    hama,
)

NUMBERS = ("open", "high", "low", "close", "line", "middle", "upper", "lower", "width")
SIGNS = ("direction", "side", "cross", "trend", "bands")
LETTERS = {-1: "-", 0: "0", 1: "+"}

both = pytest.mark.parametrize("preset", [NSDT, QUANTDINGER], ids=lambda preset: preset.name)


def same(values: Any) -> Any:
    return pytest.approx(values, rel=1e-8, abs=1e-8, nan_ok=True)


def ema(values: list[float], period: int) -> list[float]:
    averages = values[:1]
    for value in values[1:]:
        averages.append(averages[-1] + 2 / (period + 1) * (value - averages[-1]))
    return [math.nan] * (period - 1) + averages[period - 1 :]


def wma(values: list[float], period: int) -> list[float]:
    averages = [math.nan] * (period - 1)
    for i in range(period - 1, len(values)):
        window = values[i - period + 1 : i + 1]
        weighted = [weight * value for weight, value in enumerate(window, 1)]
        averages.append(math.fsum(weighted) / (period * (period + 1) / 2))
    return averages


def deviation(window: list[float], less: int) -> float:
    mean = math.fsum(window) / len(window)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in window) / (len(window) - less))


def straight(start: float, end: float, count: int = 450) -> Any:
    close = np.linspace(start, end, count)
    open_ = np.concatenate(([start], close[:-1]))
    return open_, np.maximum(open_, close) + 0.01, np.minimum(open_, close) - 0.01, close


@both
def test_every_number_is_what_pandas_computes(
    preset: HamaPreset, golden_bars: Any, golden: Any
) -> None:
    arrays = hama(*golden_bars.prices, preset=preset)
    for row in golden[preset.name]["rows"]:
        expected = [math.nan if row[name] is None else row[name] for name in NUMBERS]
        assert [getattr(arrays, name)[row["bar"]] for name in NUMBERS] == same(expected), row
        assert [getattr(arrays, name)[row["bar"]] for name in SIGNS] == [row[n] for n in SIGNS]


@both
@pytest.mark.parametrize("name", SIGNS)
def test_every_sign_of_every_bar_is_what_pandas_computes(
    preset: HamaPreset, name: str, golden_bars: Any, golden: Any
) -> None:
    signs = getattr(hama(*golden_bars.prices, preset=preset), name)
    assert "".join(LETTERS[int(sign)] for sign in signs) == golden[preset.name]["signs"][name]


@both
@pytest.mark.parametrize("seed", range(3))
def test_candles_are_averages_of_their_four_sources(
    preset: HamaPreset, seed: int, walk: Any
) -> None:
    o, h, lo, c = (column.tolist() for column in walk(seed, 450))
    arrays = hama(o, h, lo, c, preset=preset)
    opens = [(a + b) / 2 for a, b in zip(o[:-1], c[:-1], strict=True)]
    closes = [sum(bar) / 4 for bar in zip(o, h, lo, c, strict=True)]
    assert arrays.open.tolist() == same([math.nan, *ema(opens, preset.open_period)])
    assert arrays.high.tolist() == same(ema(h, preset.high_period))
    assert arrays.low.tolist() == same(ema(lo, preset.low_period))
    assert arrays.close.tolist() == same(ema(closes, preset.close_period))


@pytest.mark.parametrize("seed", range(3))
def test_the_line_of_nsdt_is_a_weighted_average_of_the_middle_of_the_bars(
    seed: int, walk: Any
) -> None:
    prices = walk(seed, 200)
    middles = ((prices[1] + prices[2]) / 2).tolist()
    assert hama(*prices, preset=NSDT).line.tolist() == same(wma(middles, 55))


@pytest.mark.parametrize("seed", range(3))
def test_the_line_of_quantdinger_is_an_exponential_average_of_the_close(
    seed: int, walk: Any
) -> None:
    prices = walk(seed, 200)
    assert hama(*prices, preset=QUANTDINGER).line.tolist() == same(ema(prices[3].tolist(), 100))


@both
def test_bands_lie_two_deviations_from_their_middle(preset: HamaPreset, walk: Any) -> None:
    prices = walk(7, 450)
    closes = prices[3].tolist()
    arrays = hama(*prices, preset=preset)
    averages = ema(closes, 400)
    for i in range(preset.bands_period - 1, 450):
        window = closes[i - preset.bands_period + 1 : i + 1]
        simple = math.fsum(window) / len(window)
        middle = averages[i] if preset is QUANTDINGER else simple
        reach = 2 * deviation(window, less=1 if preset is QUANTDINGER else 0)
        expected = [middle + reach, middle, middle - reach, 2 * reach / middle]
        got = [arrays.upper[i], arrays.middle[i], arrays.lower[i], arrays.width[i]]
        assert got == pytest.approx(expected, rel=1e-7)


@both
def test_a_market_that_only_rises_is_green_at_every_bar_and_never_red(preset: HamaPreset) -> None:
    # A program that compares with a previous open it has not stored yet paints all of them red.
    arrays = hama(*straight(100, 200), preset=preset)
    assert arrays.green[preset.open_period + 1 :].all()
    assert (arrays.side[preset.line_period :] == 1).all()
    assert (arrays.trend[preset.line_period :] == 1).all()


@both
def test_a_market_that_only_falls_is_red_at_every_bar(preset: HamaPreset) -> None:
    arrays = hama(*straight(200, 100), preset=preset)
    assert not arrays.green.any()
    assert (arrays.direction[preset.open_period + 1 :] == -1).all()
    assert (arrays.side[preset.line_period :] == -1).all()
    assert (arrays.trend[preset.line_period :] == -1).all()


@both
def test_the_colour_of_a_bar_compares_its_candle_with_the_one_before(
    preset: HamaPreset, walk: Any
) -> None:
    arrays = hama(*walk(3, 450), preset=preset)
    rose = arrays.open[1:] > arrays.open[:-1]
    assert (arrays.green[1:] == rose).all()
    assert 0 < np.count_nonzero(arrays.green) < 400, "a walk goes both ways"


@both
def test_a_crossing_is_a_change_of_side(preset: HamaPreset, walk: Any) -> None:
    arrays = hama(*walk(5, 900), preset=preset)
    known = preset.line_period  # the second bar with a line
    for i in range(known, 900):
        now, before = int(arrays.side[i]), int(arrays.side[i - 1])
        expected = 1 if now > 0 >= before else -1 if now < 0 <= before else 0
        assert arrays.cross[i] == expected, i
    assert set(arrays.cross.tolist()) == {-1, 0, 1}
    assert not arrays.cross[:known].any(), "the first bar with a line crosses nothing"
