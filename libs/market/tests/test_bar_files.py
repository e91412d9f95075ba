import builtins
import contextlib
import gzip
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarFileError
from streamdesk.market.recordings import BarRecording, FileFormat, read_recording

CsvOf = Callable[..., Path]
PLAIN = FileFormat()
DAY = ("2026-11-19", 10, 12, 9, 11, 1000)
NUMBERS = ("open", "high", "low", "close", "volume")
NEXT = ("2026-11-20", 11, 13, 10, 12, 1500)


def refusals(recording: BarRecording) -> list[tuple[str, str]]:
    return [(error.reason, str(error)) for error in recording.refused]


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


def test_without_arro3_a_parquet_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "AAPL.US.parquet"
    path.touch()
    real = builtins.__import__

    def without_arro3(name: str, *rest: Any) -> Any:
        if name.startswith("streamdesk.market.recordings.parquet"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_arro3)
    with pytest.raises(BarFileError, match=r"install streamdesk-market\[parquet\]"):
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
def test_a_bad_row_is_refused_with_its_line_and_the_others_are_replayed(
    csv_of: CsvOf, row: tuple[Any, ...], reason: str, detail: str
) -> None:
    recording = read_recording(csv_of(DAY, row, ("2026-11-21", 1, 1, 1, 1, 1)), PLAIN)
    [(refused_as, message)] = refusals(recording)
    assert refused_as == reason
    assert message.startswith("AAPL.US.csv line 3: ")
    assert detail in message
    assert len(recording.bars) == 2


def test_rows_of_an_instrument_that_is_not_watched_are_refused(csv_of: CsvOf) -> None:
    header = "symbol,date,open,high,low,close,volume"
    path = csv_of(("AAPL.US", *DAY), ("XYZ.US", *DAY), header=header)
    recording = read_recording(path, PLAIN, frozenset({"AAPL.US"}))
    [(reason, message)] = refusals(recording)
    assert reason == "unknown-symbol"
    assert "line 3: 'XYZ.US' is not on the watchlist" in message


def test_a_row_with_a_malformed_symbol_is_refused(csv_of: CsvOf) -> None:
    header = "symbol,date,open,high,low,close,volume"
    path = csv_of(("aapl.us", *DAY), ("TESLA", *DAY), ("", *DAY), header=header)
    recording = read_recording(path, PLAIN)
    assert recording.bars[0].symbol == "AAPL.US"
    assert [message for _, message in refusals(recording)] == [
        "AAPL.US.csv line 3: symbol is 'TESLA'; expected one like AAPL.US or 700.HK in its column",
        "AAPL.US.csv line 4: symbol is ''; expected one like AAPL.US or 700.HK in its column",
    ]


@pytest.mark.parametrize("spelled", ["0700.HK", "700.hk", "00700.HK"])
def test_a_recording_may_spell_its_instruments_in_any_way(csv_of: CsvOf, spelled: str) -> None:
    header = "symbol,date,open,high,low,close,volume"
    in_column = csv_of((spelled, *DAY), name="bars.csv", header=header)
    wanted = frozenset({"700.HK"})
    assert read_recording(in_column, PLAIN, wanted).bars[0].symbol == "700.HK"
    named_by_file = csv_of(DAY, name=f"{spelled}.csv")
    assert read_recording(named_by_file, PLAIN, wanted).bars[0].symbol == "700.HK"


def test_a_file_without_its_symbol_is_an_error_with_the_remedy(csv_of: CsvOf) -> None:
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


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BarFileError, match=r"is one of \.csv"):
        read_recording(tmp_path, PLAIN)


@pytest.mark.parametrize("seed", range(16))
def test_a_damaged_parquet_file_is_refused_or_read_and_never_ends_the_process(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "AAPL.US.parquet"
    table = {name: [1.0 + day for day in range(300)] for name in NUMBERS}
    days = [date(2026, 1, 1) + timedelta(days=day) for day in range(300)]
    parquet.write_table(pa.table({"date": days, **table}), path)
    content, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    with contextlib.suppress(BarFileError):
        assert read_recording(path, PLAIN).bars


def test_a_parquet_file_whose_footer_is_nonsense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.US.parquet"
    path.write_bytes(b"PAR1" + b"\xee" * 64 + (64).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(BarFileError, match="cannot be read"):
        read_recording(path, PLAIN)


def test_a_parquet_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.US.parquet"
    parquet.write_table(pa.table({"date": [date(2026, 1, 1)], "open": [1.0]}), path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(BarFileError, match="no Parquet file, or a part of one"):
        read_recording(path, PLAIN)
