import math
from datetime import UTC, datetime

import pytest

from streamdesk.contracts.events import Side, SignalType
from streamdesk.indicators import IndicatorValues
from streamdesk.strategy.errors import StrategyError
from streamdesk.strategy.scoring import SideScore
from streamdesk.strategy.signals import (
    Exits,
    SignalDraft,
    Thresholds,
    exit_prices,
    known,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (29.99, None),
        (30, SignalType.WEAK_BUY),
        (49.99, SignalType.WEAK_BUY),
        (50, SignalType.BUY),
        (69.99, SignalType.BUY),
        (70, SignalType.STRONG_BUY),
        (100, SignalType.STRONG_BUY),
    ],
)
def test_the_thresholds_make_the_type_of_a_buy(score: float, expected: SignalType | None) -> None:
    assert Thresholds().type_of(Side.BUY, score) == expected


def test_a_sell_has_a_threshold_of_its_own() -> None:
    assert Thresholds(sell=45).type_of(Side.SELL, 44.99) is None
    assert Thresholds(sell=45).type_of(Side.SELL, 45) is SignalType.SELL


@pytest.mark.parametrize(
    "thresholds",
    [{"minimum": 60}, {"buy": 80}, {"strong_buy": 101}, {"sell": 20}, {"minimum": math.nan}],
)
def test_thresholds_that_leave_a_type_without_scores_are_refused(
    thresholds: dict[str, float],
) -> None:
    with pytest.raises(StrategyError, match="threshold"):
        Thresholds(**thresholds)


def test_the_exits_of_a_buy_lie_two_atrs_below_and_four_above() -> None:
    assert exit_prices(Side.BUY, 271.75, 2.175, Exits()) == (267.4, 280.45)


def test_the_exits_of_a_sell_are_mirrored() -> None:
    assert exit_prices(Side.SELL, 100, 1.5, Exits(1, 3)) == (101.5, 95.5)


def test_an_exit_that_would_not_lie_above_zero_is_left_out() -> None:
    assert exit_prices(Side.BUY, 1, 0.6, Exits()) == (None, 3.4)


@pytest.mark.parametrize("atr", [0.0, math.nan])
def test_there_are_no_exits_without_an_atr(atr: float) -> None:
    assert exit_prices(Side.BUY, 100, atr, Exits()) == (None, None)


@pytest.mark.parametrize(("score", "priority"), [(30, 30), (69.99, 60), (70, 70), (100, 100)])
def test_the_priority_is_the_score_in_steps_of_ten(score: float, priority: int) -> None:
    draft = SignalDraft(
        symbol="AAPL.US",
        type=SignalType.BUY,
        score=SideScore(Side.BUY, score, ()),
        price=100,
        stop_loss=None,
        take_profit=None,
        indicators={},
        timestamp=NOON,
    )
    signal = draft.queued(NOON)
    assert signal.priority == priority
    assert signal.strength == pytest.approx(score / 100)


def test_indicators_without_a_value_are_left_out_of_the_signal() -> None:
    assert known(IndicatorValues(rsi=33.123456789)) == {"rsi": 33.123457}
