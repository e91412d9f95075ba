from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.corporate_actions import (
    COLUMNS,
    ActionKind,
    CorporateAction,
    pay_dividend,
    read_actions,
    shares_at_ex_date,
    split_holding,
)
from streamdesk.trading.errors import ActionFileError
from streamdesk.trading.markets import MarketCode, Ticks
from streamdesk.trading.money import ZERO, ExchangeRates
from streamdesk.trading.portfolio import Holding

FRIDAY = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
MONDAY = FRIDAY + timedelta(days=3)
EX_DATE = MONDAY.date()
RATES = ExchangeRates("USD", {"HKD": Decimal("0.128")})
HEADER = ",".join(COLUMNS)
HELD = Holding(
    symbol="AAPL.US",
    market=MarketCode.US,
    quantity=870,
    cost=Decimal("87050.37"),
    local_cost=Decimal("87050.37"),
    market_price=Decimal("101.17"),
    marked_at=FRIDAY,
    opened_at=FRIDAY,
    entry_order_id="sd-1",
    signal_id="signal-1",
    stop_loss=Decimal("95.03"),
    take_profit=Decimal("110.10"),
)


def split(ratio: Fraction, day: date = EX_DATE) -> CorporateAction:
    return CorporateAction("AAPL.US", day, ActionKind.SPLIT, ratio, ZERO, "USD", "issuer")


def dividend(amount: str) -> CorporateAction:
    one, day = Fraction(1), EX_DATE
    return CorporateAction(
        "AAPL.US", day, ActionKind.DIVIDEND, one, Decimal(amount), "USD", "issuer"
    )


@given(st.integers(1, 2_000), st.integers(1, 2_000), st.integers(1, 10**6))
def test_a_split_creates_no_money_and_loses_none(new: int, old: int, quantity: int) -> None:
    ratio = Fraction(new, old)
    change = split_holding(replace(HELD, quantity=quantity), split(ratio), Ticks(), RATES, MONDAY)
    left = change.holding
    cost = ZERO if left is None else left.cost
    assert change.cash_amount + cost == HELD.cost + change.realized_pnl + change.fx_gain
    assert change.fx_gain == 0
    assert (0 if left is None else left.quantity) == quantity * new // old
    if quantity * new % old == 0:
        assert (change.cash_amount, cost) == (ZERO, HELD.cost)


def test_stop_and_target_keep_their_distance_and_the_stop_is_not_reached_later() -> None:
    left = split_holding(HELD, split(Fraction(10)), Ticks(), RATES, MONDAY).holding
    assert left is not None
    assert (left.stop_loss, left.take_profit) == (Decimal("9.51"), Decimal("11.01"))
    assert left.market_price == Decimal("10.117")
    assert FRIDAY < left.marked_at < MONDAY


def test_a_price_of_new_shares_is_not_counted_twice() -> None:
    late = replace(HELD, market_price=Decimal(67), marked_at=MONDAY)
    left = split_holding(late, split(Fraction(3, 2)), Ticks(), RATES, MONDAY).holding
    assert left is not None
    assert left.market_price == 67


def test_a_dividend_is_cash_and_gain_and_lowers_the_stop_alone() -> None:
    change = pay_dividend(HELD, 870, dividend("0.255"), Ticks(), RATES, MONDAY)
    assert (change.cash_amount, change.realized_pnl) == (Decimal("221.85"), Decimal("221.85"))
    assert change.holding is not None
    assert (change.holding.stop_loss, change.holding.take_profit) == (
        Decimal("94.77"),
        HELD.take_profit,
    )
    assert change.holding.market_price == Decimal("100.915")


def test_shares_that_were_bought_on_the_ex_date_are_not_entitled() -> None:
    trades = [(FRIDAY, Side.BUY, 100), (FRIDAY, Side.SELL, 30), (MONDAY, Side.BUY, 500)]
    assert shares_at_ex_date(trades, [], dividend("1")) == 70


def test_entitled_shares_are_counted_in_those_of_the_ex_date() -> None:
    splits = [split(Fraction(3, 2)), split(Fraction(10), EX_DATE + timedelta(days=1))]
    assert shares_at_ex_date([(FRIDAY, Side.BUY, 101)], splits, dividend("1")) == 151


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("AAPL.US,2026-11-23,SPLIT,10:1,,", "row is 'AAPL.US,2026-11-23,SPLIT,10:1,,'"),
        ("AAPL.US,2026-11-23,SPLIT,10,,,x", "ratio is '10'"),
        ("AAPL.US,2026-11-23,SPLIT,1:0,,,x", "ratio is '1:0'"),
        ("AAPL.US,2026-11-23,SPLIT,99999:1,,,x", "ratio is '99999:1'"),
        ("AAPL.US,2026-11-23,SPLIT,2:1,5,,x", "amount is '5'"),
        ("AAPL.US,2026-11-23,DIVIDEND,,0,USD,x", "amount is '0'"),
        ("AAPL.US,2026-11-23,DIVIDEND,,1e-9,USD,x", "amount is '1e-9'"),
        ("AAPL.US,2026-11-23,DIVIDEND,,inf,USD,x", "amount is 'inf'"),
        ("AAPL.US,2026-11-23,SPIN_OFF,,1,USD,x", "kind is 'SPIN_OFF'"),
        ("MSFT.US,2026-11-23,SPLIT,3:1,,,x", "ex_date is '2026-11-23'"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_its_line_and_value(row: str, complaint: str) -> None:
    text = f"{HEADER}\nMSFT.US,2026-11-23,SPLIT,2:1,,,x\n{row}\n"
    with pytest.raises(ActionFileError) as refused:
        read_actions(text, "actions.csv")
    assert "actions.csv line 3" in str(refused.value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("text", ["", "symbol,ex_date\n"])
def test_a_file_with_another_header_is_refused(text: str) -> None:
    with pytest.raises(ActionFileError, match=r"line 1: header"):
        read_actions(text, "actions.csv")


def test_rows_are_read_by_ex_date_the_split_first_in_any_spelling() -> None:
    text = (
        f"{HEADER}\n0700.HK,2026-11-23,DIVIDEND,,3.4,HKD,x\n0700.HK,2026-11-23,SPLIT,5:1,,,x\n\n"
        "BRK-B.US,2010-01-21,SPLIT,50:1,,,x\n"
    )
    found = read_actions(text, "actions.csv")
    assert [(item.symbol, item.kind) for item in found] == [
        ("BRK.B.US", "SPLIT"),
        ("700.HK", "SPLIT"),
        ("700.HK", "DIVIDEND"),
    ]
