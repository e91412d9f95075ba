"""Rates by date, and what a file of them may be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from streamdesk.trading.errors import RateFileError
from streamdesk.trading.rates import RateBook, read_rates

HEADER = "at,currency,rate,source"
WEEK = timedelta(days=7)


def book_of(*rows: str, max_age: timedelta | None = WEEK) -> RateBook:
    book = RateBook("USD", max_age=max_age)
    book.use(read_rates("\n".join((HEADER, *rows)), "rates.csv"))
    return book


def noon(day: int) -> datetime:
    return datetime(2026, 11, day, 12, tzinfo=UTC)


def test_a_rate_holds_from_its_day_until_the_next_one_in_whatever_order_they_are_written() -> None:
    book = book_of("2026-11-18,HKD,0.129,ECB", "2026-11-16,HKD,0.128,ECB")
    found = [book.at(noon(day)).of("HKD") for day in (16, 17, 18, 19)]
    assert found == [Decimal("0.128")] * 2 + [Decimal("0.129")] * 2
    assert book.at(noon(17)).dates == {"HKD": datetime(2026, 11, 16, tzinfo=UTC)}


def test_a_rate_with_a_time_does_not_hold_before_it() -> None:
    book = book_of("2026-11-16,HKD,0.128,ECB", "2026-11-17T16:00:00+01:00,HKD,0.129,ECB")
    three = datetime(2026, 11, 17, 15, tzinfo=UTC)
    assert book.at(three - timedelta(seconds=1)).of("HKD") == Decimal("0.128")
    assert book.at(three).of("HKD") == Decimal("0.129")


def test_a_rate_that_is_too_old_is_given_and_counts_as_unknown() -> None:
    book = book_of("2026-11-01,HKD,0.128,ECB")
    assert book.at(datetime(2026, 11, 8, tzinfo=UTC)).unknown == {}
    late = book.at(noon(8))
    assert late.of("HKD") == Decimal("0.128")
    assert "2026-11-01" in late.unknown["HKD"]
    assert "7 days" in late.unknown["HKD"]
    assert book_of("2026-11-01,HKD,0.128,ECB", max_age=None).at(noon(30)).unknown == {}


def test_before_the_first_rate_it_counts_as_unknown() -> None:
    early = book_of("2026-11-16,HKD,0.128,ECB").at(noon(15))
    assert early.of("HKD") == Decimal("0.128")
    assert "first rate" in early.unknown["HKD"]


def test_a_fixed_rate_holds_at_all_times() -> None:
    book = RateBook("USD", {"HKD": Decimal("0.128")}, max_age=WEEK)
    for time in (None, datetime(1990, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)):
        assert (book.at(time).of("HKD"), book.at(time).unknown) == (Decimal("0.128"), {})


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "at least one row"),
        (["2026-11-16,HKD,0.128"], "line 2: row"),
        (["2026-11-16,HKD,0.128,"], "line 2: source"),
        (["2026-11-16,hkd,0.128,ECB"], "line 2: currency is 'hkd'"),
        (["16.11.2026,HKD,0.128,ECB"], "line 2: at is '16.11.2026'"),
        (["2026-11-16,HKD,7.8,ECB"], "line 2: rate is '7.8'; expected USD for one HKD"),
        (["2026-11-16,HKD,NaN,ECB"], "line 2: rate is 'NaN'"),
        (["2026-11-16,EUR,-1,ECB"], "line 2: rate is '-1'"),
        (["2026-11-16,EUR,a,ECB"], "line 2: rate is 'a'"),
        (["2026-11-16,HKD,0.128,ECB", "2026-11-16T00:00:00Z,HKD,0.129,x"], "line 3: at is"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_line(rows: list[str], says: str) -> None:
    with pytest.raises(RateFileError) as refused:
        read_rates("\n".join((HEADER, *rows)), "rates.csv")
    assert says in str(refused.value)


def test_other_columns_are_refused() -> None:
    with pytest.raises(RateFileError, match="line 1: header"):
        read_rates("date,pair,rate\n", "rates.csv")
