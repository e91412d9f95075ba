from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from streamdesk.trading.exchange import (
    Exchange,
    ExchangeOrder,
    Execution,
)
from streamdesk.trading.markets import MarketCode, TradableInstrument
from streamdesk.trading.policy import Policy
from tests.exchange_world import (
    AAPL,
    FREE,
    NOW,
    TENCENT,
    bar,
    ends,
    fills,
    opened,
    order,
    protected,
)


def test_a_market_order_fills_at_the_open_of_the_first_bar_after_its_decision() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order())
    assert exchange.on_bar(bar(0, "50 50 50 50")) == []
    assert fills(exchange.on_bar(bar(1, "101 105 99 104"))) == [("o-1", 10, "101")]
    assert exchange.open_orders() == ()


def test_a_bar_that_began_before_the_decision_fills_nothing() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(as_of=NOW + timedelta(minutes=2)))
    assert fills(exchange.on_bar(bar(5, "90 99 90 99", interval_seconds=300))) == []
    assert fills(exchange.on_bar(bar(10, "101 102 100 101", interval_seconds=300)))


def test_a_bar_that_is_not_newer_than_the_last_one_changes_nothing() -> None:
    exchange = Exchange(FREE)
    exchange.on_bar(bar(2, "100 100 100 100"))
    exchange.submit(order())
    for minute in (1, 2):
        assert exchange.on_bar(bar(minute, "90 90 90 90")) == []
    assert fills(exchange.on_bar(bar(3, "91 91 91 91")))


def test_nothing_trades_in_a_bar_without_volume_whatever_the_volume_share() -> None:
    for share in ("0", "0.025"):
        exchange = Exchange(replace(FREE, volume_share=Decimal(share)))
        exchange.submit(order())
        assert exchange.on_bar(bar(1, "100 100 100 100", volume=0)) == []


def test_nothing_trades_while_the_market_is_closed() -> None:
    def after_ten_past(_market: MarketCode, moment: datetime) -> bool:
        return moment >= NOW + timedelta(minutes=10)

    exchange = Exchange(replace(FREE, is_open=after_ten_past))
    exchange.submit(order())
    assert exchange.on_bar(bar(10, "100 100 100 100")) == []  # it ends with the closed time
    assert fills(exchange.on_bar(bar(11, "101 101 101 101")))


def test_a_bar_of_a_day_counts_as_in_session_wherever_its_stamp_lies() -> None:
    exchange = Exchange(replace(FREE, is_open=lambda _market, _moment: False))
    exchange.submit(order())
    assert fills(exchange.on_bar(bar(1440, "100 100 100 100", interval_seconds=86_400)))


@pytest.mark.parametrize(
    ("side", "limit", "prices", "price"),
    [
        ("BUY", "100", "99 101 98 100", "99"),  # opens better
        ("BUY", "100", "101 102 99 101", "100"),  # comes down to it
        ("BUY", "100", "101 102 100 101", "100"),  # touches it
        ("BUY", "100", "101 102 100.01 101", None),
        ("SELL", "100", "101 102 100 101", "101"),
        ("SELL", "100", "99 100 98 99", "100"),
        ("SELL", "100", "99 99.99 98 99", None),
    ],
)
def test_a_limit_order_fills_at_the_open_or_at_its_limit(
    side: str, limit: str, prices: str, price: str | None
) -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(side, limit))
    expected = [] if price is None else [("o-1", 10, price)]
    assert fills(exchange.on_bar(bar(1, prices))) == expected


def test_a_strict_limit_fills_only_when_the_market_trades_through_it() -> None:
    exchange = Exchange(replace(FREE, strict=True))
    exchange.submit(order(price="100"))
    assert fills(exchange.on_bar(bar(1, "101 102 100 101"))) == []
    assert fills(exchange.on_bar(bar(2, "100 102 100 101"))) == []
    assert fills(exchange.on_bar(bar(3, "100 102 99.99 101"))) == [("o-1", 10, "100")]


def test_an_exit_at_the_open_comes_before_the_stop_of_the_same_bar() -> None:
    exchange = protected(stop_price="95", target_price="110")
    leave = order("SELL", order_id="o-2", closes="o-1", as_of=NOW + timedelta(minutes=1))
    exchange.submit(leave)
    events = exchange.on_bar(bar(2, "99 99 90 91"))
    assert fills(events) == [("o-2", 10, "99")]
    assert ends(events) == dict.fromkeys(("o-1/stop", "o-1/target"), "NOTHING_TO_CLOSE")


