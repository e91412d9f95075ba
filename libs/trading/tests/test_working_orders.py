"""When an order that is working makes way."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.decisions import Crossing
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.orders import Intent, Order, OrderState, Origin
from streamdesk.trading.working_orders import (
    LEAST_BARS,
    cancel_code_for,
    crosses_stop,
    expires,
    left_behind,
)

AT = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
PRICES = st.decimals("0.01", "10000", places=2)
SIDES = st.sampled_from(list(Side))


def order_of(side: Side, limit: Decimal = Decimal(100), stop: Decimal | None = None) -> Order:
    intent = Intent(
        client_order_id="sd-1",
        signal_id="signal-1",
        origin=Origin.SIGNAL,
        fingerprint="f",
        symbol="AAPL.US",
        market=MarketCode.US,
        currency="USD",
        side=side,
        quantity=100,
        limit_price=limit,
        reference_price=limit,
        as_of=AT,
        reserved_cash=Decimal(0),
        stop_loss=stop,
    )
    return Order(intent, state=OrderState.ACCEPTED)


def bar_of(seconds: float, price: Decimal, interval_seconds: int = 60) -> BarClosed:
    names = "open", "high", "low", "close"
    return BarClosed(
        symbol="AAPL.US",
        timestamp=AT + timedelta(seconds=seconds),
        interval_seconds=interval_seconds,
        volume=1,
        **dict.fromkeys(names, float(price)),
    )


@given(
    side=SIDES,
    age_seconds=st.integers(-1000, 10**6),
    timeout_seconds=st.integers(1, 10**5),
    interval_seconds=st.sampled_from([60, 300, 3600, 86_400]),
)
def test_an_entry_expires_when_both_its_time_and_two_bars_are_over_and_an_exit_never(
    side: Side, age_seconds: int, timeout_seconds: int, interval_seconds: int
) -> None:
    bar = bar_of(age_seconds, Decimal(100), interval_seconds)
    is_over = age_seconds >= timeout_seconds and age_seconds >= LEAST_BARS * interval_seconds
    found = expires(order_of(side), bar, bar.timestamp, timeout_seconds)
    assert found is (side is Side.BUY and is_over)


@given(side=SIDES, limit=PRICES, price=PRICES, seconds=st.integers(-600, 600))
def test_an_exit_is_left_behind_by_a_later_bar_that_closes_below_its_limit_and_no_other(
    side: Side, limit: Decimal, price: Decimal, seconds: int
) -> None:
    crossed = left_behind(order_of(side, limit), bar_of(seconds, price))
    is_left = side is Side.SELL and seconds > 0 and price < limit
    assert (crossed is not None) is is_left
    if crossed is not None:
        assert crossed == Crossing(
            Origin.EXIT, limit, Decimal(str(float(price))), bar_of(seconds, price).timestamp
        )
        assert cancel_code_for(order_of(side, limit), crossed) is not None


@given(side=SIDES, stop=st.none() | PRICES, price=PRICES, seconds=st.integers(-600, 600))
def test_only_a_bar_after_an_entry_and_through_its_stop_ends_it(
    side: Side, stop: Decimal | None, price: Decimal, seconds: int
) -> None:
    found = crosses_stop(order_of(side, stop=stop), bar_of(seconds, price))
    assert found is (side is Side.BUY and stop is not None and seconds > 0 and price <= stop)


@given(
    side=SIDES,
    state=st.sampled_from(list(OrderState)),
    contradiction=st.none() | st.just("ORDER_FORGOTTEN"),
)
def test_what_is_not_working_or_is_contradicted_is_not_canceled(
    side: Side, state: OrderState, contradiction: str | None
) -> None:
    live = Order(order_of(side).intent, state=state, contradiction=contradiction)
    crossed = Crossing(Origin.STOP_LOSS, Decimal(95), Decimal(1), AT + timedelta(minutes=1))
    if not state.is_working or contradiction is not None:
        assert cancel_code_for(live, crossed) is None
    else:
        assert cancel_code_for(live, crossed) is not None
