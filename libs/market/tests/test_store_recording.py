"""Stored bars can be replayed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamdesk.contracts.events import BarClosed
from streamdesk.market import BarFileError
from streamdesk.market.recordings import FileFormat, read_recording
from streamdesk.market.store import BarStore

START = datetime(2024, 3, 1, 14, 30, tzinfo=UTC)


def bars_of(
    symbol: str, count: int, *, step: timedelta = timedelta(days=1), seconds: int = 60
) -> list[BarClosed]:
    return [
        BarClosed(
            symbol=symbol,
            timestamp=START + number * step,
            interval_seconds=seconds,
            open=100,
            high=101,
            low=99,
            close=100,
            volume=number,
        )
        for number in range(count)
    ]


def stored(folder: Path, *groups: Sequence[BarClosed]) -> Path:
    store = BarStore(folder)
    for bars in groups:
        store.write(bars)
    return folder


def test_every_bar_of_every_day_is_played_in_the_order_of_its_time(tmp_path: Path) -> None:
    apple, tencent = bars_of("AAPL.US", 90), bars_of("700.HK", 120)
    folder = stored(tmp_path, apple, tencent, apple)
    recording = read_recording(folder, FileFormat())
    assert recording.refused == []
    assert sorted(recording.bars, key=str) == sorted(apple + tencent, key=str)
    times = [bar.timestamp for bar in recording.bars]
    assert times == sorted(times)


def test_of_several_lengths_the_shortest_is_played(tmp_path: Path) -> None:
    minutes = bars_of("AAPL.US", 3, step=timedelta(minutes=1))
    days = bars_of("AAPL.US", 3, seconds=86_400)
    assert read_recording(stored(tmp_path, days, minutes), FileFormat()).bars == minutes


def test_a_feed_that_trades_is_given_no_pairs_and_nothing_that_is_not_watched(
    tmp_path: Path,
) -> None:
    apple, bitcoin = bars_of("AAPL.US", 2), bars_of("BTCUSDT", 2)
    folder = stored(tmp_path, apple, bitcoin, bars_of("MSFT.US", 2))
    assert read_recording(folder, FileFormat(), frozenset({"AAPL.US"})).bars == apple
    with_crypto = read_recording(folder, FileFormat(with_crypto=True))
    assert {bar.symbol for bar in with_crypto.bars} == {"AAPL.US", "BTCUSDT", "MSFT.US"}


def test_a_store_with_nothing_to_replay_is_an_error(tmp_path: Path) -> None:
    folder = stored(tmp_path, bars_of("BTCUSDT", 2))
    with pytest.raises(BarFileError, match="holds no bar of what is asked for"):
        read_recording(folder, FileFormat())


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    folder = stored(tmp_path, bars_of("AAPL.US", 1))
    (part,) = folder.rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(BarFileError, match=part.name):
        read_recording(folder, FileFormat())
