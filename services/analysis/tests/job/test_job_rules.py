from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.analysis.domain.job import (
    CHUNK_STOCKS,
    PERCENT,
    RunPlan,
    chunked,
    closing_words,
    day_of,
    event_id,
    failures_text,
    latest_and_next,
    left,
    new_percent,
    run_id_at,
    run_id_of,
)

DAY = date(2026, 11, 20)


@given(st.integers(1, 12_000))
def test_a_run_reports_its_progress_at_most_101_times(stocks: int) -> None:
    reported = [
        percent for done in range(stocks + 1) if (percent := new_percent(done, stocks)) is not None
    ]
    assert reported == sorted(set(reported))
    assert len(reported) <= PERCENT + 1
    assert (reported[0], reported[-1]) == (0, 100)


@given(st.sets(st.integers(0, 3_000)))
def test_every_stock_is_in_one_chunk(numbers: set[int]) -> None:
    symbols = {f"S{number}.US" for number in numbers}
    chunks = chunked(symbols)
    assert [symbol for chunk in chunks for symbol in chunk] == sorted(symbols)
    assert all(0 < len(chunk) <= CHUNK_STOCKS for chunk in chunks)


def test_five_thousand_stocks_are_twenty_chunks_and_few_still_several() -> None:
    assert len(chunked([f"S{number}.US" for number in range(5_000)])) == 20
    assert len(chunked([f"S{number}.US" for number in range(78)])) == 8


def test_the_same_event_has_the_same_id_and_no_other_has_it() -> None:
    ids = {event_id(run, what) for run in ("a", "b") for what in ("AAPL.US", "7 %", "end")}
    assert len(ids) == 6
    assert event_id("a", "AAPL.US") == event_id("a", "AAPL.US")


def test_a_chunk_is_left_to_compute_to_publish_or_not_at_all() -> None:
    rest = left(4, computed={0, 2}, published={2, 3})
    assert rest.to_compute == (1, 3)  # the mark of 3 stands for a file that is gone
    assert rest.to_publish == (0,)
    assert rest.published == (2,)


def test_a_run_is_named_after_its_day_its_market_and_its_number() -> None:
    assert run_id_of(DAY, None, 1) == "daily-2026-11-20"
    assert run_id_of(DAY, "US", 2) == "daily-2026-11-20-us-2"
    assert day_of("daily-2026-11-20-us-2", date(2000, 1, 1)) == DAY
    assert day_of("mine", date(2000, 1, 1)) == date(2000, 1, 1)


def test_the_run_of_a_slot_has_one_name_wherever_the_clock_stands() -> None:
    slot = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
    assert run_id_at(slot) == "daily-2026-11-20-at-2230"
    assert run_id_at(slot.astimezone(timezone(timedelta(hours=8)))) == run_id_at(slot)
    assert day_of(run_id_at(slot), date(2000, 1, 1)) == DAY


def test_a_new_run_takes_the_next_number_of_its_market() -> None:
    taken = {"daily-2026-11-20", "daily-2026-11-20-2", "daily-2026-11-20-us"}
    assert latest_and_next(set(), DAY, None) == (None, "daily-2026-11-20")
    assert latest_and_next(taken, DAY, None) == ("daily-2026-11-20-2", "daily-2026-11-20-3")
    assert latest_and_next(taken, DAY, "US") == ("daily-2026-11-20-us", "daily-2026-11-20-us-2")
    assert latest_and_next(taken, DAY, "HK") == (None, "daily-2026-11-20-hk")


@pytest.mark.parametrize(
    ("failed", "text"),
    [
        ([], ""),
        (["B.US", "A.US"], "A.US, B.US"),
        (
            [f"{n:02}.HK" for n in range(23)],
            ", ".join(f"{n:02}.HK" for n in range(20)) + " and 3 more",
        ),
    ],
)
def test_failing_stocks_are_named_the_first_twenty_of_them(failed: list[str], text: str) -> None:
    assert failures_text(failed) == text


def test_a_run_ends_with_how_many_stocks_failed_and_which() -> None:
    assert closing_words(5, []) == "5 stocks"
    assert closing_words(5, ["A.US"]) == "4 of 5 stocks; 1 failed: A.US"


def test_a_plan_knows_how_many_stocks_it_has() -> None:
    assert RunPlan("r", None, datetime.now(UTC), (("A.US", "B.US"), ("C.US",))).stocks == 3
