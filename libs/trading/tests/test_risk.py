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
from streamdesk.trading.identity import order_id_of_exit, order_id_of_signal
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.orders import Intent
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding, LiveOrder, Portfolio
from streamdesk.trading.risk import Code, RiskVerdict, TradeRequest, conditions
from streamdesk.trading.trading_state import TradingState

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
EXAMPLE: Any = SignalGenerated.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]
RATES = ExchangeRates("USD", {"HKD": Decimal("0.128")})
SignalOf = Callable[..., SignalGenerated]


def request(symbol: str = "AAPL.US", side: Side = Side.BUY, **more: Any) -> TradeRequest:
    usual = TradeRequest(
        signal_id="signal-1",
        fingerprint="fingerprint-1",
        symbol=symbol,
        side=side,
        score=65,
        strength=0.5,
        price=Decimal(100),
        as_of=NOW,
    )
    return replace(usual, **more)


def holding(symbol: str) -> Holding:
    return Holding(
        symbol=symbol,
        market=MarketCode(symbol[-2:]),
        quantity=100,
        cost=Decimal(10_000),
        local_cost=Decimal(10_000),
        market_price=Decimal(100),
        marked_at=NOW,
        opened_at=NOW - timedelta(hours=1),
        entry_order_id="sd-entry",
        signal_id="signal-0",
    )


def portfolio(*held: str, cash: int = 1_000_000, live: tuple[str, ...] = ()) -> Portfolio:
    return Portfolio(
        balances={"USD": Decimal(cash)},
        initial_cash=Decimal(cash),
        realized_pnl=Decimal(0),
        rates=RATES,
        holdings={symbol: holding(symbol) for symbol in held},
        live_orders={
            symbol: LiveOrder("sd-live", symbol, MarketCode(symbol[-2:]), Side.BUY, Decimal(50_000))
            for symbol in live
        },
    )


def refusal(outcome: Intent | RiskVerdict) -> tuple[Code, float, float]:
    assert isinstance(outcome, RiskVerdict)
    assert outcome.reason
    return outcome.code, float(outcome.value), float(outcome.limit)


def test_a_good_buy_signal_becomes_an_intent_that_reserves_its_worst_cost() -> None:
    outcome = decide(request(), portfolio(), Policy())
    assert isinstance(outcome, Intent)
    assert outcome.quantity * outcome.limit_price < outcome.reserved_cash <= 175_000
    assert outcome.client_order_id == order_id_of_signal("signal-1")


def test_an_unknown_symbol_is_refused() -> None:
    outcome = decide(request("4321.HK"), portfolio(), Policy())
    assert refusal(outcome) == (Code.UNKNOWN_SYMBOL, 0, 1)


def test_a_signal_that_was_ordered_under_another_event_id_is_refused() -> None:
    outcome = decide(request(duplicate_of="sd-1"), portfolio(), Policy())
    assert refusal(outcome) == (Code.DUPLICATE_SIGNAL, 1, 0)


def test_a_score_below_the_least_is_refused_for_buying_only() -> None:
    outcome = decide(request(score=29.5), portfolio(), Policy())
    assert refusal(outcome) == (Code.SCORE_TOO_LOW, 29.5, 30)
    sell = decide(request(side=Side.SELL, score=0), portfolio("AAPL.US"), Policy())
    assert isinstance(sell, Intent)


def test_an_old_signal_is_refused_when_an_age_is_set() -> None:
    old = request(age_seconds=61.0)
    assert isinstance(decide(old, portfolio(), Policy()), Intent)
    outcome = decide(old, portfolio(), Policy(signal_max_age_seconds=60))
    assert refusal(outcome) == (Code.STALE_SIGNAL, 61, 60)


def test_a_sixth_us_position_is_refused() -> None:
    five = [f"{letter}.US" for letter in "ABCDE"]
    outcome = decide(request(), portfolio(*five), Policy())
    assert refusal(outcome) == (Code.POSITION_LIMIT_EXCEEDED, 5, 5)


def test_a_ninth_hong_kong_position_is_refused_while_a_us_one_is_not() -> None:
    eight = [f"{code}.HK" for code in (1, 2, 3, 5, 6, 11, 16, 27)]
    outcome = decide(request("700.HK"), portfolio(*eight), Policy())
    assert refusal(outcome) == (Code.POSITION_LIMIT_EXCEEDED, 8, 8)
    assert isinstance(decide(request(), portfolio(*eight), Policy()), Intent)


def test_the_limit_over_all_markets_holds_as_well() -> None:
    policy = Policy(max_positions=2)
    outcome = decide(request(), portfolio("5.HK", "MSFT.US"), policy)
    assert refusal(outcome) == (Code.POSITION_LIMIT_EXCEEDED, 2, 2)


def test_an_order_under_way_takes_a_position_slot_and_its_cash() -> None:
    five = [f"{letter}.US" for letter in "ABCDE"]
    outcome = decide(request(), portfolio(live=tuple(five)), Policy())
    assert refusal(outcome) == (Code.POSITION_LIMIT_EXCEEDED, 5, 5)
    poor = portfolio(live=("A.US", "B.US"), cash=100_000)
    assert refusal(decide(request(), poor, Policy())) == (Code.INSUFFICIENT_FUNDS, 0, 5_000)


