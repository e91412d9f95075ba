from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import talib

from streamdesk.analysis.adapters.run_folder.part_files import part_name, read_part, write_part
from streamdesk.analysis.domain.chunk import ChunkBars, compute
from streamdesk.analysis.domain.daily import daily
from streamdesk.analysis.domain.job import VALUES
from streamdesk.indicators import kdj
from streamdesk.market.series import BarSeries

SeriesOf = Callable[..., BarSeries]


def broken(series: BarSeries) -> BarSeries:
    close = series.close.copy()
    close[-3] = np.nan
    return BarSeries(
        series.symbol, 86_400, series.timestamps, series.open, series.high, series.low, close,
        series.volume,
    )  # fmt: skip


def test_each_stock_of_a_chunk_has_the_last_values_of_the_nine_indicators(
    series_of: SeriesOf,
) -> None:
    stocks = [series_of("A.US", 250), series_of("B.US", 90)]
    values = compute(ChunkBars.of(["A.US", "B.US"], stocks))
    for at, one in enumerate(stocks):
        macd, macd_signal, macd_histogram = talib.MACD(one.close, 12, 26, 9)
        upper, middle, lower = talib.BBANDS(one.close, 20, 2, 2)
        k, d, j = kdj(one.high, one.low, one.close)
        expected = {
            **{f"sma_{n}": one.close[-n:].mean() for n in (5, 10, 20, 60)},
            "macd": macd[-1],
            "macd_signal": macd_signal[-1],
            "macd_histogram": macd_histogram[-1],
            "rsi": talib.RSI(one.close, 14)[-1],
            "bollinger_upper": upper[-1],
            "bollinger_middle": middle[-1],
            "bollinger_lower": lower[-1],
            "atr": talib.ATR(one.high, one.low, one.close, 14)[-1],
            "kdj_k": k[-1],
            "kdj_d": d[-1],
            "kdj_j": j[-1],
        }
        assert list(expected) == list(VALUES)
        assert values.indicators(at) == pytest.approx(expected, rel=1e-9)


def test_a_young_stock_has_the_values_that_its_bars_suffice_for(series_of: SeriesOf) -> None:
    values = compute(ChunkBars.of(["NEW.US"], [series_of("NEW.US", 12)]))
    assert set(values.indicators(0)) == {"sma_5", "sma_10", "kdj_k", "kdj_d", "kdj_j"}
    assert not values.failed


def test_a_stock_that_fails_is_named_with_the_reason_and_spoils_no_other(
    series_of: SeriesOf,
) -> None:
    stocks = [series_of("A.US"), broken(series_of("BAD.US")), series_of("IPO.US", 3), None]
    symbols = ["A.US", "BAD.US", "IPO.US", "NONE.US"]
    values = compute(ChunkBars.of(symbols, stocks))
    assert set(values.failed) == {"BAD.US", "IPO.US", "NONE.US"}
    assert "close at bar 77" in values.failed["BAD.US"]
    assert "3 daily bars" in values.failed["IPO.US"]
    alone = compute(ChunkBars.of(["A.US"], [series_of("A.US")]))
    assert values.indicators(0) == alone.indicators(0)
    assert values.indicators(1) == {}


def test_a_result_file_gives_back_what_was_computed(series_of: SeriesOf, tmp_path: Path) -> None:
    stocks = [series_of("A.US"), broken(series_of("BAD.US")), series_of("NEW.US", 12)]
    values = compute(ChunkBars.of(["A.US", "BAD.US", "NEW.US"], stocks))
    unnamed = tmp_path / "x.tmp"
    again = read_part(unnamed.rename(tmp_path / part_name(0, write_part(unnamed, values))))
    assert (again.symbols, again.errors) == (values.symbols, values.errors)
    assert np.array_equal(again.values, values.values, equal_nan=True)
    assert np.array_equal(again.as_of, values.as_of)
    assert np.array_equal(again.counts, values.counts)


def test_a_result_file_is_plain_parquet_for_any_reader(series_of: SeriesOf, tmp_path: Path) -> None:
    stock = series_of("A.US")
    path = tmp_path / "part-0000.parquet"
    write_part(path, compute(ChunkBars.of(["A.US"], [stock])))
    [row] = pq.ParquetFile(path).read().to_pylist()
    assert row["symbol"] == "A.US"
    assert row["timestamp"] == stock.as_of
    assert row["bars"] == 80
    assert row["sma_5"] == pytest.approx(stock.close[-5:].mean())
    assert row["error"] == ""


def test_days_are_made_of_shorter_bars_and_end_with_the_last_of_them(series_of: SeriesOf) -> None:
    hours = series_of("A.US", 60, 3_600)  # the last one ends at midnight
    days = daily(hours)
    assert [len(days), days.interval_seconds] == [3, 86_400]
    assert days.timestamps.tolist() == hours.timestamps[[11, 35, 59]].tolist()
    assert days.open[-1] == hours.open[36]
    assert days.close[-1] == hours.close[-1]
    assert days.high[-1] == hours.high[36:].max()
    assert days.low[-1] == hours.low[36:].min()
    assert days.volume.tolist() == [12_000, 24_000, 24_000]
    assert len(daily(BarSeries.empty("A.US", 60))) == 0
