from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from streamdesk.trading.exchange import (
    Exchange,
    OrderType,
    bracket,
)
from streamdesk.trading.orders import OrderState
from tests.exchange_world import FREE, NOW, TENCENT, bar, ends, fills, opened, order, protected


@pytest.mark.parametrize(
    ("prices", "exit_id", "price"),
    [
        ("98 99 95 97", "stop", "95"),  # touched
        ("98 99 94 97", "stop", "95"),
        ("80 90 70 85", "stop", "80"),  # opens below
        ("108 111 107 109", "target", "110"),
        ("120 121 119 120", "target", "120"),  # opens above
        ("100 112 94 100", "stop", "95"),  # both: the stop
        ("111 112 94 100", "target", "111"),  # both, but the open is beyond the target
    ],
)
def test_a_position_is_left_at_its_stop_or_its_target(
    prices: str, exit_id: str, price: str
) -> None:
    exchange = protected(stop_price="95", target_price="110")
    events = exchange.on_bar(bar(2, prices))
    assert fills(events) == [(f"o-1/{exit_id}", 10, price)]
    other_id = {"stop": "target", "target": "stop"}[exit_id]
    assert ends(events) == {f"o-1/{other_id}": "NOTHING_TO_CLOSE"}
    assert exchange.export().orders == ()


def test_nothing_happens_between_the_stop_and_the_target() -> None:
    exchange = protected(stop_price="95", target_price="110")
    assert exchange.on_bar(bar(2, "100 109.99 95.01 100")) == []


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ("100 112 94 105", [("o-1", 10, "100"), ("o-1/stop", 10, "95")]),
        ("100 112 96 105", [("o-1", 10, "100"), ("o-1/target", 10, "110")]),
        ("90 92 88 91", [("o-1", 10, "90"), ("o-1/stop", 10, "90")]),
    ],
)
def test_stop_and_target_live_from_the_entrys_own_bar(
    prices: str, expected: list[tuple[str, int, str]]
) -> None:
    assert fills(opened(stop_price="95", target_price="110").on_bar(bar(1, prices))) == expected


@pytest.mark.parametrize(
    ("prices", "exits"),
    [
        ("105 105 97 99", []),
        ("112 112 97 99", []),  # the high is older than the entry
        ("105 112 97 111", [("o-1/target", 10, "110")]),  # the close proves the target
        ("105 112 94 111", [("o-1/stop", 10, "95")]),
    ],
)
def test_for_an_entry_inside_a_bar_only_what_the_bar_proves_counts(
    prices: str, exits: list[tuple[str, int, str]]
) -> None:
    exchange = opened(price="98", stop_price="95", target_price="110")
    assert fills(exchange.on_bar(bar(1, prices))) == [("o-1", 10, "98"), *exits]


def test_a_short_position_is_left_the_same_way_upside_down() -> None:
    for prices, exit_id, price in (
        ("102 106 101 103", "stop", "105"),
        ("120 121 119 120", "stop", "120"),
        ("92 93 89 91", "target", "90"),
        ("80 81 79 80", "target", "80"),
    ):
        exchange = Exchange(FREE)
        exchange.submit(*bracket(order("SELL"), stop_price=Decimal(105), target_price=Decimal(90)))
        exchange.on_bar(bar(1, "100 100 100 100"))
        assert fills(exchange.on_bar(bar(2, prices))) == [(f"o-1/{exit_id}", 10, price)]


def test_a_part_of_an_entry_is_protected_at_once_and_the_rest_is_not_bought_any_more() -> None:
    exchange = opened(stop_price="95", target_price="110")
    assert fills(exchange.on_bar(bar(1, "100 100 100 100", volume=160))) == [("o-1", 4, "100")]
    events = exchange.on_bar(bar(2, "80 80 80 80", volume=100_000))
    # The rest of the entry is at the open as well, before the stop: both happen.
    assert fills(events) == [("o-1", 6, "80"), ("o-1/stop", 10, "80")]


def test_a_stop_inside_a_bar_cancels_the_rest_of_its_entry() -> None:
    exchange = opened(price="100", stop_price="95")
    assert fills(exchange.on_bar(bar(1, "100 100 100 100", volume=160))) == [("o-1", 4, "100")]
    exchange.replace("o-1", NOW + timedelta(minutes=1), limit_price=Decimal(90))
    events = exchange.on_bar(bar(2, "97 97 94 94"))
    assert fills(events) == [("o-1/stop", 4, "95")]
    assert ends(events) == {"o-1": "EXITED"}
    assert exchange.export().orders == ()


def test_a_stop_that_is_touched_cancels_the_rest_of_its_entry_before_it_can_sell() -> None:
    exchange = opened(price="100", stop_price="95")
    exchange.on_bar(bar(1, "100 100 100 100", volume=160))
    events = exchange.on_bar(bar(2, "97 97 94 94", volume=0.5))
    assert (fills(events), ends(events)) == ([], {"o-1": "EXITED"})
    assert fills(exchange.on_bar(bar(3, "99 99 99 99"))) == [("o-1/stop", 4, "99")]


def test_an_entry_that_is_canceled_leaves_exits_of_the_part_that_was_filled() -> None:
    exchange = opened(stop_price="95", target_price="110")
    exchange.on_bar(bar(1, "100 100 100 100", volume=160))
    answers = exchange.cancel("o-1", NOW + timedelta(minutes=1))
    assert ends(answers) == {"o-1": "CANCELED"}
    assert [item.order.quantity for item in exchange.open_orders()] == [4, 4]
    assert fills(exchange.on_bar(bar(2, "96 96 94 94"))) == [("o-1/stop", 4, "95")]


