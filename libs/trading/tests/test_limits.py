from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.decisions import decide
from streamdesk.trading.locks import EVERY_SYMBOL, EntryLock, LockCode
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.orders import Intent
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding, LiveOrder, Portfolio, RiskHistory
from streamdesk.trading.risk import Code, RiskVerdict, TradeRequest
from streamdesk.trading.risk_limits import RiskLimits

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
NOTHING = RiskHistory()
RATES = ExchangeRates("USD", {"HKD": Decimal("0.128")})


def request(symbol: str = "AAPL.US", strength: float = 1.0, **more: Any) -> TradeRequest:
    usual = TradeRequest(
        signal_id="signal-1",
        fingerprint="fingerprint-1",
        symbol=symbol,
        side=Side.BUY,
        score=65,
        strength=strength,
        price=Decimal(100),
        as_of=NOW,
    )
    return replace(usual, **more)


def portfolio(cash: int = 1_000_000, *, risk: RiskHistory = NOTHING, **held: int) -> Portfolio:
    """An account that holds so many US shares of 100 each."""
    holdings = {
        f"{code}.US": Holding(
            symbol=f"{code}.US",
            market=MarketCode.US,
            quantity=quantity,
            cost=Decimal(quantity * 100),
            local_cost=Decimal(quantity * 100),
            market_price=Decimal(100),
            marked_at=NOW,
            opened_at=NOW - timedelta(minutes=1),
            entry_order_id=f"sd-{code}",
            signal_id="signal-0",
        )
        for code, quantity in held.items()
    }
    balances = {"USD": Decimal(cash)}
    return Portfolio(balances, Decimal(cash), Decimal(0), RATES, holdings, risk=risk)


def held_of(cash: int, held: dict[str, int]) -> Portfolio:
    """As `portfolio`, of what was drawn."""
    shares: dict[str, Any] = {**held}
    return portfolio(cash, **shares)


def limits(**more: int) -> Policy:
    """The usual policy with other limits."""
    values: dict[str, Any] = {name: Decimal(value) for name, value in more.items()}
    return Policy(limits=RiskLimits(**values))


def refusal(outcome: Intent | RiskVerdict) -> tuple[Code, float, float]:
    assert isinstance(outcome, RiskVerdict)
    assert outcome.reason
    return outcome.code, float(outcome.value), float(outcome.limit)


def cost(outcome: Intent | RiskVerdict) -> Decimal:
    assert isinstance(outcome, Intent), outcome
    return outcome.reserved_cash


def test_an_order_is_cut_to_the_symbols_part_of_the_equity() -> None:
    most = cost(decide(request(), portfolio(), Policy()))
    assert 199_000 < most <= 200_000
    assert cost(decide(request(), portfolio(), limits(max_symbol_percent=0))) > 200_000


def test_four_strong_signals_leave_a_fifth_of_the_account_in_cash() -> None:
    account = portfolio()
    for name in ("AAPL.US", "MSFT.US", "NVDA.US", "TSLA.US"):
        outcome = decide(request(name), account, Policy())
        order = LiveOrder("sd", name, MarketCode.US, Side.BUY, cost(outcome))
        account = replace(account, live_orders={**account.live_orders, name: order})
    assert account.free_cash >= 200_000
    assert refusal(decide(request("AMD.US"), account, Policy()))[0] is Code.CONCENTRATION


def test_an_order_is_cut_to_what_is_left_for_its_market_and_refused_below_the_smallest() -> None:
    # 740,000 of 1,000,000 are in the US: 60,000 are left there, 50,000 is the smallest order.
    held = portfolio(260_000, A=2000, B=2000, C=2000, D=1400)
    assert 59_000 < cost(decide(request(), held, Policy())) <= 60_000
    full = portfolio(240_000, A=2000, B=2000, C=2000, D=1600)
    assert refusal(decide(request(), full, Policy())) == (Code.CONCENTRATION, 81, 80)
    hong_kong = decide(request("5.HK", price=Decimal(60)), full, Policy())
    assert 190_000 < cost(hong_kong) <= 200_000


def test_an_order_is_cut_to_the_most_that_any_may_cost_and_refused_below_the_smallest() -> None:
    assert (
        89_000 < cost(decide(request(), portfolio(), limits(max_order_notional=90_000))) <= 90_000
    )
    outcome = decide(request(), portfolio(), limits(max_order_notional=49_999))
    assert refusal(outcome) == (Code.ORDER_NOTIONAL, 50_000, 49_999)
    assert cost(decide(request(), portfolio(), limits(max_order_notional=0))) > 190_000


def test_entries_end_when_as_many_orders_as_allowed_were_made_within_a_minute() -> None:
    busy = portfolio(risk=RiskHistory(recent_orders=30))
    assert refusal(decide(request(), busy, Policy())) == (Code.ORDER_RATE, 30, 30)
    assert isinstance(decide(request(), busy, limits(max_orders_per_minute=0)), Intent)
    calm = portfolio(risk=RiskHistory(recent_orders=29))
    assert isinstance(decide(request(), calm, Policy()), Intent)


def lock(code: LockCode, symbol: str = EVERY_SYMBOL, minutes: int | None = 5) -> EntryLock:
    until = None if minutes is None else NOW + timedelta(minutes=minutes)
    return EntryLock(symbol, code, until, "why", NOW, Decimal(4), Decimal(3))


@pytest.mark.parametrize("code", LockCode)
def test_a_lock_refuses_entries_with_its_code_and_lets_exits_through(code: LockCode) -> None:
    locked = portfolio(risk=RiskHistory((lock(code),)), MSFT=10)
    assert refusal(decide(request(), locked, Policy())) == (Code(code), 4, 3)
    assert isinstance(decide(request("MSFT.US", side=Side.SELL), locked, Policy()), Intent)


def test_of_several_locks_the_one_that_ends_last_is_named() -> None:
    locks = lock(LockCode.COOLDOWN_PERIOD, "AAPL.US"), lock(LockCode.DRAWDOWN, minutes=None)
    account = portfolio(risk=RiskHistory(locks))
    assert refusal(decide(request(), account, Policy()))[0] is Code.DRAWDOWN


def test_a_lock_concerns_its_symbol_until_the_signals_bar_closed_at_its_end() -> None:
    account = portfolio(risk=RiskHistory((lock(LockCode.COOLDOWN_PERIOD, "AAPL.US"),)))
    assert isinstance(decide(request("MSFT.US"), account, Policy()), Intent)
    for minutes, ends in ((4, RiskVerdict), (5, Intent)):
        later = request(as_of=NOW + timedelta(minutes=minutes))
        assert isinstance(decide(later, account, Policy()), ends)


@given(
    st.floats(0, 1),
    st.integers(0, 1_500_000),
    st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 5_000), max_size=4),
    st.integers(1, 100),
    st.integers(1, 100),
    st.integers(1, 500_000),
)
def test_no_entry_passes_a_limit(
    strength: float, cash: int, held: dict[str, int], symbol: int, market: int, notional: int
) -> None:
    policy = limits(
        max_symbol_percent=symbol, max_market_percent=market, max_order_notional=notional
    )
    account = held_of(cash, held)
    outcome = decide(request(strength=strength), account, policy)
    if isinstance(outcome, Intent):
        spent, equity = outcome.reserved_cash, account.equity
        assert spent <= account.free_cash
        assert spent <= notional
        assert spent <= equity * symbol / 100
        assert account.positions_value + spent <= equity * market / 100
