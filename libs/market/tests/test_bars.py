import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.market.bars import BarSequence, make_bar, usual_interval_seconds
from streamdesk.market.errors import (
    BadPriceError,
    BarError,
    DuplicateBarError,
    NegativeVolumeError,
    NotFiniteError,
    OutOfOrderBarError,
    UnknownSymbolError,
    UnreadableBarError,
)

BarOf = Callable[..., Any]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"close": math.nan}, NotFiniteError, "not-finite"),
        ({"high": math.inf}, NotFiniteError, "not-finite"),
        ({"volume": math.nan}, NotFiniteError, "not-finite"),
        ({"volume": -1.0}, NegativeVolumeError, "negative-volume"),
        ({"low": 0.0}, BadPriceError, "bad-price"),
        ({"high": 99.0}, BadPriceError, "bad-price"),
        ({"low": 101.0}, BadPriceError, "bad-price"),
        ({"symbol": "MSFT.US"}, UnknownSymbolError, "unknown-symbol"),
    ],
)
def test_a_bar_that_makes_no_sense_is_refused_with_its_reason(
    bar_of: BarOf, wrong: dict[str, Any], error: type[BarError], reason: str
) -> None:
    sequence = BarSequence(frozenset({"AAPL.US"}))
    with pytest.raises(error) as refusal:
        sequence.admit(bar_of(**wrong))
    assert refusal.value.reason == reason
    assert wrong.get("symbol", "AAPL.US") in str(refusal.value)


def test_a_bar_that_comes_twice_is_refused_the_second_time(bar_of: BarOf) -> None:
    sequence = BarSequence()
    sequence.admit(bar_of())
    with pytest.raises(DuplicateBarError):
        sequence.admit(bar_of(price=101.0))


def test_a_bar_older_than_the_last_is_refused(bar_of: BarOf) -> None:
    sequence = BarSequence()
    sequence.admit(bar_of(number=2))
    with pytest.raises(OutOfOrderBarError, match=r"15:31.*after the one of .*15:32"):
        sequence.admit(bar_of(number=1))


def test_a_refused_bar_changes_nothing(bar_of: BarOf) -> None:
    sequence = BarSequence()
    sequence.admit(bar_of(number=1))
    with pytest.raises(NotFiniteError):
        sequence.admit(bar_of(number=5, close=math.nan))
    sequence.admit(bar_of(number=2))


def test_each_instrument_has_its_own_order(bar_of: BarOf) -> None:
    sequence = BarSequence()
    sequence.admit(bar_of("AAPL.US", number=9))
    sequence.admit(bar_of("700.HK", number=1))


def test_a_bar_with_a_time_without_a_zone_is_unreadable() -> None:
    with pytest.raises(UnreadableBarError, match="timezone"):
        make_bar(
            symbol="AAPL.US",
            timestamp=NOON.replace(tzinfo=None),
            interval_seconds=60,
            open_=1,
            high=1,
            low=1,
            close=1,
            volume=0,
        )


def test_the_interval_is_the_shortest_step_between_two_bars() -> None:
    times = [NOON + timedelta(days=day) for day in (0, 3, 1)]
    assert usual_interval_seconds(times, otherwise=60) == 86_400


def test_the_interval_of_a_single_bar_is_the_given_one() -> None:
    assert usual_interval_seconds([NOON, NOON], otherwise=60) == 60
