from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamdesk.contracts.events import Side, SignalGenerated, SignalType
from streamdesk.trading.decisions import decide, request_from
from streamdesk.trading.market_view import MarketState
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.orders import Intent
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Portfolio
from streamdesk.trading.risk import Code, RiskVerdict

SignalOf = Callable[..., SignalGenerated]
NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
CASH = Decimal(1_000_000)
EMPTY = Portfolio({"USD": CASH}, CASH, Decimal(0), ExchangeRates("USD", {"HKD": Decimal("0.128")}))


def outcome(signal: SignalGenerated, mark: str | None = None) -> Intent | RiskVerdict:
    state = None if mark is None else MarketState(NOW, 60, Decimal(mark))
    return decide(request_from("signal-1", signal, NOW, state), EMPTY, Policy())


def code(signal: SignalGenerated, mark: str | None = None) -> Code | None:
    decided = outcome(signal, mark)
    if isinstance(decided, Intent):
        return None
    assert decided.reason
    return decided.code


@pytest.mark.parametrize(
    "exits",
    [
        {"stop_loss": 100.0},
        {"stop_loss": 120.0, "take_profit": 130.0},
        {"take_profit": 100.0},
        {"stop_loss": 80.0, "take_profit": 90.0},
    ],
)
def test_a_buy_whose_exits_are_on_the_wrong_side_of_its_price_is_refused(
    signal_of: SignalOf, exits: dict[str, float]
) -> None:
    assert code(signal_of(**exits)) is Code.CONTRADICTORY_SIGNAL


@pytest.mark.parametrize(("mark", "refused"), [("99.5", True), ("101", True), ("100.5", False)])
def test_a_buy_whose_exit_the_market_has_passed_already_is_refused(
    signal_of: SignalOf, mark: str, *, refused: bool
) -> None:
    signal = signal_of(stop_loss=99.5, take_profit=101.0)
    assert code(signal, mark) is (Code.CONTRADICTORY_SIGNAL if refused else None)


def test_the_exits_of_a_sell_do_not_matter(signal_of: SignalOf) -> None:
    for exits in ({"stop_loss": 90.0}, {"stop_loss": 110.0}):
        sell = signal_of(side="SELL", **exits)
        assert code(sell) is Code.NO_POSITION_TO_SELL


@given(st.sampled_from(SignalType), st.sampled_from(Side))
def test_a_type_that_points_the_other_way_than_the_side_is_refused(
    kind: SignalType, side: Side
) -> None:
    fits = (kind is SignalType.SELL) == (side is Side.SELL)
    refused = code(_signal(type=kind, side=side)) is Code.CONTRADICTORY_SIGNAL
    assert refused is not fits


@given(st.floats(0, 100), st.floats(0, 1))
def test_a_buy_may_ask_for_less_than_its_score_supports_and_not_for_far_more(
    score: float, strength: float
) -> None:
    refused = code(_signal(score=score, strength=strength)) is Code.CONTRADICTORY_SIGNAL
    assert refused is (Decimal(repr(strength)) - Decimal(repr(score)) / 100 > Decimal("0.5"))


@given(
    price=st.floats(50, 150),
    mark=st.none() | st.decimals("50", "150", places=2),
    stop=st.none() | st.floats(1, 200),
    target=st.none() | st.floats(1, 200),
)
def test_whatever_is_bought_has_its_stop_below_and_its_target_above_the_market(
    price: float, mark: Decimal | None, stop: float | None, target: float | None
) -> None:
    signal = _signal(price=price, stop_loss=stop, take_profit=target)
    decided = outcome(signal, None if mark is None else str(mark))
    if isinstance(decided, Intent):
        at = decided.reference_price
        assert decided.stop_loss is None or decided.stop_loss < at
        assert decided.take_profit is None or decided.take_profit > at


@pytest.mark.parametrize("field", ["price", "stop_loss", "take_profit", "score", "strength"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_what_is_no_price_or_score_at_all_the_contract_refuses(field: str, number: float) -> None:
    with pytest.raises(ValidationError):
        _signal(**{field: number})


def _signal(**more: Any) -> SignalGenerated:
    fields = {
        "symbol": "AAPL.US",
        "type": "BUY",
        "side": "BUY",
        "score": 65.0,
        "strength": 0.5,
        "price": 100.0,
        "reasons": (),
        "indicators": {},
        "strategy": "composite-v1",
        "timestamp": NOW,
        "priority": 60,
        "queued_at": NOW,
    }
    return SignalGenerated.model_validate(fields | more)