def test_an_entry_that_is_canceled_unfilled_takes_its_exits_with_it() -> None:
    exchange = opened(stop_price="95", target_price="110")
    assert ends(exchange.cancel("o-1", NOW)) == {
        "o-1": "CANCELED",
        "o-1/stop": "NOTHING_TO_CLOSE",
        "o-1/target": "NOTHING_TO_CLOSE",
    }
    assert exchange.export().orders == ()


def test_a_triggered_stop_that_finds_too_little_volume_sells_the_rest_at_the_next_open() -> None:
    exchange = protected(stop_price="95", target_price="110")
    assert fills(exchange.on_bar(bar(2, "96 96 94 94", volume=160))) == [("o-1/stop", 4, "95")]
    events = exchange.on_bar(bar(3, "99 100 98 99"))
    assert fills(events) == [("o-1/stop", 6, "99")]
    assert exchange.export().orders == ()


def test_an_odd_lot_can_be_left_whole_but_not_opened() -> None:
    exchange = Exchange(FREE)
    odd = order(instrument=TENCENT, quantity=150)
    assert ends(list(exchange.submit(odd))) == {"o-1": "LOT_SIZE"}
    exchange.submit(*bracket(order(instrument=TENCENT, quantity=100), stop_price=Decimal(95)))
    exchange.on_bar(bar(1, "100 100 100 100", "700.HK"))
    exchange.on_split("700.HK", Fraction(3, 2))
    assert fills(exchange.on_bar(bar(2, "60 60 60 60", "700.HK"))) == [("o-1/stop", 150, "60")]


def test_a_trailing_stop_is_tested_before_the_bar_moves_it() -> None:
    exchange = protected(trail_amount="5")
    assert exchange.on_bar(bar(2, "100 120 95.01 118")) == []  # held against 95, then moved to 115
    assert fills(exchange.on_bar(bar(3, "117 117 114 114"))) == [("o-1/stop", 10, "115")]


def test_a_trailing_stop_does_not_follow_a_high_that_is_older_than_its_entry() -> None:
    exchange = opened(price="98", trail_amount="5")
    assert fills(exchange.on_bar(bar(1, "112 112 97 99"))) == [("o-1", 10, "98")]
    assert [item.stop_price for item in exchange.open_orders()] == [Decimal(94)]  # close less 5


def test_a_trailing_stop_never_moves_back() -> None:
    exchange = protected(trail_percent="10")
    exchange.on_bar(bar(2, "100 110 100 110"))
    exchange.on_bar(bar(3, "105 106 100 100"))
    assert [item.stop_price for item in exchange.open_orders()] == [Decimal(99)]
    assert fills(exchange.on_bar(bar(4, "100 100 98 98"))) == [("o-1/stop", 10, "99")]


def test_a_trailing_stop_starts_at_the_stop_that_is_given() -> None:
    exchange = opened(trail_amount="5", stop_price="90")
    assert fills(exchange.on_bar(bar(1, "100 100 91 95"))) == [("o-1", 10, "100")]
    assert fills(exchange.on_bar(bar(2, "96 96 91 92"))) == [("o-1/stop", 10, "95")]


def test_a_trailing_stop_without_an_entry_follows_its_reference_price() -> None:
    exchange = Exchange(FREE)
    exchange.submit(
        order(
            "SELL",
            type=OrderType.STOP,
            trail_amount=Decimal(5),
            reference_price=Decimal(100),
        )
    )
    exchange.on_bar(bar(1, "101 104 100 104"))
    assert fills(exchange.on_bar(bar(2, "103 103 98 98"))) == [("o-1", 10, "99")]


def test_a_split_scales_open_orders_before_the_first_bar_at_new_prices() -> None:
    exchange = protected(stop_price="95", target_price="110", trail_amount="7")
    answers = exchange.on_split("AAPL.US", Fraction(10))
    assert {(answer.state, answer.quantity) for answer in answers} == {(OrderState.ACCEPTED, 100)}
    assert exchange.on_bar(bar(2, "10 10.5 9.6 10.1")) == []
    assert fills(exchange.on_bar(bar(3, "10 11 10 11"))) == [("o-1/target", 100, "11")]


def test_a_reverse_split_drops_fractions_of_a_share() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="9", quantity=25), order(price="9", order_id="o-2", quantity=9))
    answers = exchange.on_split("AAPL.US", Fraction(1, 10))
    assert ends(list(answers)) == {"o-2": "SPLIT"}
    assert fills(exchange.on_bar(bar(1, "90 90 90 90"))) == [("o-1", 2, "90")]


def test_a_position_of_which_a_split_leaves_no_share_is_forgotten() -> None:
    exchange = protected(stop_price="95", target_price="110")
    answers = exchange.on_split("AAPL.US", Fraction(1, 20))
    assert ends(list(answers)) == dict.fromkeys(("o-1/stop", "o-1/target"), "NOTHING_TO_CLOSE")
    assert exchange.export().orders == ()


def test_levels_that_follow_from_others_are_kept_to_a_millionth() -> None:
    exchange = opened(trail_percent="3.33333", target_price="110")
    exchange.on_bar(bar(1, "100.01 100.01 100.01 100.01"))
    exchange.on_split("AAPL.US", Fraction(7))
    for item in exchange.open_orders():
        for level in (item.stop_price, item.order.limit_price):
            assert level is None or level == round(level, 6)


def test_a_limit_is_never_worse_after_a_split_than_what_was_asked_for() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="100"), order("SELL", "100", order_id="o-2"))
    exchange.on_split("AAPL.US", Fraction(3))
    limits = [item.order.limit_price for item in exchange.open_orders()]
    assert limits == [Decimal("33.33"), Decimal("33.34")]
