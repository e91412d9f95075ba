import json
import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.news_fetcher.adapters.eodhd.minute_pace import MinutePace, leaky_bucket
from streamdesk.news_fetcher.domain.quota import Quota, cost, midnight_after, pause_seconds
from streamdesk.news_fetcher.errors import QuotaExhaustedError, SourceBusyError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
# Machines under load are slow now and then; a rule is not broken by that.
unhurried = settings(deadline=None)

times = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the bounds are without a zone


def test_a_request_costs_five_calls_and_five_for_each_ticker() -> None:
    assert [cost(tickers) for tickers in (1, 2, 12)] == [10, 15, 65]


def test_calls_are_spent_until_none_are_left_and_none_of_a_refused_request_is_counted() -> None:
    quota = Quota(25)
    quota.spend(NOON, 10)
    quota.spend(NOON, 10)
    with pytest.raises(QuotaExhaustedError, match=r"20 of 25 calls .* 2026-11-21 00:00") as caught:
        quota.spend(NOON, 10)
    assert (quota.used, quota.left(NOON)) == (20, 5)
    assert (caught.value.until, caught.value.retry_after_seconds) == (MIDNIGHT, 12 * 3600)


def test_a_new_day_in_gmt_starts_with_nothing_used_wherever_the_clock_is() -> None:
    quota = Quota(100)
    quota.spend(NOON, 60)
    hong_kong = timezone(timedelta(hours=8))
    assert quota.left(datetime(2026, 11, 21, 7, 59, tzinfo=hong_kong)) == 40  # 23:59 GMT
    assert quota.left(datetime(2026, 11, 21, 8, tzinfo=hong_kong)) == 100


def test_a_clock_that_is_set_back_gives_no_calls() -> None:
    quota = Quota(100)
    quota.spend(MIDNIGHT, 60)
    assert quota.left(NOON) == 40


def test_a_refusal_of_the_provider_holds_until_midnight_whatever_we_counted() -> None:
    quota = Quota(100_000)
    quota.refuse(NOON)
    assert (quota.left(NOON), quota.exhausted_until(NOON)) == (0, MIDNIGHT)
    with pytest.raises(QuotaExhaustedError, match="provider says") as caught:
        quota.spend(NOON, 10)
    assert caught.value.until == MIDNIGHT
    assert quota.exhausted_until(MIDNIGHT) is None
    quota.spend(MIDNIGHT, 10)


def test_a_refusal_just_after_midnight_is_about_the_day_before() -> None:
    quota = Quota(100_000)
    quota.refuse(MIDNIGHT + timedelta(seconds=2))
    until = quota.exhausted_until(MIDNIGHT + timedelta(seconds=2))
    assert until == MIDNIGHT + timedelta(minutes=5)


def test_too_few_calls_for_one_ticker_are_none() -> None:
    quota = Quota(19)
    assert quota.exhausted_until(NOON) is None
    quota.spend(NOON, 10)
    assert quota.exhausted_until(NOON) == MIDNIGHT


def test_the_providers_count_replaces_ours_and_the_lower_limit_counts() -> None:
    quota = Quota(1_000, used=10, day=NOON.date())
    quota.learn(NOON, used=900, limit=100_000)
    assert quota.left(NOON) == 100
    quota.learn(NOON, used=5, limit=20)
    assert (quota.left(NOON), quota.limit) == (15, 20)


@unhurried
@given(
    limit=st.integers(0, 10**6),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("spend"), times, st.integers(0, 200)),
            st.tuples(st.just("learn"), times, st.integers(0, 10**6)),
            st.tuples(st.just("refuse"), times, st.just(0)),
        ),
        max_size=20,
    ),
    now=times,
)
def test_a_quota_that_went_through_json_is_the_same(
    limit: int, steps: list[tuple[str, datetime, int]], now: datetime
) -> None:
    quota = Quota(limit)
    for what, at, calls in steps:
        if what == "learn":
            quota.learn(at, calls, calls * 2)
        elif what == "refuse":
            quota.refuse(at)
        elif quota.left(at) >= calls:
            quota.spend(at, calls)
        assert 0 <= quota.left(at) <= max(limit, 0)
    read = Quota.from_json(json.loads(json.dumps(quota.as_json())), limit)
    assert read == quota
    assert read.left(now) == quota.left(now)


