"""What HAMA says of an instrument: state, score, words, and when they count as new."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.analysis.domain.hama import HamaAnalysis, analyse, bars_needed, changed
from streamdesk.analysis.errors import NotEnoughBarsError, UnknownPresetError
from streamdesk.contracts.events.analysis import HamaChanged
from streamdesk.indicators import PRESETS, InputError, atr, hama
from streamdesk.market.series import BarSeries, to_milliseconds

START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

both = pytest.mark.parametrize("preset", ["nsdt", "quantdinger"])


def series(close: Any, reach: float = 0.05, symbol: str = "AAPL.US") -> BarSeries:
    close = np.asarray(close, dtype=np.float64)
    open_ = np.concatenate((close[:1], close[:-1]))
    return BarSeries(
        symbol=symbol,
        interval_seconds=60,
        timestamps=to_milliseconds(START) + 60_000 * np.arange(1, close.size + 1, dtype=np.int64),
        open=open_,
        high=np.maximum(open_, close) + reach,
        low=np.minimum(open_, close) - reach,
        close=close,
        volume=np.full(close.size, 1_000.0),
    )


def walk(seed: int, count: int = 600) -> Any:
    return 100 + np.cumsum(np.random.default_rng(seed).normal(0, 0.1, count))


def said(bars: BarSeries, preset: str = "nsdt") -> HamaAnalysis:
    return analyse(bars, preset, source="simulated", computed_at=NOW)


def spelled_out(bars: BarSeries, preset: str) -> tuple[str, float]:
    """State and score by the formula of the module, from the arrays of the indicators."""
    arrays = hama(bars.open, bars.high, bars.low, bars.close, preset=PRESETS[preset])
    rise = arrays.open[-1] - arrays.open[-2]
    gap = arrays.close[-1] - arrays.line[-1]
    direction = math.copysign(1, rise) if abs(rise) > 1e-8 else 0
    side = math.copysign(1, gap) if abs(gap) > 1e-8 else 0
    true_range = atr(bars.high, bars.low, bars.close)[-1]
    distance = np.clip(gap / (2 * true_range), -1, 1)
    slope = np.clip((arrays.line[-1] - arrays.line[-2]) / (0.1 * true_range), -1, 1)
    reach = arrays.upper[-1] - arrays.middle[-1]
    place = np.clip((bars.close[-1] - arrays.middle[-1]) / reach, -1, 1)
    score = 50 + 15 * direction + 15 * side + 8 * distance + 6 * slope + 6 * place
    state = "bullish" if direction == side == 1 else "bearish" if direction == side == -1 else ""
    return state or "neutral", float(score)


@both
def test_a_market_that_rises_is_bullish_green_and_scores_high(preset: str) -> None:
    analysis = said(series(np.linspace(100, 160, 600)), preset)
    assert (analysis.state, analysis.colour, analysis.trend) == ("bullish", "green", "up")
    assert analysis.score > 90


@both
def test_a_market_that_falls_is_bearish_red_and_scores_low(preset: str) -> None:
    analysis = said(series(np.linspace(160, 100, 600)), preset)
    assert (analysis.state, analysis.colour, analysis.trend) == ("bearish", "red", "down")
    assert analysis.score < 10


@both
def test_a_price_that_stands_still_is_neutral_flat_and_scores_50(preset: str) -> None:
    analysis = said(series(np.full(600, 7.3), reach=0), preset)
    assert (analysis.state, analysis.trend, analysis.signal) == ("neutral", "flat", "none")
    assert analysis.score == 50
    assert analysis.colour == "red", "as in the original: green is only what rises"


@both
@pytest.mark.parametrize("seed", range(20))
def test_state_and_score_follow_the_documented_formula(preset: str, seed: int) -> None:
    bars = series(walk(seed))
    analysis = said(bars, preset)
    state, score = spelled_out(bars, preset)
    assert analysis.state == state
    assert analysis.score == pytest.approx(score, abs=0.0051)


@both
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), count=st.integers(400, 700))
def test_bullish_scores_60_and_more_and_bearish_40_and_less(
    preset: str, seed: int, count: int
) -> None:
    analysis = said(series(walk(seed, count)), preset)
    lowest, highest = {"bullish": (60, 100), "bearish": (0, 40), "neutral": (30, 70)}[
        analysis.state
    ]
    assert lowest <= analysis.score <= highest
    assert analysis.bars == count
    assert all(math.isfinite(value) for value in analysis.indicators.values())


@both
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 100_000))
def test_mirrored_prices_have_the_opposite_state_and_the_score_missing_to_100(
    preset: str, seed: int
) -> None:
    close = walk(seed)
    analysis, mirrored = said(series(close), preset), said(series(400 - close), preset)
    opposite = {"bullish": "bearish", "bearish": "bullish", "neutral": "neutral"}
    assert mirrored.state == opposite[analysis.state]
    assert mirrored.score == pytest.approx(100 - analysis.score, abs=0.011)


def test_a_turn_of_the_market_gives_each_signal_once_and_says_how_long_ago() -> None:
    close = np.concatenate((np.linspace(150, 120, 300), np.linspace(120, 150, 100)))
    found = {count: said(series(close[:count])) for count in range(290, 401)}
    crossed = [count for count, analysis in found.items() if analysis.signal == "cross-up"]
    assert len(crossed) == 1
    assert all(found[count].signal == "none" for count in found if count not in crossed)
    assert found[crossed[0]].indicators["bars_since_cross_up"] == 0
    assert found[crossed[0] + 7].indicators["bars_since_cross_up"] == 7
    assert "bars_since_cross_up" not in found[crossed[0] - 1].indicators
    assert found[400].state == "bullish"


def test_a_calm_is_a_squeeze_and_a_storm_an_expansion() -> None:
    rng = np.random.default_rng(2)
    steps = np.concatenate((rng.normal(0, 0.2, 300), rng.normal(0, 0.005, 27)))
    calm = 100 + np.cumsum(steps)
    storm = np.concatenate((calm, calm[-1] + np.cumsum(rng.normal(0, 1, 25))))
    assert said(series(calm)).bollinger == "squeeze"
    assert said(series(storm)).bollinger == "expansion"


def test_an_analysis_names_what_it_was_made_of() -> None:
    bars = series(walk(1), symbol="BTCUSDT")
    analysis = said(bars)
    assert (analysis.symbol, analysis.preset, analysis.source) == ("BTCUSDT", "nsdt", "simulated")
    assert (analysis.interval_seconds, analysis.bars) == (60, 600)
    assert analysis.as_of == START + timedelta(minutes=600)
    assert analysis.computed_at == NOW
    assert analysis.close == bars.close[-1]
    arrays = hama(bars.open, bars.high, bars.low, bars.close)
    assert analysis.indicators["hama_open"] == arrays.open[-1]
    assert analysis.indicators["line"] == arrays.line[-1]
    assert analysis.indicators["bollinger_width_percent"] == pytest.approx(100 * arrays.width[-1])
    assert {"hama_high", "hama_low", "hama_close", "atr"} <= analysis.indicators.keys()


def test_an_analysis_comes_back_from_json_as_it_was() -> None:
    analysis = said(series(walk(3)))
    assert HamaAnalysis.model_validate_json(analysis.model_dump_json()) == analysis
    assert "NaN" not in json.dumps(analysis.model_dump(mode="json"))


def test_an_analysis_has_what_its_event_says() -> None:
    analysis = said(series(walk(4)))
    shared = HamaChanged.model_fields.keys() - {"timestamp", "previous_state"}
    event = HamaChanged(
        timestamp=analysis.as_of, **{name: getattr(analysis, name) for name in shared}
    )
    assert event.score == analysis.score


@both
def test_a_bar_too_few_is_refused_and_the_number_needed_said(preset: str) -> None:
    needed = bars_needed(preset)
    assert said(series(walk(1, needed)), preset).bars == needed
    complaint = f"AAPL.US has {needed - 1} bars, its analysis needs {needed}"
    with pytest.raises(NotEnoughBarsError, match=complaint) as raised:
        said(series(walk(1, needed - 1)), preset)
    assert (raised.value.symbol, raised.value.bars) == ("AAPL.US", needed - 1)
    assert raised.value.needed == needed


def test_a_series_without_bars_is_refused_as_too_short() -> None:
    with pytest.raises(NotEnoughBarsError, match="0 bars"):
        said(BarSeries.empty("AAPL.US", 60))


def test_an_unknown_preset_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(UnknownPresetError, match="'heikin'; expected one of nsdt, quantdinger"):
        said(series(walk(1)), "heikin")


def test_prices_that_are_no_prices_are_refused() -> None:
    with pytest.raises(InputError, match="must be above 0"):
        said(series(np.linspace(1, -1, 600)))


def test_the_first_analysis_is_news() -> None:
    assert changed(None, said(series(walk(1))))


def test_the_same_words_with_other_numbers_are_no_news() -> None:
    before = said(series(walk(1)))
    later = {"score": 12.5, "close": 1.0, "as_of": NOW, "bars": 7, "indicators": {}}
    assert not changed(before, before.model_copy(update=later))


@pytest.mark.parametrize(
    "news",
    [
        {"state": "bullish"},
        {"colour": "green"},
        {"trend": "up"},
        {"signal": "cross-up"},
        {"bollinger": "squeeze"},
    ],
    ids=lambda news: next(iter(news)),
)
def test_another_word_is_news(news: dict[str, str]) -> None:
    falling = said(series(np.linspace(160, 100, 600)))
    assert changed(falling, falling.model_copy(update=news))