def test_a_position_is_not_added_to() -> None:
    outcome = decide(request(), portfolio("AAPL.US"), Policy())
    assert refusal(outcome) == (Code.POSITION_ALREADY_OPEN, 100, 0)


def test_a_second_order_for_a_symbol_is_refused_while_one_is_under_way() -> None:
    for side in Side:
        outcome = decide(request(side=side), portfolio(live=("AAPL.US",)), Policy())
        assert refusal(outcome) == (Code.ORDER_IN_PROGRESS, 1, 0)


def test_nothing_is_sold_short() -> None:
    outcome = decide(request(side=Side.SELL), portfolio(), Policy())
    assert refusal(outcome) == (Code.NO_POSITION_TO_SELL, 0, 1)


def test_money_that_does_not_buy_one_lot_is_refused() -> None:
    outcome = decide(request("700.HK", price=Decimal(612)), portfolio(cash=1_000), Policy())
    assert refusal(outcome) == (Code.LOT_SIZE, 0, 100)


def test_without_equity_there_are_no_funds() -> None:
    assert refusal(decide(request(), portfolio(cash=0), Policy()))[0] is Code.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("price", ["0.00009", "1000000000.01"])
def test_a_price_that_no_market_quotes_is_refused(price: str) -> None:
    outcome = decide(request(price=Decimal(price)), portfolio(), Policy())
    assert refusal(outcome)[0] is Code.PRICE_TICK


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_any_price_that_the_contract_allows_gives_an_intent_or_a_refusal(price: float) -> None:
    fields = {"price": price, "stop_loss": price, "take_profit": price}
    signal = SignalGenerated.model_validate(EXAMPLE | fields)
    outcome = decide(request_from("id", signal, NOW), portfolio(), Policy())
    assert isinstance(outcome, Intent | RiskVerdict)


@given(
    st.sampled_from(["AAPL.US", "700.HK", "3988.HK"]),
    st.decimals("0.5", "3000", places=2),
    st.floats(0, 1),
    st.integers(0, 2_000_000),
    st.sets(st.sampled_from(["A.US", "B.US", "5.HK", "C.US"])),
)
def test_an_intent_never_reserves_more_than_is_free(
    symbol: str, price: Decimal, strength: float, cash: int, live: set[str]
) -> None:
    before = portfolio(cash=cash, live=tuple(sorted(live)))
    outcome = decide(request(symbol, price=price, strength=strength), before, Policy())
    if isinstance(outcome, Intent):
        assert outcome.reserved_cash <= before.free_cash
        assert outcome.reserved_cash <= before.equity * 30 / 100 + Decimal("0.01")


def test_a_signals_order_id_depends_on_its_event_id_alone_and_an_exits_on_its_entry() -> None:
    assert order_id_of_signal("a") == order_id_of_signal("a") != order_id_of_signal("b")
    assert order_id_of_exit("a", 1) != order_id_of_exit("a", 2) != order_id_of_signal("a")
    assert order_id_of_signal("a").startswith("sd-")


def test_the_same_bar_published_again_has_the_same_fingerprint(signal_of: SignalOf) -> None:
    first = request_from("id-1", signal_of(), NOW)
    again = request_from("id-2", signal_of(queued_at=NOW + timedelta(hours=1), score=70), NOW)
    other = request_from("id-3", signal_of(minute=1), NOW)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_full_market_and_an_empty_account_are_conditions_to_announce() -> None:
    five = [f"{letter}.US" for letter in "ABCDE"]
    assert conditions(portfolio(*five), Policy()).keys() == {"POSITION_LIMIT_REACHED:US"}
    assert conditions(portfolio("5.HK", cash=10), Policy()).keys() == {"CASH_EXHAUSTED"}
    assert conditions(portfolio("5.HK"), Policy()) == {}


@pytest.mark.parametrize(
    ("state", "side", "code"),
    [
        (TradingState.ACTIVE, Side.BUY, None),
        (TradingState.ACTIVE, Side.SELL, None),
        (TradingState.REDUCING, Side.BUY, Code.TRADING_REDUCING),
        (TradingState.REDUCING, Side.SELL, None),
        (TradingState.HALTED, Side.BUY, Code.TRADING_HALTED),
        (TradingState.HALTED, Side.SELL, Code.TRADING_HALTED),
    ],
)
def test_the_kill_switch_lets_through_what_its_state_says(
    state: TradingState, side: Side, code: Code | None
) -> None:
    held = portfolio("AAPL.US") if side is Side.SELL else portfolio()
    stopped = replace(held, trading_state=state, halted_reason="odd prices")
    outcome = decide(request(side=side), stopped, Policy())
    assert (outcome.code if isinstance(outcome, RiskVerdict) else None) == code
    assert not isinstance(outcome, RiskVerdict) or "odd prices" in outcome.reason
