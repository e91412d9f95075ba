"""The bar store: what is written is read, the later write counts, and old days are removed."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import dataset

from streamdesk.contracts.events import BarClosed
from streamdesk.market import BarSeries, StoreError, UnknownInstrumentError
from streamdesk.market.sources.stored import StoredBarSource
from streamdesk.market.store import layout
from streamdesk.market.store.bar_store import LEAST_REACH_DAYS, BarStore, reach_days
from streamdesk.market.store.files import WRITING, write_durably
from streamdesk.market.store.layout import PartFile
from streamdesk.market.store.reading import read_part
from streamdesk.market.store.rows import Rows, from_parquet
from streamdesk.market.store.upkeep import PARTS_OF_A_SIZE, ROWS_OF_A_PART, plan

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def bar(
    symbol: str = "AAPL.US", at: datetime = NOON, volume: float = 1.0, seconds: int = 60
) -> Any:
    return BarClosed(
        symbol=symbol,
        timestamp=at,
        interval_seconds=seconds,
        open=100.1,
        high=101.2,
        low=99.3,
        close=100.4,
        volume=volume,
    )


def minutes(count: int, symbol: str = "AAPL.US", start: datetime = NOON) -> list[BarClosed]:
    return [bar(symbol, start + timedelta(minutes=number), number) for number in range(count)]


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("part-*.parquet"))


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path)


def test_bars_are_found_by_any_spelling_of_their_instrument(store: BarStore) -> None:
    store.write([bar("700.HK"), bar("BRK.B.US")])
    assert len(store.read("0700.hk", 60, 10)) == 1
    assert list(store.read_market("US", 60, 10, ["BRK-B.US"])) == ["BRK.B.US"]


def test_a_file_of_an_earlier_release_is_read_in_our_spelling(store: BarStore) -> None:
    def old(symbol: str, number: int, volume: float) -> Any:
        at = NOON + timedelta(minutes=number)
        return bar(symbol, at, volume).model_copy(update={"symbol": symbol})

    # BRK-B.US sorts before BRK.A.US, BRK.B.US after it.
    store.write([old("BRK-B.US", 0, 1), old("BRK.A.US", 0, 2), old("BRK.B.US", 1, 3)])
    store.write([old("BRK-B.US", 2, 4)])
    assert store.symbols() == ["BRK.A.US", "BRK.B.US"]
    assert store.read("BRK.B.US", 60, 10).volume.tolist() == [1, 3, 4]
    assert store.read("BRK.A.US", 60, 10).volume.tolist() == [2]
    store.compact()
    assert BarStore(store.folder).read("BRK.B.US", 60, 10).volume.tolist() == [1, 3, 4]


def test_a_bar_comes_back_exactly_as_it_was_written(store: BarStore) -> None:
    written = minutes(5)
    assert store.write(written) == 5
    assert list(store.read("AAPL.US", 60, 10).bars()) == written


def test_an_empty_folder_has_no_bars(store: BarStore) -> None:
    assert store.read("AAPL.US", 60, 10) == BarSeries.empty("AAPL.US", 60)
    assert store.read_market("US", 60, 10) == {}
    assert store.symbols() == []
    assert (store.compact(), store.prune(1)) == (0, 0)


def test_the_newest_bars_are_read_across_days_and_files(store: BarStore) -> None:
    bars = minutes(10, start=NOON - DAY) + minutes(10)
    for some in (bars[15:], bars[:5], bars[5:15]):
        store.write(some)
    assert list(store.read("AAPL.US", 60, 12).bars()) == bars[-12:]
    assert store.read("AAPL.US", 60, 100) == BarSeries.of(bars)


def test_instruments_markets_and_lengths_do_not_mix(store: BarStore) -> None:
    store.write([bar("AAPL.US"), bar("MSFT.US"), bar("700.HK"), bar("BTCUSDT")])
    store.write([bar("AAPL.US", seconds=86_400)])
    assert set(store.read_market("US", 60, 5)) == {"AAPL.US", "MSFT.US"}
    assert set(store.read_market("US", 60, 5, ["MSFT.US", "700.HK"])) == {"MSFT.US"}
    assert set(store.read_market("CRYPTO", 60, 5)) == {"BTCUSDT"}
    assert store.read("AAPL.US", 86_400, 5).interval_seconds == 86_400
    assert store.symbols() == ["700.HK", "AAPL.US", "BTCUSDT", "MSFT.US"]
    assert store.symbols("US") == ["AAPL.US", "MSFT.US"]
    assert store.symbols(interval_seconds=86_400) == ["AAPL.US"]


def test_of_two_writings_of_a_bar_the_later_counts_also_after_a_merge(store: BarStore) -> None:
    for volume in (3, 1, 2):
        store.write([bar(volume=volume), *minutes(3, "MSFT.US")])
    assert store.read("AAPL.US", 60, 5).volume.tolist() == [2]
    store.write([bar(at=NOON + DAY)])  # the day before it is over now
    assert store.compact() == 2
    assert store.read("AAPL.US", 60, 5).volume.tolist() == [2, 1]
    store.write([bar(volume=9)])
    assert store.read("AAPL.US", 60, 1 + 1).volume.tolist() == [9, 1]


def test_of_two_bars_of_one_time_in_one_writing_the_later_named_counts(store: BarStore) -> None:
    assert store.write([bar(volume=1), bar(volume=2)]) == 1
    assert store.read("AAPL.US", 60, 5).volume.tolist() == [2]


def test_the_later_writing_counts_even_if_the_clock_was_set_back(tmp_path: Path) -> None:
    BarStore(tmp_path, clock_ns=lambda: 2_000).write([bar(volume=1)])
    again = BarStore(tmp_path, clock_ns=lambda: 1_000)
    again.write([bar(volume=2)])
    again.write([bar(volume=3)])
    assert BarStore(tmp_path).read("AAPL.US", 60, 5).volume.tolist() == [3]


def test_series_are_kept_as_bars_are(store: BarStore) -> None:
    series = BarSeries.of(minutes(2_000))  # more than a day
    empty = BarSeries.empty("MSFT.US", 60)
    assert store.write_series([series, empty]) == 2_000
    assert store.read("AAPL.US", 60, 5_000) == series
    assert len(list(store.folder.rglob("day=*"))) == 2


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whatever_is_written_in_whatever_order_and_merged_is_read_as_a_dictionary_would_have_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = BarStore(tmp_path_factory.mktemp("store"))
    kept: dict[tuple[str, datetime], float] = {}
    keys = st.tuples(
        st.sampled_from(["A.US", "B.US", "C.US"]),
        st.integers(0, 9).map(lambda number: NOON + number * timedelta(hours=7)),
    )
    for number in range(data.draw(st.integers(1, 12))):
        volume = float(number)
        some = data.draw(st.lists(keys, min_size=1, max_size=6))
        store.write([bar(*key, volume) for key in some])
        kept.update(dict.fromkeys(some, volume))
        if data.draw(st.booleans()):
            store.compact()
    count, wanted = data.draw(st.integers(1, 12)), data.draw(st.sampled_from([None, ["A.US"]]))
    expected: dict[str, list[float]] = {}
    for (symbol, _), volume in sorted(kept.items()):
        if wanted is None or symbol in wanted:
            expected.setdefault(symbol, []).append(volume)
    found = store.read_market("US", 60, count, wanted)
    assert {symbol: each.volume.tolist() for symbol, each in found.items()} == {
        symbol: volumes[-count:] for symbol, volumes in expected.items()
    }


def test_a_suspended_instrument_does_not_make_a_read_go_through_all_days(store: BarStore) -> None:
    store.write([bar("GONE.US", NOON - 60 * DAY)])
    for number in range(30):
        store.write([bar("AAPL.US", NOON - number * DAY)])
    assert reach_days(60, 10) == LEAST_REACH_DAYS + 4
    store.write([bar("IDLE.US", NOON - (LEAST_REACH_DAYS - 1) * DAY)])
    assert set(store.read_market("US", 60, 1)) == {"AAPL.US", "IDLE.US"}
    assert set(store.read_market("US", 60, 10)) == {"AAPL.US", "IDLE.US"}
    assert len(store.read("AAPL.US", 60, 30)) == LEAST_REACH_DAYS + 4
    assert len(store.read("AAPL.US", 86_400, 30)) == 0


def test_an_independent_reader_finds_the_same_bars(store: BarStore) -> None:
    store.write([*minutes(3), bar("700.HK"), bar("BTCUSDT", seconds=3_600)])
    table = dataset.dataset(store.folder / "bars", partitioning="hive").to_table()
    rows = {(row["symbol"], row["timestamp"]): row for row in table.to_pylist()}
    assert len(rows) == table.num_rows == 5
    first = rows["AAPL.US", NOON]
    assert (first["market"], first["interval"], first["day"]) == ("US", 60, "2026-11-20")
    assert [first[name] for name in ("open", "high", "low", "close")] == [100.1, 101.2, 99.3, 100.4]
    assert rows["BTCUSDT", NOON]["interval"] == 3_600
    assert table.schema.field("timestamp").type.tz == "UTC"


def test_many_small_files_of_the_newest_day_become_few(store: BarStore) -> None:
    for number in range(100):
        store.write([bar(at=NOON + timedelta(minutes=number))])
    while store.compact():
        pass
    assert len(parts(store.folder)) < 2 * PARTS_OF_A_SIZE
    assert len(store.read("AAPL.US", 60, 200)) == 100


def test_a_merged_file_does_not_grow_without_end(tmp_path: Path) -> None:
    def sized(*rows: int) -> list[PartFile]:
        return [PartFile.new(tmp_path, number, each, 0) for number, each in enumerate(rows)]

    half = ROWS_OF_A_PART // 2
    assert list(plan(sized(half + 1, half + 1), settled=True)) == []
    [small] = plan(sized(10, half + 1, 20, half + 1), settled=True)
    assert [part.rows for part in small] == [10, 20, half + 1]
    assert list(plan(sized(*[10] * 3, *[900] * 7), settled=False)) == []
    assert [len(group) for group in plan(sized(*[10] * 9, 900), settled=False)] == [9]


def test_a_second_compaction_does_nothing_while_the_first_one_runs(store: BarStore) -> None:
    store.write(minutes(1, start=NOON - DAY))
    store.write(minutes(2, start=NOON - DAY))
    store.write(minutes(1))
    from streamdesk.market.store.files import sole  # noqa: PLC0415 - of this test alone

    with sole(store.folder / "bars" / ".upkeep-lock") as first:
        assert first
        assert (store.compact(), store.prune(1, NOON.date())) == (0, 0)
    assert (store.compact(), store.prune(1, NOON.date())) == (1, 1)


def test_days_are_removed_counted_from_the_newest_one_or_from_today(store: BarStore) -> None:
    newest = date(2026, 11, 20)
    store.write([bar(at=NOON - number * DAY) for number in range(10)])
    assert store.prune(7, today=newest + 1_000 * DAY) == 3  # as if the clock were wrong
    assert len(store.read("AAPL.US", 60, 100)) == 7
    store.write([bar(at=NOON + 9_000 * DAY)])  # as if a bar were
    assert store.prune(7, today=newest) == 0
    assert store.prune(3, today=newest) == 4
    assert [path.name for path in sorted(store.folder.rglob("day=*"))] == [
        "day=2026-11-18",
        "day=2026-11-19",
        "day=2026-11-20",
        "day=2051-07-12",
    ]


def test_a_removed_day_can_be_written_again(store: BarStore) -> None:
    store.write([bar(at=NOON - 5 * DAY), bar()])
    assert store.prune(2, today=NOON.date()) == 1
    store.write([bar(at=NOON - 5 * DAY)])
    assert len(store.read("AAPL.US", 60, 5)) == 2


def test_a_damaged_file_is_named_and_not_read(store: BarStore) -> None:
    store.write(minutes(50))
    [part] = parts(store.folder)
    whole = part.read_bytes()
    for damaged in (whole[:-100], b"", bytes(reversed(whole)), whole[:90] + b"\0" + whole[91:]):
        part.write_bytes(damaged)
        with pytest.raises(StoreError, match=f"{part.name} is damaged"):
            BarStore(store.folder).read("AAPL.US", 60, 5)
    part.unlink()
    assert len(store.read("AAPL.US", 60, 5)) == 0


def test_a_damaged_file_does_not_keep_other_days_from_being_merged(store: BarStore) -> None:
    for number in range(3):
        store.write([bar(at=NOON - DAY), bar(at=NOON - 2 * DAY), bar(volume=number)])
    parts(store.folder)[0].write_bytes(b"broken")
    with pytest.raises(StoreError, match="is damaged"):
        store.compact()
    assert len(parts(store.folder)) == 3 + 1 + 3


def test_what_is_no_parquet_is_an_error_with_a_name_and_not_a_panic() -> None:
    for content in (b"", b"PAR1" * 10, b"PAR1" + b"\xff" * 50 + b"PAR1"):
        with pytest.raises(StoreError, match=r"notes\.parquet is not a file of bars"):
            from_parquet(content, "notes.parquet")


def test_a_broken_link_among_the_files_is_an_error_and_not_a_wait_for_ever(store: BarStore) -> None:
    store.write(minutes(3))
    [part] = parts(store.folder)
    part.rename(store.folder / "elsewhere")
    part.symlink_to(store.folder / "nowhere")
    with pytest.raises(StoreError, match="day=2026-11-20 lists a file that is not there"):
        store.read("AAPL.US", 60, 5)


def test_files_of_others_are_left_alone(store: BarStore) -> None:
    store.write(minutes(3))
    day = parts(store.folder)[0].parent
    strange = [day / name for name in ("notes.txt", "part-1.parquet", ".hidden")]
    for path in strange:
        path.write_text("mine")
    (day.parent / "day=someday").mkdir()
    assert len(store.read("AAPL.US", 60, 5)) == 3
    store.compact()
    assert all(path.read_text() == "mine" for path in strange)


def test_a_file_left_by_a_dead_writer_is_not_read_and_goes(store: BarStore) -> None:
    store.write(minutes(3))
    left = parts(store.folder)[0].with_name(f"{WRITING}0123")
    left.write_bytes(b"half a fi")
    assert len(store.read("AAPL.US", 60, 5)) == 3
    store.compact()
    assert not left.exists()


def test_a_file_that_is_being_written_is_not_taken_for_one_left_behind(
    store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = Path.rename, []

    def slowly(path: Path, target: Path) -> Path:
        if target.name.startswith("part-"):
            seen.append(path)
            store.compact()
            assert path.exists()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", slowly)
    store.write(minutes(3))
    assert len(seen) == 1
    assert len(store.read("AAPL.US", 60, 5)) == 3


def test_what_cannot_be_written_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bars").write_text("in the way")
    with pytest.raises(StoreError, match=r"bars.*Not a directory.*check"):
        BarStore(tmp_path).write(minutes(1))


def test_a_failed_write_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    write_durably(path, b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device; check that the disk has room"):
        write_durably(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_files_read_before_are_remembered_within_bounds(tmp_path: Path) -> None:
    BarStore(tmp_path).write(minutes(1_000, start=NOON))
    for limit_bytes, remembered in ((0, False), (10_000, False), (10_000_000, True)):
        store = BarStore(tmp_path, cache_bytes=limit_bytes)
        store.read("AAPL.US", 60, 5)
        assert bool(store._cache._parts) == remembered
        assert len(store.read("AAPL.US", 60, 2_000)) == 1_000
        assert store._cache._taken_bytes <= limit_bytes


def test_a_listing_torn_by_a_merge_is_made_again(
    store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        store.write([bar(at=NOON - DAY + timedelta(minutes=number)), bar()])
    listed: list[str] = []
    whole = layout._names

    def torn(path: Path) -> list[str]:
        if path.name == "day=2026-11-19" and not listed:
            listed.append(path.name)
            assert store.compact() == 2
            return []  # looked at the merged file's place before it came, at the others' after
        return whole(path)

    monkeypatch.setattr(layout, "_names", torn)
    assert len(store.read("AAPL.US", 60, 10)) == 4
    assert listed


def test_a_file_merged_between_listing_and_opening_is_read_in_its_new_place(
    store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        store.write([bar(at=NOON - DAY + timedelta(minutes=number)), bar()])
    opened: list[PartFile] = []

    def late(part: PartFile) -> Rows:
        if not opened and "day=2026-11-19" in str(part.path):
            opened.append(part)
            assert store.compact() == 2
        return read_part(part)

    monkeypatch.setattr("streamdesk.market.store.reading.read_part", late)
    assert len(store.read("AAPL.US", 60, 10)) == 4
    assert opened


@pytest.fixture
def at_once() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Runs something again and again in a thread until the test's end; what it raises counts."""
    stop, raised, threads = threading.Event(), [], []

    def start(work: Callable[[], None]) -> None:
        def loop() -> None:
            try:
                while not stop.is_set():
                    work()
            except BaseException as error:  # noqa: BLE001 - reported below
                raised.append(error)

        threads.append(threading.Thread(target=loop))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    assert raised == []


