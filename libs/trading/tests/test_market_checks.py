from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.trading.decisions import decide, request_from
from streamdesk.trading.market_view import MarketState
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.orders import Intent
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding, Portfolio
from streamdesk.trading.risk import Code, RiskVerdict

SignalOf = Callable[..., SignalGenerated]
NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
BOTH = pytest.mark.parametrize("side", list(Side))


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def market(minute: float = 0, mark: str | None = "100", **more: Any) -> MarketState:
    price = None if mark is None else Decimal(mark)
    return MarketState(NOW + minutes(minute), 60, price, **more)


def portfolio(opened_minute: float | None = None) -> Portfolio:
    holdings = {}
    if opened_minute is not None:
        opened = NOW + minutes(opened_minute)
        holdings["AAPL.US"] = Holding(
            symbol="AAPL.US",
            market=MarketCode.US,
            quantity=100,
            cost=Decimal(10_000),
            local_cost=Decimal(10_000),
            market_price=Decimal(100),
            marked_at=opened,
            opened_at=opened,
            entry_order_id="sd-entry",
            signal_id="signal-0",
        )
    cash, rates = Decimal(1_000_000), ExchangeRates("USD", {"HKD": Decimal("0.128")})
    return Portfolio({"USD": cash}, cash, Decimal(0), rates, holdings)


@pytest.fixture
def outcome_of(signal_of: SignalOf) -> Callable[..., Intent | RiskVerdict]:
    """What becomes of a signal; a sell has a position of an hour ago to close."""

    def decided(
        side: Side = Side.BUY,
        *,
        state: MarketState | None = None,
        policy: Policy | None = None,
        opened: float | None = None,
        traded: float | None = None,
        clock_minute: float = 0,
        **more: Any,
    ) -> Intent | RiskVerdict:
        signal = signal_of(side=side, **more)
        request = request_from("signal-1", signal, NOW + minutes(clock_minute), state)
        if traded is not None:
            request = replace(request, traded_as_of=NOW + minutes(traded))
        if side is Side.SELL and opened is None:
            opened = -60
        return decide(request, portfolio(opened), policy or Policy())

    return decided


Outcome = Callable[..., Intent | RiskVerdict]


def refusal(outcome: Intent | RiskVerdict) -> tuple[Code, float, float]:
    assert isinstance(outcome, RiskVerdict)
    assert outcome.reason
    return outcome.code, float(outcome.value), float(outcome.limit)


@BOTH
def test_a_signal_more_bars_old_than_allowed_is_stale(outcome_of: Outcome, side: Side) -> None:
    assert isinstance(outcome_of(side, state=market(3)), Intent)
    assert refusal(outcome_of(side, state=market(3.5))) == (Code.STALE_SIGNAL, 3.5, 3)
    lax = Policy(signal_max_age_bars=10)
    assert isinstance(outcome_of(side, state=market(3.5), policy=lax), Intent)


@BOTH
def test_the_age_of_a_signal_is_counted_in_bars_of_its_length(
    outcome_of: Outcome, side: Side
) -> None:
    daily = replace(market(24 * 60 * 3), interval_seconds=86_400)
    assert isinstance(outcome_of(side, state=daily), Intent)


@BOTH
def test_a_signal_of_an_unknown_symbol_must_be_of_its_markets_present(
    outcome_of: Outcome, side: Side
) -> None:
    assert isinstance(outcome_of(side, state=market(3, mark=None)), Intent)
    assert refusal(outcome_of(side, state=market(4, mark=None))) == (Code.STALE_SIGNAL, 4, 3)


@BOTH
def test_a_signal_more_bars_ahead_than_may_be_missing_is_from_the_future(
    outcome_of: Outcome, side: Side
) -> None:
    assert isinstance(outcome_of(side, state=market(-3)), Intent)
    assert refusal(outcome_of(side, state=market(-4))) == (Code.FUTURE_SIGNAL, 240, 185)
    strict = Policy(signal_max_age_bars=0)  # the bar being formed is the present all the same
    assert isinstance(outcome_of(side, state=market(-1), policy=strict), Intent)
    assert refusal(outcome_of(side, state=market(-2), policy=strict))[2] == 65


@BOTH
def test_the_wall_clock_has_no_say_where_bars_tell_the_time(
    outcome_of: Outcome, side: Side
) -> None:
    years = 60 * 24 * 365 * 8
    for clock_minute in (-years, years):
        assert isinstance(outcome_of(side, state=market(), clock_minute=clock_minute), Intent)


@BOTH
def test_without_a_bar_of_the_symbol_the_future_begins_at_the_wall_clock(
    outcome_of: Outcome, side: Side
) -> None:
    for state in (None, market(mark=None)):
        assert isinstance(outcome_of(side, state=state, clock_minute=-0.05), Intent)
        outcome = outcome_of(side, state=state, clock_minute=-1)
        assert refusal(outcome) == (Code.FUTURE_SIGNAL, 60, 5)