@pytest.mark.parametrize(
    ("volume", "instrument", "share", "filled"),
    [
        (400, AAPL, "0.025", 10),
        (399, AAPL, "0.025", 9),
        (39, AAPL, "0.025", 1),  # one lot, where the bar traded that much
        (1, AAPL, "0.025", 1),
        (0.5, AAPL, "0.025", 0),
        (8_000, TENCENT, "0.025", 200),
        (7_999, TENCENT, "0.025", 100),
        (100, TENCENT, "0.025", 100),
        (99, TENCENT, "0.025", 0),
        (1, AAPL, "0", 1_000),  # 0: no limit
    ],
)
def test_orders_take_their_share_of_a_bars_volume_in_whole_lots(
    volume: float, instrument: TradableInstrument, share: str, filled: int
) -> None:
    exchange = Exchange(replace(FREE, volume_share=Decimal(share)))
    exchange.submit(order(instrument=instrument, quantity=1_000))
    events = exchange.on_bar(bar(1, "100 100 100 100", instrument.symbol, volume=volume))
    assert sum(quantity for _, quantity, _ in fills(events)) == filled


def test_all_orders_of_a_symbol_share_the_volume_exits_first() -> None:
    exchange = protected()
    exchange.submit(
        order(order_id="o-2", as_of=NOW + timedelta(minutes=1)),
        order("SELL", order_id="o-3", closes="o-1", as_of=NOW + timedelta(minutes=1)),
    )
    events = exchange.on_bar(bar(2, "100 100 100 100", volume=480))
    assert fills(events) == [("o-3", 10, "100"), ("o-2", 2, "100")]


@pytest.mark.parametrize(
    ("placed", "price"),
    [
        (order(), "100.11"),  # 10 bps above 100.003, up to the cent
        (order("SELL"), "99.9"),
        (order(price="100.05"), "100.05"),  # never beyond the limit
        (order("SELL", "99.95"), "99.95"),
    ],
)
def test_slippage_is_against_us_to_the_tick_and_never_beyond_the_limit(
    placed: ExchangeOrder, price: str
) -> None:
    exchange = Exchange(replace(FREE, slippage_bps=Decimal(10)))
    exchange.submit(placed)
    assert fills(exchange.on_bar(bar(1, "100.003 101 99 100"))) == [("o-1", 10, price)]


def test_a_stop_slips_and_a_target_does_not() -> None:
    rules = replace(FREE, slippage_bps=Decimal(10))
    for prices, price in (("98 99 94 97", "94.9"), ("108 111 107 109", "110")):
        exchange = opened(rules, stop_price="95", target_price="110")
        exchange.on_bar(bar(1, "100 100 100 100"))
        [(_, _, paid)] = fills(exchange.on_bar(bar(2, prices)))
        assert paid == price


def test_orders_that_wait_in_the_book_do_not_slip_when_a_bar_opens_beyond_them() -> None:
    rules = replace(FREE, slippage_bps=Decimal(10))
    exchange = opened(rules, price="100", target_price="110")
    assert fills(exchange.on_bar(bar(1, "101 101 101 101"))) == []
    assert fills(exchange.on_bar(bar(2, "99 99 99 99"))) == [("o-1", 10, "99")]
    assert fills(exchange.on_bar(bar(3, "111 111 111 111"))) == [("o-1/target", 10, "111")]
    exchange = opened(rules, target_price="110")
    expected = [("o-1", 10, "112.12"), ("o-1/target", 10, "112")]
    assert fills(exchange.on_bar(bar(1, "112 112 112 112"))) == expected


def test_who_buys_pays_the_spread_and_a_buy_limit_must_reach_the_ask() -> None:
    rules = replace(FREE, spread_bps=Decimal(10))
    exchange = Exchange(rules)
    exchange.submit(order(), order("SELL", order_id="o-2"))
    events = exchange.on_bar(bar(1, "100 100 100 100"))
    assert fills(events) == [("o-1", 10, "100.1"), ("o-2", 10, "100")]
    exchange.submit(order(price="100", order_id="o-3"))
    assert fills(exchange.on_bar(bar(2, "101 101 100 101"))) == []
    assert fills(exchange.on_bar(bar(3, "101 101 99.9 101"))) == [("o-3", 10, "100")]


def test_an_order_that_fills_in_parts_pays_the_least_commission_once() -> None:
    exchange = Exchange(replace(FREE, fees=lambda market, at: Policy().fees[market].at(at)))
    exchange.submit(order())
    events = exchange.on_bar(bar(1, "100 100 100 100", volume=160))
    events += exchange.on_bar(bar(2, "100 100 100 100"))
    trades = [event for event in events if isinstance(event, Execution)]
    assert [trade.trade_id for trade in trades] == ["o-1-1", "o-1-2"]
    assert [trade.fee for trade in trades] == [Decimal("0.99"), 0]
