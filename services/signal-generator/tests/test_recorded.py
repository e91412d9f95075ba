import builtins
import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from streamdesk.contracts.events import BarClosed
from streamdesk.runtime import Drain
from streamdesk.signal_generator.bar_files import FileFormat, Recording, read_recording
from streamdesk.signal_generator.errors import BarFileError
from streamdesk.signal_generator.feed_recorded import RecordedFeed

CsvOf = Callable[..., Path]
PLAIN = FileFormat()
DAY = ("2026-11-19", 10, 12, 9, 11, 1000)
NEXT = ("2026-11-20", 11, 13, 10, 12, 1500)


def refusals(recording: Recording) -> list[tuple[str, str]]:
    return [(error.reason, str(error)) for error in recording.refused]


async def play(feed: RecordedFeed) -> list[tuple[BarClosed, ...]]:
    return [batch.bars async for batch in feed.live(Drain()) if batch.bars]


def test_a_csv_file_becomes_bars(csv_of: CsvOf) -> None:
    recording = read_recording(csv_of(DAY, NEXT), PLAIN)
    assert recording.bars[1] == BarClosed(
        symbol="AAPL.US",
        timestamp=datetime(2026, 11, 20, tzinfo=UTC),
        interval_seconds=86_400,
        open=11,
        high=13,
        low=10,
        close=12,
        volume=1500,
    )
    assert not recording.refused


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "TIMESTAMP,OPEN,HIGH,LOW,CLOSE,VOL",
        " time ,open,high, low,close,Volume",
        "\ufeffdate,open,high,low,close,volume",
    ],
)
def test_the_case_of_column_names_does_not_matter(csv_of: CsvOf, header: str) -> None:
    assert len(read_recording(csv_of(DAY, header=header), PLAIN).bars) == 1


def test_a_compressed_csv_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "5.HK.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("date,open,high,low,close,volume\n2026-11-20,1,1,1,1,1\n")
    assert read_recording(path, PLAIN).bars[0].symbol == "5.HK"


def test_a_parquet_file_gives_the_bars_of_the_csv_file(csv_of: CsvOf, tmp_path: Path) -> None:
    rows = [DAY, NEXT]
    path = tmp_path / "AAPL.US.parquet"
    columns = dict(
        zip(
            ("Date", "Open", "High", "Low", "Close", "Volume"), zip(*rows, strict=True), strict=True
        )
    )
    columns["Date"] = tuple(date.fromisoformat(day) for day in columns["Date"])
    parquet.write_table(pa.table({k: list(v) for k, v in columns.items()}), path)
    assert read_recording(path, PLAIN) == read_recording(csv_of(*rows), PLAIN)


def test_a_parquet_file_with_times_and_symbols_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    now = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
    numbers = {name: [1.0, 1.0] for name in ("open", "high", "low", "close", "volume")}
    table = {"ticker": ["AAPL.US", "700.HK"], "timestamp": [now, now], **numbers}
    parquet.write_table(pa.table(table), path)
    assert [(b.symbol, b.timestamp) for b in read_recording(path, PLAIN).bars] == [
        ("AAPL.US", now),
        ("700.HK", now),
    ]


def test_a_refused_row_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.US.parquet"
    table = {"date": [date(2026, 11, 19), date(2026, 11, 20)], "volume": [1.0, None]}
    numbers = {name: [1.0, 1.0] for name in ("open", "high", "low", "close")}
    parquet.write_table(pa.table({**table, **numbers}), path)
    recording = read_recording(path, PLAIN)
    assert refusals(recording) == [
        ("unreadable", "AAPL.US.parquet row 2: volume is missing; expected a number")
    ]


