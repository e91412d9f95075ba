"""Tables of lots, ticks and fees: a user's rows count, a bad one is named."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.dated import Dated
from streamdesk.trading.errors import MarketTableError
from streamdesk.trading.fees import Commission, MarketFees
from streamdesk.trading.market_tables import TABLE_FILES, built_in, read_tables
from streamdesk.trading.markets import MarketCode, Ticks

LOTS, TICKS, FEES = (",".join(columns) for columns in TABLE_FILES.values())
DAYS = st.dates(date(2000, 1, 1), date(2030, 1, 1))


@given(st.dictionaries(DAYS, st.integers(), min_size=1), DAYS)
def test_the_last_change_up_to_a_day_holds_on_it(values: dict[date, int], day: date) -> None:
    dated = Dated.of(values)
    begun = [since for since in values if since <= day]
    assert dated.on(day) == values[max(begun) if begun else min(values)]
    assert dated.begun(day) == (values[max(begun)] if begun else None)


@given(st.dictionaries(DAYS, st.integers(), min_size=1), st.dictionaries(DAYS, st.integers()))
def test_other_changes_count_over_ours(mine: dict[date, int], others: dict[date, int]) -> None:
    both = Dated.of(mine).extended(Dated.of(others))
    assert dict(zip(both.days, both.values, strict=True)) == mine | others


@pytest.mark.parametrize("name", TABLE_FILES)
def test_every_row_that_comes_with_the_desk_says_where_it_is_from(name: str) -> None:
    text = (files("streamdesk.trading") / "tables" / name).read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        source = row["source"]
        assert any(word in source for word in ("http", "unverified: ", "SR-FINRA", "rule", "rate",
                                               "By-Laws")), row  # fmt: skip


def test_a_lot_without_a_source_says_so() -> None:
    text = (files("streamdesk.trading") / "tables" / "lots.csv").read_text("utf-8")
    rows = {row["symbol"]: row for row in csv.DictReader(text.splitlines())}
    assert rows["3690.HK"]["source"] == "unverified: value of earlier releases"
    assert "https://" in rows["9992.HK"]["source"]


def test_a_users_ticks_replace_the_table_from_their_day_on() -> None:
    rows = ["HK,2026-09-07,0,0.001,x", "HK,2026-09-07,0.5,0.005,x", "HK,2026-09-07,10,0.01,x"]
    ticks = Ticks(built_in().extended(read_tables({"ticks.csv": "\n".join([TICKS, *rows])})).ticks)
    steps = [
        ticks.tick(market, Decimal(5), datetime(2026, 9, day, 6, tzinfo=UTC))
        for market in (MarketCode.HK, MarketCode.US)
        for day in (6, 7)
    ]
    assert steps == [Decimal("0.01"), Decimal("0.005"), Decimal("0.01"), Decimal("0.01")]


def test_a_users_fee_is_taken_from_its_first_day_on_and_no_earlier() -> None:
    row = "US,city tax,2027-03-01,both,value,0.001,,,nearest cent,the city"
    tables = built_in().extended(read_tables({"fees.csv": f"{FEES}\n{row}\n"}))
    fees = MarketFees("US", Commission(), tables.fees["US"])
    paid = [
        fees.at(datetime(2027, month, 1, tzinfo=UTC)).of_order(Side.BUY, 1, Decimal(1000))
        for month in (2, 3)
    ]
    assert paid == [0, 1]
    assert tables.fees["HK"] == built_in().fees["HK"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("lots.csv", "", "lots.csv line 1: header is ''; expected symbol,from,lot,source"),
        ("lots.csv", "symbol,lot", "line 1: header is 'symbol,lot'; expected symbol,from,lot"),
        ("lots.csv", f"{LOTS}\n700.HK,2026-01-01,100", "line 2: row is '700.HK,2026-01-01,100'"),
        ("lots.csv", f"{LOTS}\n\n700.HK,2026-01-01,1,x", "line 2: row is ''; expected 4 values"),
        ("lots.csv", f"{LOTS}\nHSBC,2026-01-01,1,x", "line 2: symbol is 'HSBC'; expected a share"),
        ("lots.csv", f"{LOTS}\n5.HK,1/4/2026,1,x", "from is '1/4/2026'; expected a day, as in"),
        ("lots.csv", f"{LOTS}\n5.HK,2026-04-01,1.5,x", "lot is '1.5'; expected a whole number"),
        ("lots.csv", f"{LOTS}\n5.HK,2026-04-01,0,x", "lot is '0'; expected a whole number"),
        ("lots.csv", f"{LOTS}\n5.HK,2026-04-01,1, ", "source is ' '; expected where the value"),
        (
            "lots.csv",
            f"{LOTS}\n5.HK,2026-04-01,1,x\n0005.hk,2026-04-01,2,x",
            "line 3: from is '2026-04-01'; expected one row of 5.HK for a day",
        ),
        ("ticks.csv", f"{TICKS}\nJP,2026-04-01,0,1,x", "market is 'JP'; expected one of US, HK"),
        ("ticks.csv", f"{TICKS}\nHK,2026-04-01,0,0,x", "tick is '0'; expected a number above 0"),
        ("ticks.csv", f"{TICKS}\nHK,2026-04-01,0.5,1,x", "expected a row with price 0"),
        (
            "ticks.csv",
            f"{TICKS}\nHK,2026-04-01,0,1,x\nHK,2026-04-01,0.0,2,x",
            "line 3: price is '0.0'; expected one row of HK for a day and a price",
        ),
        ("fees.csv", f"{FEES}\nUS,a,2026-04-01,all,value,1,,,cent up,x", "side is 'all'"),
        ("fees.csv", f"{FEES}\nUS,a,2026-04-01,buy,bps,1,,,cent up,x", "basis is 'bps'"),
        ("fees.csv", f"{FEES}\nUS,a,2026-04-01,buy,value,NaN,,,cent up,x", "rate is 'NaN'"),
        ("fees.csv", f"{FEES}\nUS,a,2026-04-01,buy,value,-1,,,cent up,x", "rate is '-1'"),
        ("fees.csv", f"{FEES}\nUS,a,2026-04-01,buy,value,1,9,2,cent up,x", "maximum is '2'"),
        ("fees.csv", f"{FEES}\nUS,a,2026-04-01,buy,value,1,,,down,x", "rounding is 'down'"),
        ("fees.csv", f"{FEES}\nUS,,2026-04-01,buy,value,1,,,cent up,x", "fee is ''"),
        ("fees.csv", f'{FEES}\nUS,"a', "line 2: row is "),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_file_line_value_and_what_was_expected(
    name: str, text: str, complaint: str
) -> None:
    with pytest.raises(MarketTableError) as caught:
        read_tables({name: text}, "/etc/tables/")
    message = str(caught.value)
    assert message.startswith(f"/etc/tables/{name} line ")
    assert complaint in message
    assert "\n" not in message