def test_readers_see_every_bar_while_others_write_and_merge_and_prune(
    store: BarStore, at_once: Callable[[Callable[[], None]], None]
) -> None:
    days = 3

    def merge() -> None:
        store.compact()
        store.prune(days + 1, NOON.date())

    def write() -> None:
        store.write([bar("OTHER.US")])

    at_once(merge)
    at_once(write)
    readers = [BarStore(store.folder, cache_bytes=0), store]
    for number in range(100):
        store.write([bar(at=NOON - day * DAY + timedelta(minutes=number)) for day in range(days)])
        for reader in readers:
            found = reader.read("AAPL.US", 60, 10_000)
            assert len(found) == days * (number + 1)


async def test_the_source_answers_each_symbol_with_its_bars_or_its_own_error(
    store: BarStore, tmp_path: Path
) -> None:
    store.write([*minutes(5), bar("700.HK")])
    source = StoredBarSource(store)
    answers = await source.latest(["AAPL.US", "700.HK", "MSFT.US", "BTCUSDT"], 60, 3)
    assert list(answers) == ["AAPL.US", "700.HK", "MSFT.US", "BTCUSDT"]
    assert answers["AAPL.US"] == store.read("AAPL.US", 60, 3)
    assert isinstance(answers["MSFT.US"], UnknownInstrumentError)
    assert isinstance(answers["BTCUSDT"], UnknownInstrumentError)
    parts(tmp_path / "bars" / "market=HK")[0].write_bytes(b"broken")
    broken = await StoredBarSource(BarStore(tmp_path)).latest(["AAPL.US", "700.HK"], 60, 3)
    assert isinstance(broken["700.HK"], StoreError)
    assert broken["AAPL.US"] == answers["AAPL.US"]
    await source.close()


def test_a_market_of_five_thousand_is_read_whole(store: BarStore) -> None:
    count, days = 5_000, 250
    times = 1_735_689_600_000 + 86_400_000 * np.arange(days)
    prices = 10 + np.random.default_rng(1).random((count, days)).round(4)
    first = BarSeries("X.US", 86_400, times, *[prices[0]] * 5)
    store.write_series(
        replace(first, symbol=f"S{n:04}.US", **dict.fromkeys(("close", "volume"), prices[n]))
        for n in range(count)
    )
    began = time.perf_counter()
    found = BarStore(store.folder).read_market("US", 86_400, days)
    print(f"{count} x {days} daily bars in {time.perf_counter() - began:.3f} s")  # noqa: T201
    assert len(found) == count
    assert all((found[f"S{n:04}.US"].close == prices[n]).all() for n in range(count))
    assert (found["S0042.US"].timestamps == times).all()
