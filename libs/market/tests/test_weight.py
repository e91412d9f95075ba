from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.market import BarSourceUnavailableError
from streamdesk.market.sources.binance.weight import WeightBudget, retry_after_seconds

MINUTE = 1_795_000_020.0  # the first second of a minute
MINUTE -= MINUTE % 60


def test_half_of_a_minutes_weight_goes_at_once() -> None:
    budget = WeightBudget(100)
    assert [budget.take(MINUTE, 2, 5.0) for _ in range(25)] == [0.0] * 25


def test_the_other_half_is_spread_over_the_minute() -> None:
    budget = WeightBudget(100)
    budget.learn(MINUTE, 50)
    assert budget.take(MINUTE, 2, 60.0) == pytest.approx(2.4)  # the first of 25 in 60 s
    assert budget.take(MINUTE, 2, 60.0) == pytest.approx(4.8)
    assert budget.take(MINUTE + 30, 2, 60.0) == 0.0  # late: it is due already


def test_a_request_with_too_long_a_wait_is_refused_at_once_and_not_counted() -> None:
    budget = WeightBudget(100)
    budget.learn(MINUTE, 90)
    with pytest.raises(BarSourceUnavailableError, match=r"90 of 100 weight .* early") as refusal:
        budget.take(MINUTE, 2, 5.0)
    assert refusal.value.retry_after_seconds == pytest.approx(50.4)
    assert budget.used == 90


def test_a_new_minute_begins_with_nothing_used() -> None:
    budget = WeightBudget(100)
    budget.learn(MINUTE + 59.9, 100)
    with pytest.raises(BarSourceUnavailableError) as refusal:
        budget.take(MINUTE + 59.9, 2, 60.0)
    assert refusal.value.retry_after_seconds == pytest.approx(0.1)
    assert budget.take(MINUTE + 60, 2, 60.0) == 0.0


def test_the_servers_count_holds_where_it_is_higher_and_ours_where_it_is_lower() -> None:
    budget = WeightBudget(100)
    budget.take(MINUTE, 20, 0.0)
    budget.learn(MINUTE, 8)  # left before our other requests came
    assert budget.used == 20
    budget.learn(MINUTE, 44)
    assert budget.used == 44


def test_a_shorter_block_does_not_end_a_longer_one() -> None:
    budget = WeightBudget(100)
    budget.block(MINUTE, 120, "banned")
    budget.block(MINUTE, 5, "slow down")
    with pytest.raises(BarSourceUnavailableError, match="banned"):
        budget.check(MINUTE + 119)
    budget.check(MINUTE + 120)


@settings(deadline=None)
@given(
    steps=st.lists(st.floats(0, 20), max_size=200),
    limit=st.integers(10, 200),
    others=st.integers(0, 50),
)
def test_no_minute_ever_has_more_than_its_budget(
    steps: list[float], limit: int, others: int
) -> None:
    budget = WeightBudget(limit)
    now, sent, waits = MINUTE, Counter[float](), []
    for step in steps:
        now += step
        minute = now - now % 60
        try:
            budget.take(now, 2, 60.0)
            sent[minute] += 2
        except BarSourceUnavailableError as refusal:
            waits.append(refusal.retry_after_seconds or 0.0)
        budget.learn(now, sent[minute] + others)
    assert all(weight <= limit for weight in sent.values())
    assert all(0 < seconds <= 60 for seconds in waits)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30), (" 7 ", 7), ("0", 0), (None, 99), ("", 99), ("-1", 99), ("1.5", 99), ("²", 99),
     ("Fri, 20 Nov 2026 15:30:00 GMT", 99), ("9999999999999", 259_200)],
)  # fmt: skip
def test_a_retry_after_is_seconds_or_not_believed(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, 99) == seconds
