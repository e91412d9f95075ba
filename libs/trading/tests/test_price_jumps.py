from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from streamdesk.contracts.events import BarClosed
from streamdesk.trading.price_jumps import BelievedPrice, PriceJump, jump_of

AT = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
BOUND = Decimal(40)
BEFORE = BelievedPrice(Decimal(100), AT)
BarOf = Callable[..., BarClosed]


def bar(open_: float, high: float, low: float, close: float, *, minute: int = 1) -> BarClosed:
    return BarClosed(
        symbol="AAPL.US",
        timestamp=AT + timedelta(minutes=minute),
        interval_seconds=60,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=1000,
    )


@pytest.mark.parametrize("price", [60.0, 140.0, 100.0, 60.000001, 139.999999])
def test_a_bar_at_the_bound_or_within_it_is_no_jump(price: float) -> None:
    assert jump_of(bar(price, price, price, price), BEFORE, BOUND) is None


@pytest.mark.parametrize("price", [59.999999, 140.000001, 10.0, 1000.0, 1e300, 1e-9])
def test_a_bar_beyond_the_bound_is_a_jump(price: float) -> None:
    jump = jump_of(bar(price, price, price, price), BEFORE, BOUND)
    assert jump is not None
    assert jump.lock().value >= BOUND


@pytest.mark.parametrize(
    "prices", [(10, 100, 10, 100), (100, 1000, 100, 100), (100, 100, 10, 100), (100, 100, 10, 10)]
)
def test_one_price_of_a_bar_beyond_the_bound_is_enough(
    prices: tuple[float, float, float, float],
) -> None:
    jump = jump_of(bar(*prices), BEFORE, BOUND)
    assert isinstance(jump, PriceJump)
    assert jump.price in {Decimal(10), Decimal(1000)}


def test_a_bound_of_zero_believes_every_price() -> None:
    assert jump_of(bar(1, 1, 1, 1), BEFORE, Decimal(0)) is None


def test_a_bar_of_the_time_before_is_no_newer_one() -> None:
    jump = jump_of(bar(10, 10, 10, 10, minute=0), BEFORE, BOUND)
    assert jump is not None
    assert not jump.is_newer