@BOTH
def test_a_signal_older_than_the_last_trade_in_the_symbol_is_outdated(
    outcome_of: Outcome, side: Side
) -> None:
    outcome = outcome_of(side, traded=1)
    assert refusal(outcome) == (Code.OUTDATED_BY_POSITION, 60, 0)
    assert isinstance(outcome_of(side, traded=-1), Intent)


def test_a_sell_never_closes_a_position_of_the_same_or_a_newer_bar(outcome_of: Outcome) -> None:
    for opened in (0, 1):
        outcome = outcome_of(Side.SELL, opened=opened)
        assert refusal(outcome)[0] is Code.OUTDATED_BY_POSITION
    assert isinstance(outcome_of(Side.SELL, opened=-1), Intent)


def test_a_buy_of_the_bar_whose_exit_was_just_made_is_allowed(outcome_of: Outcome) -> None:
    assert isinstance(outcome_of(Side.BUY, traded=0), Intent)


@BOTH
@pytest.mark.parametrize("price", [10.0, 97.9, 102.1, 1_000.0, 1e300])
def test_a_price_far_from_the_mark_is_refused(
    outcome_of: Outcome, side: Side, price: float
) -> None:
    code, value, limit = refusal(outcome_of(side, state=market(), price=price))
    assert (code, limit) == (Code.PRICE_COLLAR, 2)
    assert value == pytest.approx(min(abs(price - 100), 1_000_000))


@BOTH
def test_a_volatile_share_may_move_further_and_none_beyond_the_most(
    outcome_of: Outcome, side: Side
) -> None:
    lively, wild = market(atr=Decimal(2)), market(atr=Decimal(20))
    assert isinstance(outcome_of(side, state=lively, price=106.0), Intent)
    assert refusal(outcome_of(side, state=lively, price=106.1))[1:] == (6.1, 6)
    assert refusal(outcome_of(side, state=wild, price=89.9))[1:] == (10.1, 10)


@BOTH
def test_a_mark_can_be_required(outcome_of: Outcome, side: Side) -> None:
    policy = Policy(mark_required=True)
    for state in (None, market(mark=None)):
        outcome = outcome_of(side, state=state, policy=policy)
        assert refusal(outcome) == (Code.NO_MARKET_PRICE, 0, 1)
    assert isinstance(outcome_of(side, state=market(), policy=policy), Intent)


@BOTH
def test_a_signal_of_a_closed_market_is_refused_with_the_reason(
    signal_of: SignalOf, side: Side
) -> None:
    signal = signal_of(side=side)
    for closed, expected in (("US is closed: Saturday", Code.SESSION_CLOSED), (None, None)):
        request = request_from("signal-1", signal, NOW, market(), closed)
        outcome = decide(request, portfolio(-60 if side is Side.SELL else None), Policy())
        if expected is None:
            assert isinstance(outcome, Intent)
        else:
            assert isinstance(outcome, RiskVerdict)
            assert (outcome.code, outcome.reason) == (expected, closed)


@given(
    side=st.sampled_from(Side),
    price=st.floats(90, 110),
    mark=st.decimals("95", "105", places=2),
    atr=st.none() | st.decimals("0.01", "5", places=2),
)
def test_an_order_is_priced_from_the_mark_whatever_the_signal_says(
    side: Side, price: float, mark: Decimal, atr: Decimal | None
) -> None:
    state = MarketState(NOW, 60, mark, atr)
    signal = _signal(side, price)
    held = portfolio(-60 if side is Side.SELL else None)
    outcome = decide(request_from("signal-1", signal, NOW, state), held, Policy())
    if isinstance(outcome, RiskVerdict):
        assert outcome.code is Code.PRICE_COLLAR
        assert outcome.value > outcome.limit
        return
    assert outcome.reference_price == mark
    assert abs(outcome.limit_price - mark) <= mark * Policy().slippage_limit_bps / 10_000
    assert abs(Decimal(repr(price)) - mark) <= mark / 10


def _signal(side: Side, price: float) -> SignalGenerated:
    return SignalGenerated.model_validate(
        {
            "symbol": "AAPL.US",
            "type": side,
            "side": side,
            "score": 65.0,
            "strength": 0.5,
            "price": price,
            "reasons": (),
            "indicators": {},
            "strategy": "composite-v1",
            "timestamp": NOW,
            "priority": 60,
            "queued_at": NOW,
        }
    )


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_any_two_times_give_an_intent_or_a_refusal(signalled: datetime, newest: datetime) -> None:
    signal = _signal(Side.BUY, 100.0).model_copy(update={"timestamp": signalled})
    state = MarketState(newest, 1, Decimal(100))
    outcome = decide(request_from("signal-1", signal, NOW, state), portfolio(), Policy())
    assert isinstance(outcome, Intent | RiskVerdict)
