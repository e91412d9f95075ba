from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarFileError
from streamdesk.market.recordings import FileFormat
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.recorded import RecordedFeed

CsvOf = Callable[..., Path]
PLAIN = FileFormat()
DAY = ("2026-11-19", 10, 12, 9, 11, 1000)
NEXT = ("2026-11-20", 11, 13, 10, 12, 1500)


async def replay(feed: RecordedFeed) -> list[tuple[BarClosed, ...]]:
    return [batch.bars async for batch in feed.live(Drain()) if batch.bars]


async def test_a_folder_is_replayed_in_the_order_of_the_times(
    csv_of: CsvOf, tmp_path: Path
) -> None:
    csv_of(DAY, NEXT, name="AAPL.US.csv")
    csv_of(NEXT, name="700.HK.csv")
    feed = RecordedFeed.from_path(tmp_path, PLAIN, steps_per_second=0, run="r")
    steps = [[bar.symbol for bar in bars] for bars in await replay(feed)]
    assert steps == [["AAPL.US"], ["700.HK", "AAPL.US"]]
    assert feed.total_bars == 3


async def test_some_instruments_of_a_recording_can_be_chosen(csv_of: CsvOf, tmp_path: Path) -> None:
    csv_of(DAY, NEXT, name="AAPL.US.csv")
    csv_of(NEXT, name="700.HK.csv")
    feed = RecordedFeed.from_path(tmp_path, PLAIN, steps_per_second=0, run="r", chosen=["700.HK"])
    assert feed.symbols == ("700.HK",)
    with pytest.raises(BarFileError, match=r"no bars of 5\.HK; it has 700\.HK, AAPL\.US"):
        RecordedFeed.from_path(tmp_path, PLAIN, steps_per_second=0, run="r", chosen=["5.HK"])


async def test_crypto_pairs_are_refused_because_no_signal_may_name_one(csv_of: CsvOf) -> None:
    path = csv_of(
        ("BTCUSDT", *DAY),
        ("AAPL.US", *DAY),
        name="mixed.csv",
        header="symbol,date,open,high,low,close,volume",
    )
    feed = RecordedFeed.from_path(path, PLAIN, steps_per_second=0, run="r")
    assert feed.symbols == ("AAPL.US",)
    batches = [batch async for batch in feed.live(Drain())]
    assert "symbol is 'BTCUSDT'" in str(batches[0].refused[0])


async def test_the_recording_is_replayed_once_and_reports_refused_rows_first(
    csv_of: CsvOf,
) -> None:
    feed = RecordedFeed.from_path(
        csv_of(DAY, ("2026-11-20", 1, 1, 1, 1, -1)), PLAIN, steps_per_second=0, run="r"
    )
    assert [batch async for batch in feed.history(Drain())] == []
    batches = [batch async for batch in feed.live(Drain())]
    assert [(len(batch.bars), len(batch.refused)) for batch in batches] == [(0, 1), (1, 0)]


async def test_a_replay_ends_when_the_process_is_asked_to_stop(csv_of: CsvOf) -> None:
    drain = Drain()
    feed = RecordedFeed.from_path(csv_of(DAY, NEXT), PLAIN, steps_per_second=0.001, run="r")
    replayed = []
    async for batch in feed.live(drain):
        replayed.append(batch)
        drain.request()
    assert len(replayed) == 1


async def test_a_replay_keeps_its_pace(csv_of: CsvOf, monkeypatch: pytest.MonkeyPatch) -> None:
    drain = Drain()
    naps = []

    async def nap(seconds: float) -> bool:
        naps.append(seconds)
        return False

    monkeypatch.setattr(drain, "sleep", nap)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [((day + timedelta(days=n)).date(), 1, 1, 1, 1, 1) for n in range(5)]
    feed = RecordedFeed.from_path(csv_of(*rows), PLAIN, steps_per_second=0.01, run="r")
    assert len([batch async for batch in feed.live(drain)]) == 5
    # Naps that take no time: each is longer by a step, as the schedule runs ahead of the clock.
    assert [round(nap / 100) for nap in naps] == [1, 2, 3, 4]
