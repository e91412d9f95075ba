import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.indicators import IndicatorValues, Parameters
from streamdesk.strategy.errors import StrategyError
from streamdesk.strategy.scoring import Moment, SideScore, Weights, score

PERIODS = Parameters()
NEUTRAL = IndicatorValues(
    rsi=50,
    bollinger_upper=110,
    bollinger_middle=100,
    bollinger_lower=90,
    macd=0,
    macd_signal=0,
    macd_histogram=0,
    sma_short=100,
    sma_long=100,
    atr=2,
    volume_ratio=1,
)


def moment(
    *, close: float = 100, previous_close: float = 100, before: Any = None, **now: float
) -> Moment:
    earlier = replace(NEUTRAL, **(before or {}))
    return Moment(close, previous_close, [(100, earlier), (close, replace(NEUTRAL, **now))], 80)


def judge(at: Moment, side: Side = Side.BUY) -> SideScore:
    return score(at, side, Weights(), PERIODS)


def points(result: SideScore) -> dict[str, float]:
    return {reason.indicator: reason.contribution for reason in result.reasons}


def text(result: SideScore, indicator: str) -> str:
    return next(reason.text for reason in result.reasons if reason.indicator == indicator)


@pytest.mark.parametrize("side", Side)
def test_a_neutral_market_scores_nothing(side: Side) -> None:
    assert judge(moment(), side).score == 0


@pytest.mark.parametrize(
    ("rsi", "expected"), [(50, 0), (60, 0), (45, 6.25), (40, 12.5), (30, 25), (10, 25)]
)
def test_a_low_rsi_speaks_for_a_buy_up_to_25_points(rsi: float, expected: float) -> None:
    before = {"rsi": rsi}
    assert points(judge(moment(rsi=rsi, before=before)))["rsi"] == expected


def test_a_high_rsi_speaks_for_a_sell() -> None:
    result = judge(moment(rsi=72), Side.SELL)
    assert points(result)["rsi"] == 25
    assert text(result, "rsi") == "RSI 72.0 is overbought"


def test_a_dip_of_a_moment_ago_still_counts_and_says_so() -> None:
    result = judge(moment(rsi=42, before={"rsi": 28}))
    assert points(result)["rsi"] == 25
    assert text(result, "rsi") == "RSI 42.0 was 28.0 a moment ago, which is oversold"


@pytest.mark.parametrize(("close", "expected"), [(100, 0), (95, 10), (90, 20), (80, 20), (105, 0)])
def test_a_price_below_the_middle_band_speaks_for_a_buy(close: float, expected: float) -> None:
    assert points(judge(moment(close=close)))["bollinger"] == expected


def test_a_price_above_the_middle_band_speaks_for_a_sell() -> None:
    assert points(judge(moment(close=105), Side.SELL))["bollinger"] == 10


def test_bands_without_width_give_no_points() -> None:
    flat = {"bollinger_upper": 100.0, "bollinger_lower": 100.0}
    result = judge(moment(close=100, before=flat, **flat))
    assert points(result)["bollinger"] == 0
    assert "stands still" in text(result, "bollinger")


def test_macd_crossing_its_signal_line_gives_all_its_points() -> None:
    up = moment(macd_histogram=0.001, before={"macd_histogram": -0.001})
    down = moment(macd_histogram=-0.001, before={"macd_histogram": 0.001})
    assert points(judge(up))["macd"] == 20
    assert points(judge(down))["macd"] == 0
    assert points(judge(down, Side.SELL))["macd"] == 20


def test_a_rising_histogram_gives_points_in_tenths_of_the_atr() -> None:
    turning = moment(macd_histogram=-0.9, before={"macd_histogram": -1.0})
    assert points(judge(turning))["macd"] == 10  # 0.1 of 2 is half of a tenth
    assert text(judge(turning), "macd") == "MACD histogram rose by 0.05 ATR"


def test_the_trend_counts_in_atrs_between_the_averages() -> None:
    assert points(judge(moment(sma_short=101)))["trend"] == 10
    assert points(judge(moment(sma_short=99)))["trend"] == 0
    assert points(judge(moment(sma_short=99), Side.SELL))["trend"] == 10


def test_volume_confirms_the_way_the_price_went() -> None:
    rising = moment(close=100, previous_close=99, volume_ratio=1.5)
    assert points(judge(rising))["volume"] == 7.5
    assert points(judge(rising, Side.SELL))["volume"] == 0


def test_an_indicator_without_a_value_gives_nothing_and_says_how_many_bars_it_needs() -> None:
    young = Moment(100, 100, [(100, replace(NEUTRAL, sma_long=math.nan))], 42)
    result = judge(young)
    assert text(result, "trend") == "trend: not enough bars (42 of 50)"
    assert text(result, "macd") == "MACD: not enough bars (42 of 35)"
    assert points(result)["trend"] == points(result)["macd"] == 0


def test_without_any_indicator_every_reason_says_so() -> None:
    result = judge(Moment(100, 100, [(100, IndicatorValues())], 1))
    assert result.score == 0
    assert all("not enough bars" in reason.text for reason in result.reasons)


def test_no_volume_before_is_not_taken_for_too_few_bars() -> None:
    assert (
        text(judge(moment(volume_ratio=math.nan)), "volume") == "volume: nothing was traded before"
    )


def test_a_price_that_stands_still_scores_nothing() -> None:
    result = judge(moment(atr=0, macd_histogram=1, sma_short=101))
    assert points(result)["macd"] == points(result)["trend"] == 0


def test_the_atr_is_named_and_gives_no_points() -> None:
    result = judge(moment())
    assert points(result)["atr"] == 0
    assert text(result, "atr") == "ATR 2 (2.00% of the price) sets the stops"


VALUES = st.floats(-1e6, 1e6)


@given(
    st.builds(
        IndicatorValues,
        rsi=st.floats(0, 100),
        bollinger_upper=VALUES,
        bollinger_middle=VALUES,
        macd_histogram=VALUES,
        sma_short=VALUES,
        sma_long=VALUES,
        atr=st.floats(0, 1e6),
        volume_ratio=st.one_of(st.just(math.nan), st.floats(0, 1e9)),
    ),
    st.sampled_from(Side),
    st.floats(0.01, 1e6),
)
def test_contributions_sum_to_a_score_from_0_to_100(
    values: IndicatorValues, side: Side, close: float
) -> None:
    result = judge(Moment(close, 100, [(100, NEUTRAL), (close, values)], 80), side)
    hundredths = [round(reason.contribution * 100) for reason in result.reasons]
    assert all(r.contribution == n / 100 for r, n in zip(result.reasons, hundredths, strict=True))
    assert result.score == sum(hundredths) / 100
    assert 0 <= result.score <= 100


def test_weights_that_do_not_sum_to_100_are_refused() -> None:
    with pytest.raises(StrategyError, match="sum to 95"):
        Weights(rsi=20)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(StrategyError, match="weight of rsi is -5"):
        Weights(rsi=-5, bollinger=50)