def test_without_pyarrow_a_parquet_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "AAPL.US.parquet"
    path.touch()
    real = builtins.__import__

    def without_pyarrow(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(BarFileError, match=r"install streamdesk-signal-generator\[parquet\]"):
        read_recording(path, PLAIN)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.US.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(BarFileError, match="cannot be read"):
        read_recording(path, PLAIN)


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (("2026-11-20", 10, 12, 9, "nan", 5), "not-finite", "close is nan"),
        (("2026-11-20", 10, 12, 9, 11, -5), "negative-volume", "volume is -5"),
        (("2026-11-20", 10, 12, 9, 0, 5), "bad-price", "close is 0"),
        (("2026-11-20", 10, 12, 9, 13, 5), "bad-price", "close 13.0 is not between"),
        (("2026-11-20", "ten", 12, 9, 11, 5), "unreadable", "open is 'ten'"),
        (("2026-11-20", 10, 12), "unreadable", "low is missing"),
        (("20/11/2026", 10, 12, 9, 11, 5), "unreadable", "expected an ISO 8601 time"),
        (("2026-11-19", 10, 12, 9, 11, 5), "duplicate", "a second bar"),
        (("2026-11-18", 10, 12, 9, 11, 5), "out-of-order", "after the one of"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_the_others_are_played(
    csv_of: CsvOf, row: tuple[Any, ...], reason: str, detail: str
) -> None:
    recording = read_recording(csv_of(DAY, row, ("2026-11-21", 1, 1, 1, 1, 1)), PLAIN)
    [(refused_as, told)] = refusals(recording)
    assert refused_as == reason
    assert told.startswith("AAPL.US.csv line 3: ")
    assert detail in told
    assert len(recording.bars) == 2


def test_rows_of_an_instrument_that_is_not_watched_are_refused(csv_of: CsvOf) -> None:
    header = "symbol,date,open,high,low,close,volume"
    path = csv_of(("AAPL.US", *DAY), ("XYZ.US", *DAY), header=header)
    recording = read_recording(path, PLAIN, frozenset({"AAPL.US"}))
    [(reason, told)] = refusals(recording)
    assert reason == "unknown-symbol"
    assert "line 3: 'XYZ.US' is not on the watchlist" in told


def test_a_row_with_a_malformed_symbol_is_refused(csv_of: CsvOf) -> None:
    header = "symbol,date,open,high,low,close,volume"
    path = csv_of(("aapl.us", *DAY), ("TESLA", *DAY), ("", *DAY), header=header)
    recording = read_recording(path, PLAIN)
    assert recording.bars[0].symbol == "AAPL.US"
    assert [told for _, told in refusals(recording)] == [
        "AAPL.US.csv line 3: symbol is 'TESLA'; expected one like AAPL.US or 700.HK in its column",
        "AAPL.US.csv line 4: symbol is ''; expected one like AAPL.US or 700.HK in its column",
    ]


def test_a_file_that_does_not_say_its_symbol_says_how_to(csv_of: CsvOf) -> None:
    with pytest.raises(BarFileError, match="in FEED_SYMBOL or as the file's name"):
        read_recording(csv_of(DAY, name="prices.csv"), PLAIN)


def test_the_symbol_can_be_given(csv_of: CsvOf) -> None:
    recording = read_recording(csv_of(DAY, name="prices.csv"), FileFormat(symbol="5.HK"))
    assert recording.bars[0].symbol == "5.HK"


def test_a_format_of_times_can_be_given(csv_of: CsvOf) -> None:
    form = FileFormat(time_format="%m/%d/%Y")
    path = csv_of(("1/4/1999", 1, 1, 1, 1, 1), ("1999-01-05", 1, 1, 1, 1, 1))
    recording = read_recording(path, form)
    assert recording.bars[0].timestamp == datetime(1999, 1, 4, tzinfo=UTC)
    assert "a time like '%m/%d/%Y' (FEED_TIME_FORMAT)" in str(recording.refused[0])


def test_day_and_time_of_day_may_stand_apart(csv_of: CsvOf) -> None:
    header = "date,time,open,high,low,close,volume"
    path = csv_of(("2026-11-20", "15:31", 1, 1, 1, 1, 1), header=header)
    bar = read_recording(path, PLAIN).bars[0]
    assert bar.timestamp == datetime(2026, 11, 20, 15, 31, tzinfo=UTC)


def test_a_time_with_a_zone_is_kept(csv_of: CsvOf) -> None:
    path = csv_of(("2026-11-20T23:31:00+08:00", 1, 1, 1, 1, 1))
    assert read_recording(path, PLAIN).bars[0].timestamp.hour == 15


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("no.csv", "there is no file"), ("AAPL.US.xls", "is none of .csv, .csv.gz, .parquet")],
)
def test_a_file_that_cannot_be_a_recording_is_refused(
    tmp_path: Path, name: str, complaint: str
) -> None:
    if name.endswith("xls"):
        (tmp_path / name).touch()
    with pytest.raises(BarFileError, match=complaint):
        read_recording(tmp_path / name, PLAIN)


