from datetime import timedelta
from decimal import Decimal

import pytest

from streamdesk.trading.exchange import (
    Exchange,
    ExchangeOrder,
    OrderType,
    bracket,
)
from streamdesk.trading.orders import OrderState
from tests.exchange_world import (
    FREE,
    NOW,
    TENCENT,
    bar,
    ends,
    fills,
    opened,
    order,
    protected,
    stop,
)


def test_a_day_order_ends_with_the_day_that_it_could_trade_on() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="90", day=True), order(price="90", order_id="o-2"))
    exchange.on_bar(bar(1, "100 100 95 100"))
    exchange.on_bar(bar(60, "100 100 95 100"))
    events = exchange.on_bar(bar(24 * 60, "80 80 80 80"))
    assert ends(events) == {"o-1": "EXPIRED"}
    assert fills(events) == [("o-2", 10, "80")]


def test_an_order_is_not_filled_by_a_bar_that_ends_after_its_expiry() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="90", expires_at=NOW + timedelta(minutes=2)))
    assert exchange.on_bar(bar(2, "100 100 95 100")) == []
    assert ends(exchange.on_bar(bar(3, "80 80 80 80"))) == {"o-1": "EXPIRED"}


def test_a_replaced_order_fills_at_its_new_price_from_the_next_bar() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="90"))
    exchange.on_bar(bar(1, "100 100 95 100"))
    answers = exchange.replace(
        "o-1", NOW + timedelta(minutes=1), limit_price=Decimal(96), quantity=20
    )
    assert [(a.state, a.quantity) for a in answers] == [(OrderState.ACCEPTED, 20)]
    assert fills(exchange.on_bar(bar(2, "100 100 95 100"))) == [("o-1", 20, "96")]


def test_a_replaced_order_is_not_filled_by_a_bar_that_began_before() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="90"))
    exchange.replace("o-1", NOW + timedelta(minutes=2), limit_price=Decimal(96))
    assert exchange.on_bar(bar(5, "95 95 95 95", interval_seconds=300)) == []
    assert fills(exchange.on_bar(bar(10, "95 95 95 95", interval_seconds=300)))


def test_the_exits_of_an_entry_follow_its_new_quantity() -> None:
    exchange = opened(price="100", stop_price="95", target_price="110")
    answers = exchange.replace("o-1", NOW, quantity=20)
    assert {(answer.order_id, answer.quantity) for answer in answers} == {
        ("o-1", 20),
        ("o-1/stop", 20),
        ("o-1/target", 20),
    }
    exchange.on_bar(bar(1, "100 100 100 100"))
    assert fills(exchange.on_bar(bar(2, "94 94 94 94"))) == [("o-1/stop", 20, "94")]


def test_an_order_reduced_to_what_is_filled_is_done() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order())
    exchange.on_bar(bar(1, "100 100 100 100", volume=160))
    [answer] = exchange.replace("o-1", NOW + timedelta(minutes=1), quantity=1)
    assert (answer.state, answer.quantity, answer.filled_quantity) == (OrderState.FILLED, 4, 4)


def test_a_replacement_that_is_refused_leaves_the_order_as_it_was() -> None:
    exchange = Exchange(FREE)
    exchange.submit(order(price="90"))
    answers = exchange.replace("o-1", NOW, limit_price=Decimal("90.001"))
    assert ends(list(answers)) == {"o-1": "PRICE_TICK"}
    assert fills(exchange.on_bar(bar(1, "90 90 90 90")))


def test_what_is_unknown_is_neither_canceled_nor_replaced() -> None:
    assert Exchange(FREE).cancel("o-1", NOW) == []
    assert Exchange(FREE).replace("o-1", NOW, quantity=5) == []


def test_an_id_that_is_in_the_book_makes_no_second_order() -> None:
    exchange = opened(stop_price="95")
    again = exchange.submit(order(quantity=500))
    assert [(answer.state, answer.quantity) for answer in again] == [(OrderState.ACCEPTED, 10)]
    assert len(exchange.open_orders()) == 2


@pytest.mark.parametrize(
    ("placed", "code"),
    [
        (order(quantity=0), "QUANTITY"),
        (order(type=OrderType.LIMIT), "PRICE_MISSING"),
        (order(type=OrderType.STOP), "PRICE_MISSING"),
        (order(price="-1"), "PRICE_MISSING"),
        (order(price="100", type=OrderType.MARKET), "PRICE_MISSING"),
        (order(price="100.001"), "PRICE_TICK"),
        (stop("SELL", "101", reference_price=Decimal(100)), "STOP_SIDE"),
        (stop("BUY", "100", reference_price=Decimal(100)), "STOP_SIDE"),
        (order("SELL", closes="never"), "UNKNOWN_ENTRY"),
    ],
)
def test_a_wrong_order_is_refused_with_a_code(placed: ExchangeOrder, code: str) -> None:
    exchange = Exchange(FREE)
    [answer] = exchange.submit(placed)
    assert (answer.state, answer.code) == (OrderState.REJECTED, code)
    assert answer.reason
    assert exchange.open_orders() == ()


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ({"stop_price": "100"}, "STOP_SIDE"),
        ({"target_price": "100"}, "TARGET_SIDE"),
        ({"stop_price": "95", "target_price": "99"}, "TARGET_SIDE"),
    ],
)
def test_an_entry_is_refused_with_its_exits(levels: dict[str, str], code: str) -> None:
    exchange = Exchange(FREE)
    orders = bracket(order(price="100"), **{name: Decimal(level) for name, level in levels.items()})
    answers = exchange.submit(*orders)
    assert {(answer.state, answer.code) for answer in answers} == {(OrderState.REJECTED, code)}
    assert exchange.open_orders() == ()


def test_an_exit_must_be_on_the_other_side_of_its_entry_in_the_same_symbol() -> None:
    exchange = protected()
    for wrong in (
        order("BUY", order_id="o-2", closes="o-1"),
        order("SELL", order_id="o-2", closes="o-1", instrument=TENCENT, quantity=100),
    ):
        assert ends(list(exchange.submit(wrong))) == {"o-2": "UNKNOWN_ENTRY"}


def test_what_cannot_be_paid_for_is_canceled() -> None:
    exchange = Exchange(FREE, funds=lambda _order, price: int(Decimal(650) / price))
    exchange.submit(order())
    events = exchange.on_bar(bar(1, "100 100 100 100"))
    assert fills(events) == [("o-1", 6, "100")]
    assert ends(events) == {"o-1": "INSUFFICIENT_FUNDS"}


def test_an_exchange_continues_from_the_state_of_another() -> None:
    first = opened(stop_price="95", trail_amount="6", target_price="110")
    first.on_bar(bar(1, "100 104 100 100", volume=160))
    second = Exchange(FREE, first.export())
    assert second.export() == first.export()
    for minute, prices in enumerate(("101 109 101 108", "104 104 99 99"), 2):
        assert second.on_bar(bar(minute, prices)) == first.on_bar(bar(minute, prices))
    assert second.export() == first.export()


def test_what_is_exported_does_not_change_with_the_exchange() -> None:
    exchange = opened(stop_price="95")
    before = exchange.export()
    exchange.on_bar(bar(1, "100 100 100 100"))
    assert before.orders[0].filled == 0
    assert before.seen == {}
