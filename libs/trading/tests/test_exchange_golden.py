"""The exchange against backtesting.py 0.6.6: a moving-average strategy on eight years of GOOG.

Buy 10 shares when the average of 10 closes crosses above that of 30, sell at the opposite cross.
Both crosses are strict. First decision at bar 30; each fills at the next open.
"""

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.exchange import (
    Exchange,
    ExchangeOrder,
    ExchangeRules,
    Execution,
    OrderType,
    bracket,
)
from streamdesk.trading.fees import Commission, FeeSchedule
from streamdesk.trading.markets import MarketCode, TradableInstrument

GOOG = TradableInstrument("GOOG.US", MarketCode.US, 1)
START = datetime(2004, 8, 19, 20, tzinfo=UTC)
COMMISSION = Decimal("0.001")
Row = tuple[int, int, int, float, float]
"""Entry bar, exit bar, shares, entry price, exit price."""


def bars() -> list[BarClosed]:
    with (Path(__file__).parent / "golden" / "goog_daily.csv").open() as file:
        prices = [[float(cell) for cell in row] for row in csv.reader(file)]
    return [
        BarClosed(
            symbol=GOOG.symbol,
            timestamp=START + timedelta(days=number),
            interval_seconds=86_400,
            open=opening,
            high=high,
            low=low,
            close=close,
            volume=1,
        )
        for number, (opening, high, low, close) in enumerate(prices)
    ]


def averages(closes: Sequence[float], periods: int) -> list[float]:
    early = [0.0] * (periods - 1)
    ends = range(periods, len(closes) + 1)
    return early + [sum(closes[end - periods : end]) / periods for end in ends]


@dataclass
class Run:
    """What the strategy has traded."""

    exchange: Exchange
    levels: Callable[[float], dict[str, Decimal]]
    cash: Decimal = Decimal(10_000)
    value: Decimal = Decimal(0)
    """Of all trades that are complete, both sides."""
    fees: Decimal = Decimal(0)
    entry: tuple[int, Decimal] | None = None
    last_entry: str = ""
    rows: list[Row] = field(default_factory=list)

    def on_bar(self, number: int, bar: BarClosed) -> None:
        for event in self.exchange.on_bar(bar):
            if not isinstance(event, Execution):
                continue
            value = event.quantity * event.price
            self.fees += event.fee
            self.cash += value if event.side is Side.SELL else -value
            if event.side is Side.BUY:
                self.entry = number, event.price
            else:
                assert self.entry is not None
                bought, price = self.entry
                self.value += value + event.quantity * price
                row = bought, number, event.quantity, float(price), float(event.price)
                self.rows.append(row)
                self.entry = None

    def decide(self, number: int, bar: BarClosed, *, buys: bool) -> None:
        order = ExchangeOrder(
            order_id=f"buy-{number}",
            instrument=GOOG,
            side=Side.BUY,
            quantity=10,
            type=OrderType.MARKET,
            as_of=bar.timestamp,
        )
        if buys and self.entry is None:
            self.last_entry = order.order_id
            self.exchange.submit(*bracket(order, **self.levels(bar.close)))
        elif not buys and self.entry is not None:
            self.exchange.submit(
                ExchangeOrder(
                    order_id=f"sell-{number}",
                    instrument=GOOG,
                    side=Side.SELL,
                    quantity=10,
                    type=OrderType.MARKET,
                    as_of=bar.timestamp,
                    closes=self.last_entry,
                )
            )


def no_levels(_close: float) -> dict[str, Decimal]:
    return {}


def stop_and_target(close: float) -> dict[str, Decimal]:
    return {
        "stop_price": Decimal(repr(0.95 * close)),
        "target_price": Decimal(repr(1.1 * close)),
    }


def traded(
    levels: Callable[[float], dict[str, Decimal]],
    spread_bps: int = 0,
    commission: Decimal = Decimal(0),
) -> Run:
    rules = ExchangeRules(
        volume_share=Decimal(0),
        spread_bps=Decimal(spread_bps),
        slippage_bps=Decimal(0),
        ticks=None,
        fees=lambda _market, _at: FeeSchedule(Commission(rate=commission)),
    )
    run, market = Run(Exchange(rules), levels), bars()
    closes = [bar.close for bar in market]
    fast, slow = averages(closes, 10), averages(closes, 30)
    for number, bar in enumerate(market):
        run.on_bar(number, bar)
        if number < 30:
            continue
        before, now = fast[number - 1] - slow[number - 1], fast[number] - slow[number]
        if before * now < 0:
            run.decide(number, bar, buys=now > 0)
    return run


def digest(rows: Sequence[Row]) -> str:
    lines = [",".join((*map(str, row[:3]), *map(repr, row[3:]))) for row in rows]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_entries_and_exits_by_signal_equal_backtesting_py_in_every_digit() -> None:
    run = traded(no_levels)
    assert len(run.rows) == 32
    assert digest(run.rows) == "3029309d4e137f624bf2d0ed171442a519f6f63afc13f1fecfa61145473439ce"
    assert run.entry == (2088, Decimal("695.0"))
    assert run.cash + 10 * Decimal(repr(bars()[-1].close)) == Decimal("17739.40")


def test_stops_and_targets_equal_backtesting_py_in_every_digit() -> None:
    run = traded(stop_and_target)
    assert len(run.rows) == 33
    assert digest(run.rows) == "0c11d5d1465e434042026e90b6efed56f1d9f5e172b0fa1ee8824ddaf49b4edf"
    assert float(run.cash) == pytest.approx(13_266.37, rel=1e-12)


@pytest.mark.parametrize(
    ("bought", "sold", "paid", "got"),
    [(408, 421, 389.53, 448.9), (1735, 1739, 528.18, 597.5), (1841, 1869, 621.04, 590.53)],
)
def test_a_bar_that_opens_beyond_a_level_fills_at_its_open(
    bought: int, sold: int, paid: float, got: float
) -> None:
    assert (bought, sold, 10, paid, got) in traded(stop_and_target).rows


def test_spread_and_commission_equal_those_of_backtesting_py() -> None:
    run = traded(stop_and_target, spread_bps=5)
    commission = COMMISSION * run.value
    assert len(run.rows) == 33
    assert run.rows[0][3:] == pytest.approx((186.403155, 203.52200000000002), rel=1e-12)
    assert run.rows[-1][3] == pytest.approx(695.3475, rel=1e-12)
    assert float(commission) == pytest.approx(312.9821796, rel=1e-9)
    assert float(run.cash - commission) == pytest.approx(12_875.978220400004, rel=1e-9)


def test_a_position_that_is_open_at_the_end_is_marked_at_the_close_costs_included() -> None:
    run = traded(no_levels, spread_bps=5)
    assert run.entry is not None
    open_value = 10 * run.entry[1]
    close = 10 * Decimal(repr(bars()[-1].close))
    commission = COMMISSION * (run.value + open_value)
    assert float(COMMISSION * run.value) == pytest.approx(302.4398346, rel=1e-9)
    assert float(run.cash + close - commission) == pytest.approx(17_352.59709040001, rel=1e-9)


def test_fees_come_from_the_schedule_in_whole_cents_an_order() -> None:
    run = traded(stop_and_target, spread_bps=5, commission=COMMISSION)
    assert abs(run.fees - Decimal("312.9821796")) <= 66 * Decimal("0.005")