def test_missing_columns_are_named(csv_of: CsvOf) -> None:
    with pytest.raises(BarFileError, match=r"has no column timestamp, volume; it has: day, open"):
        read_recording(csv_of(DAY, header="day,open,high,low,close,turnover"), PLAIN)


def test_a_file_without_a_usable_bar_is_refused(csv_of: CsvOf) -> None:
    with pytest.raises(BarFileError, match=r"holds no usable bar; the first refused: .*line 2"):
        read_recording(csv_of(("2026-11-20", 0, 0, 0, 0, 0)), PLAIN)
    with pytest.raises(BarFileError, match=r"holds no usable bar$"):
        read_recording(csv_of(), PLAIN)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.US.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BarFileError, match="cannot be read"):
        read_recording(path, PLAIN)


async def test_a_folder_is_played_in_the_order_of_the_times(csv_of: CsvOf, tmp_path: Path) -> None:
    csv_of(DAY, NEXT, name="AAPL.US.csv")
    csv_of(NEXT, name="700.HK.csv")
    feed = RecordedFeed.from_path(tmp_path, PLAIN, steps_per_second=0)
    steps = [[bar.symbol for bar in bars] for bars in await play(feed)]
    assert steps == [["AAPL.US"], ["700.HK", "AAPL.US"]]
    assert feed.total_bars == 3


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BarFileError, match=r"is one of \.csv"):
        read_recording(tmp_path, PLAIN)


async def test_some_instruments_of_a_recording_can_be_chosen(csv_of: CsvOf, tmp_path: Path) -> None:
    csv_of(DAY, NEXT, name="AAPL.US.csv")
    csv_of(NEXT, name="700.HK.csv")
    feed = RecordedFeed.from_path(tmp_path, PLAIN, steps_per_second=0, chosen=["700.HK"])
    assert feed.symbols == ("700.HK",)
    with pytest.raises(BarFileError, match=r"no bars of 5\.HK; it has 700\.HK, AAPL\.US"):
        RecordedFeed.from_path(tmp_path, PLAIN, steps_per_second=0, chosen=["5.HK"])


async def test_the_recording_is_played_once_and_tells_first_what_was_refused(
    csv_of: CsvOf,
) -> None:
    feed = RecordedFeed.from_path(
        csv_of(DAY, ("2026-11-20", 1, 1, 1, 1, -1)), PLAIN, steps_per_second=0
    )
    assert [batch async for batch in feed.history(Drain())] == []
    batches = [batch async for batch in feed.live(Drain())]
    assert [(len(batch.bars), len(batch.refused)) for batch in batches] == [(0, 1), (1, 0)]


async def test_a_replay_ends_when_the_process_is_asked_to_stop(csv_of: CsvOf) -> None:
    drain = Drain()
    feed = RecordedFeed.from_path(csv_of(DAY, NEXT), PLAIN, steps_per_second=0.001)
    played = []
    async for batch in feed.live(drain):
        played.append(batch)
        drain.request()
    assert len(played) == 1


async def test_a_replay_keeps_its_pace(csv_of: CsvOf, monkeypatch: pytest.MonkeyPatch) -> None:
    drain = Drain()
    naps = []

    async def nap(seconds: float) -> bool:
        naps.append(seconds)
        return False

    monkeypatch.setattr(drain, "sleep", nap)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [((day + timedelta(days=n)).date(), 1, 1, 1, 1, 1) for n in range(5)]
    feed = RecordedFeed.from_path(csv_of(*rows), PLAIN, steps_per_second=0.01)
    assert len([batch async for batch in feed.live(drain)]) == 5
    # Naps that take no time: each is longer by a step, as the schedule runs ahead of the clock.
    assert [round(nap / 100) for nap in naps] == [1, 2, 3, 4]
