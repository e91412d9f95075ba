import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from streamdesk.market import BarFileError, BarSeries, UnknownInstrumentError
from streamdesk.market.recordings import FileFormat, read_recording
from streamdesk.market.sources.recorded import RecordedBarSource

CsvOf = Callable[..., Path]
DAY_SECONDS = 86_400
ROWS = [(f"2026-11-{day}", 10, 12, 9, 11, 1000) for day in range(10, 21)]


async def test_the_last_bars_of_a_file_are_answered(csv_of: CsvOf) -> None:
    source = RecordedBarSource(csv_of(*ROWS))
    answer = (await source.latest(["AAPL.US"], DAY_SECONDS, 3))["AAPL.US"]
    assert isinstance(answer, BarSeries)
    assert len(answer) == 3
    assert answer.as_of == datetime(2026, 11, 20, tzinfo=UTC)
    assert answer.close.tolist() == [11.0] * 3


async def test_crypto_pairs_are_taken(csv_of: CsvOf) -> None:
    source = RecordedBarSource(csv_of(*ROWS, name="BTCUSDT.csv"))
    answers = await source.latest(["BTCUSDT"], DAY_SECONDS, 100)
    assert isinstance(answers["BTCUSDT"], BarSeries)
    assert len(answers["BTCUSDT"]) == len(ROWS)


def test_a_feed_that_trades_takes_no_crypto_pairs(csv_of: CsvOf) -> None:
    path = csv_of(ROWS[0], ("AAPL.US", *ROWS[0]), header="symbol,date,open,high,low,close,volume")
    path.write_text(path.read_text().replace("2026-11-10,10", "BTCUSDT,2026-11-10,10", 1))
    recording = read_recording(path, FileFormat())
    assert [bar.symbol for bar in recording.bars] == ["AAPL.US"]
    assert "symbol is 'BTCUSDT'; expected one like AAPL.US or 700.HK" in str(recording.refused[0])


async def test_other_instruments_and_lengths_are_unknown(csv_of: CsvOf) -> None:
    source = RecordedBarSource(csv_of(*ROWS))
    answers = await source.latest(["AAPL.US", "700.HK"], 60, 3)
    assert {type(answer) for answer in answers.values()} == {UnknownInstrumentError}
    assert "AAPL.US.csv has no bars of 60 s of it" in str(answers["AAPL.US"])


async def test_a_file_that_cannot_be_used_is_the_error_of_each_symbol(tmp_path: Path) -> None:
    answers = await RecordedBarSource(tmp_path / "no.csv").latest(["AAPL.US", "700.HK"], 60, 3)
    assert {type(answer) for answer in answers.values()} == {BarFileError}
    assert "there is no file" in str(answers["700.HK"])


async def test_what_was_refused_can_be_seen(csv_of: CsvOf) -> None:
    source = RecordedBarSource(csv_of(*ROWS, ("2026-11-21", 10, 12, 9, 11, -5)))
    await source.latest(["AAPL.US"], DAY_SECONDS, 3)
    assert source.refused == (
        "AAPL.US.csv line 13: AAPL.US: volume is -5.0; expected 0 or more shares",
    )


async def test_concurrent_requests_read_the_file_once(csv_of: CsvOf) -> None:
    path = csv_of(*ROWS)
    source = RecordedBarSource(path)
    first, *others = await asyncio.gather(
        *(source.latest(["AAPL.US"], DAY_SECONDS, 100) for _ in range(10))
    )
    path.unlink()
    assert all(other["AAPL.US"] is first["AAPL.US"] for other in others)
    await source.close()
    assert isinstance((await source.latest(["AAPL.US"], DAY_SECONDS, 1))["AAPL.US"], BarFileError)


async def test_a_parquet_file_written_by_others_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    times = [datetime(2026, 11, 20, 15, minute, tzinfo=UTC) for minute in range(3)]
    symbols = pa.array(["BTCUSDT"] * 3).dictionary_encode()  # as pandas writes categories
    numbers = {name: [1.0, 2.0, 3.0] for name in ("open", "high", "low", "close", "volume")}
    table = pa.table({"symbol": symbols, "timestamp": times, **numbers})
    for compression in ("none", "snappy", "zstd", "gzip", "lz4", "brotli"):
        parquet.write_table(table, path, compression=compression, row_group_size=2)
        answer = (await RecordedBarSource(path).latest(["BTCUSDT"], 60, 9))["BTCUSDT"]
        assert isinstance(answer, BarSeries), answer
        assert answer.close.tolist() == [1.0, 2.0, 3.0]
