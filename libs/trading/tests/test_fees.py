"""What an order costs on the day it trades."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.fees import Commission, FeeSchedule, MarketFees
from streamdesk.trading.market_tables import built_in
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.policy import Policy

D = Decimal
NOON = time(12)
PRICES = st.decimals("0.05", "5000", places=3)
DAYS = st.dates(date(2000, 1, 1), date(2030, 1, 1)).map(
    lambda day: datetime.combine(day, NOON, UTC)
)


def on(market: str, day: str) -> FeeSchedule:
    """What a market takes on a day, without a commission."""
    noon = datetime.fromisoformat(f"{day}T06:00:00+00:00")
    return MarketFees(market, Commission(), built_in().fees[market]).at(noon)


@given(
    st.sampled_from(list(MarketCode)),
    DAYS,
    st.sampled_from(list(Side)),
    st.lists(st.tuples(st.integers(1, 5000), PRICES), min_size=1, max_size=5),
)
def test_the_fees_of_the_trades_add_up_to_the_fee_of_the_order_on_every_day(
    market: MarketCode, moment: datetime, side: Side, trades: list[tuple[int, Decimal]]
) -> None:
    fees = Policy().fees[market].at(moment)
    before, paid = (0, Decimal(0)), Decimal(0)
    for quantity, price in trades:
        fee = fees.of_trade(side, before, quantity, quantity * price)
        assert fee >= 0
        assert fee == fee.quantize(Decimal("0.01"))
        paid += fee
        before = before[0] + quantity, before[1] + quantity * price
    assert paid == fees.of_order(side, *before)


@pytest.mark.parametrize(
    ("day", "sec_fee", "taf"),
    [
        # 1,000 shares for 1,000,000 USD: the SEC's fee is its rate a million.
        ("2024-05-21", "8.00", "0.17"),
        ("2024-05-22", "27.80", "0.17"),
        ("2025-05-13", "27.80", "0.17"),
        ("2025-05-14", "0", "0.17"),
        ("2025-12-31", "0", "0.17"),
        ("2026-01-01", "0", "0.20"),
        ("2026-04-03", "0", "0.20"),
        ("2026-04-04", "20.60", "0.20"),
        ("2026-09-30", "20.60", "0.20"),
        ("2026-10-01", "20.60", "0"),
        ("2026-12-31", "20.60", "0"),
        ("2027-01-01", "20.60", "0.20"),
    ],
)
def test_us_sells_pay_the_fees_of_the_sec_and_of_finra_as_of_their_day(
    day: str, sec_fee: str, taf: str
) -> None:
    fees = on("US", day)
    assert fees.of_order(Side.SELL, 1000, D(1_000_000)) == D(sec_fee) + D(taf)
    assert fees.of_order(Side.BUY, 1000, D(1_000_000)) == 0


@pytest.mark.parametrize(("day", "cap"), [("2025-06-02", "8.30"), ("2026-06-01", "9.79")])
def test_finras_fee_has_a_greatest_amount(day: str, cap: str) -> None:
    shares = 10_000_000
    only_taf = on("US", day).of_order(Side.SELL, shares, D(0))
    assert only_taf == D(cap)


@pytest.mark.parametrize(
    ("day", "duty", "levies", "settlement"),
    [
        # 61,250 HKD: 0.1 % are 61.25, 0.13 % are 79.63, both up to the next dollar.
        # SFC 0.0027 %: 1.65; AFRC 0.00015 %: 0.09; trading fee 0.005 %: 3.06, 0.00565 %: 3.46.
        ("2021-07-31", "62", "4.71", "2.00"),
        ("2021-08-01", "80", "4.71", "2.00"),
        ("2022-01-01", "80", "4.80", "2.00"),
        ("2023-01-01", "80", "5.20", "2.00"),
        ("2023-11-16", "80", "5.20", "2.00"),
        ("2023-11-17", "62", "5.20", "2.00"),
        ("2025-06-29", "62", "5.20", "2.00"),
        # 0.0042 %: 2.57
        ("2025-06-30", "62", "5.20", "2.57"),
        ("2026-11-30", "62", "5.20", "2.57"),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_hong_kong_takes_duty_levies_and_settlement_of_both_sides_as_of_their_day(
    day: str, duty: str, levies: str, settlement: str, side: Side
) -> None:
    fees = on("HK", day)
    assert fees.of_order(side, 100, D(61_250)) == D(duty) + D(levies) + D(settlement)


def test_the_settlement_fee_was_at_most_100_dollars_and_is_without_bounds_since() -> None:
    # 10,000,000 HKD: duty 10,000; levies 270 + 15 + 565; settlement 0.002 % and 0.0042 %
    value = D(10_000_000)
    assert on("HK", "2025-06-29").of_order(Side.BUY, 100, value) == D(10_950)
    assert on("HK", "2025-06-30").of_order(Side.BUY, 100, value) == D(11_270)


def test_a_day_of_fees_is_the_exchanges() -> None:
    fees = Policy().fees[MarketCode.HK]
    # 30 June 2025 begins in Hong Kong at 16:00 UTC on the 29th.
    before = fees.at(datetime(2025, 6, 29, 15, 59, tzinfo=UTC))
    after = fees.at(datetime(2025, 6, 29, 16, 0, tzinfo=UTC))
    assert before.of_order(Side.BUY, 100, D(61_250)) < after.of_order(Side.BUY, 100, D(61_250))


def test_the_brokers_commission_has_a_minimum_an_order() -> None:
    us = Policy().fees[MarketCode.US].at(datetime(2026, 11, 20, tzinfo=UTC))
    assert us.of_order(Side.BUY, 10, D(2000)) == D("0.99")
    assert us.of_order(Side.SELL, 1000, D(200_000)) == D("9.02")  # 4.90 and 20.60 a million
    assert us.of_order(Side.SELL, 0, D(0)) == 0