def test_what_is_restored_never_gives_back_calls_of_today() -> None:
    quota = Quota(1_000, used=500, day=NOON.date(), refused_until=MIDNIGHT)
    quota.restore({"used": 20, "day": "2026-11-20", "provider_limit": 800, "refused_until": None})
    assert quota == Quota(1_000, 500, NOON.date(), 800, MIDNIGHT)
    quota.restore({"used": 900, "day": "2026-11-19"})
    assert quota.used == 500
    quota.restore({"used": 7, "day": "2026-11-21"})
    assert (quota.used, quota.day) == (7, date(2026, 11, 21))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "used",
        {"used": -1},
        {"used": True},
        {"used": "12"},
        {"day": "yesterday"},
        {"day": 7},
        {"refused_until": "soon"},
        {"refused_until": "2026-11-21T00:00:00"},
        {"provider_limit": 1.5},
    ],
)
def test_what_is_no_quota_is_refused_and_changes_nothing(value: object) -> None:
    quota = Quota(100, 10, NOON.date())
    with pytest.raises(ValueError, match=r"quota|isoformat"):
        quota.restore(value)
    assert quota == Quota(100, 10, NOON.date())


def test_the_interval_is_kept_while_there_are_calls_enough() -> None:
    assert pause_seconds(600, cost(1) * 12, Quota(100_000), NOON) == 600


def test_rounds_are_spread_over_the_rest_of_the_day_when_calls_are_few() -> None:
    quota = Quota(100_000, used=100_000 - 240, day=NOON.date())
    assert pause_seconds(300, 120, quota, NOON) == 6 * 3600


def test_nothing_left_is_a_pause_until_midnight() -> None:
    quota = Quota(20, used=20, day=NOON.date())
    assert pause_seconds(300, 120, quota, NOON) == 12 * 3600
    refused = Quota(100_000)
    refused.refuse(NOON)
    assert pause_seconds(300, 120, refused, NOON) == 12 * 3600


def test_a_source_without_costs_keeps_its_interval() -> None:
    assert pause_seconds(3, 0, Quota(0), NOON) == 3


@unhurried
@given(
    interval=st.floats(60, 86_400),
    tickers=st.integers(1, 60),
    calls=st.integers(0, 200_000),
    start=times,
)
def test_rounds_at_this_pace_never_run_out_of_calls_before_midnight(
    interval: float, tickers: int, calls: int, start: datetime
) -> None:
    quota, now, price = Quota(calls), start, cost(1) * tickers
    while quota.left(now) >= price and now < midnight_after(start):
        pause = pause_seconds(interval, price, quota, now)
        assert pause >= interval
        now += timedelta(seconds=pause)
        if now < midnight_after(start):
            quota.spend(now, price)  # raises if the pace was too fast


def test_the_minute_is_not_slowed_while_much_is_left() -> None:
    pace = MinutePace()
    pace.learn(100.0, limit=1_000, remaining=100)
    assert [pace.take(100.0) for _ in range(5)] == [0.0] * 5


def test_what_little_is_left_of_a_minute_is_spread_over_a_minute() -> None:
    pace = MinutePace()
    pace.learn(100.0, limit=1_000, remaining=2)
    assert [pace.take(100.0) for _ in range(5)] == [20.0, 40.0, 60.0, 60.0, 60.0]
    pace.learn(130.0, limit=1_000, remaining=999)
    assert pace.take(130.0) == 0.0


def test_after_a_429_nothing_goes_until_the_time_is_over() -> None:
    pace = MinutePace()
    pace.learn(100.0, limit=1_000, remaining=0)
    pace.block(100.0, 30.0)
    pace.block(100.0, 10.0)
    with pytest.raises(SourceBusyError, match="for 20 s") as caught:
        pace.take(110.0)
    assert caught.value.retry_after_seconds == 20.0
    assert pace.take(130.0) == 0.0


@unhurried
@given(per_minute=st.integers(1, 5_000), data=st.data())
def test_no_minute_has_more_requests_than_its_limit(per_minute: int, data: st.DataObject) -> None:
    size, period_seconds = leaky_bucket(per_minute)
    assert 1 <= size <= per_minute
    # The bucket as aiolimiter keeps it, asked as fast as possible after a time of quiet.
    level, now, sent = 0.0, data.draw(st.floats(0, 10)), []
    for _ in range(per_minute + size + 1):
        wait_seconds = max(0.0, (level + 1 - size) * period_seconds / size)
        now, level = now + wait_seconds, max(0.0, level - wait_seconds * size / period_seconds) + 1
        sent.append(now)
    for first, over in zip(sent, sent[per_minute:], strict=False):
        assert over - first > 60 or math.isclose(over - first, 60)
