import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from streamdesk.analysis.adapters.process_pool.pool import ProcessPool
from streamdesk.analysis.adapters.run_folder.part_files import read_part
from streamdesk.analysis.adapters.run_folder.run_folder import ResultsFolder
from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob
from streamdesk.analysis.domain.job import JobProgress
from streamdesk.analysis.errors import JobError, JobRunningError, NoBarsError, WorkerLostError
from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import StockIndicatorsCompleted, TaskCompleted, TaskProgressed
from streamdesk.market.series import BarSeries
from streamdesk.market.store import BarStore
from tests.servers import StreamServer

SeriesOf = Callable[..., BarSeries]
StoreOf = Callable[..., BarStore]
EventsOf = Callable[[Bus], Awaitable[list[Message[Event]]]]
JobOf = Callable[..., IndicatorsJob]
UNREACHABLE = "redis://127.0.0.1:1/0"


@pytest.fixture
def job_of(tmp_path: Path, now: datetime) -> JobOf:
    def make(store: BarStore, events: TaskEvents | None, at: datetime = now) -> IndicatorsJob:
        results = ResultsFolder(tmp_path / "indicators")
        return IndicatorsJob(store, events, results, ProcessPool(), clock=lambda: at)

    return make


def broken(series: BarSeries) -> BarSeries:
    series.close[-3] = np.nan
    return series


def parts_of(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("part-*.parquet"))


def rows(folder: str) -> list[str]:
    """The symbols of all result files of a run."""
    return [symbol for part in parts_of(folder) for symbol in read_part(part).symbols]


async def test_5000_stocks_make_a_row_and_an_event_each_and_5102_events_at_most(
    store_of: StoreOf, job_of: JobOf, events: TaskEvents, bus: Bus, on_the_stream: EventsOf
) -> None:
    seen: list[JobProgress] = []
    report = await job_of(store_of(5_000, bars=10), events).run(on_progress=seen.append)
    print(f"5,000 stocks of 10 bars: {report.duration_seconds:.2f} s")  # noqa: T201 - shown with -s
    assert (report.stocks, report.computed, report.resumed) == (5_000, 5_000, 0)
    assert report.published
    assert report.succeeded
    assert rows(report.folder) == [f"S{number:04}.US" for number in range(5_000)]
    messages = await on_the_stream(bus)
    kinds = Counter(type(message.event) for message in messages)
    assert kinds == {StockIndicatorsCompleted: 5_000, TaskProgressed: 101, TaskCompleted: 1}
    assert {message.key for message in messages} == {report.run_id}
    assert isinstance(messages[-1].event, TaskCompleted)
    done = [m.event.done for m in messages if isinstance(m.event, TaskProgressed)]
    assert done == [50 * percent for percent in range(101)]
    assert [seen[0].done, seen[-1].done, seen[-1].published] == [0, 5_000, 5_000]


async def test_an_event_and_a_row_have_the_same_values(
    store_of: StoreOf, job_of: JobOf, events: TaskEvents, bus: Bus, on_the_stream: EventsOf
) -> None:
    report = await job_of(store_of(3), events).run()
    [part] = parts_of(report.folder)
    values = read_part(part)
    published = {
        message.event.symbol: message.event.indicators
        for message in await on_the_stream(bus)
        if isinstance(message.event, StockIndicatorsCompleted)
    }
    assert published == {symbol: values.indicators(at) for at, symbol in enumerate(values.symbols)}
    assert len(published["S0000.US"]) == 15


async def test_failing_stocks_are_counted_and_named_and_stop_nothing(
    store_of: StoreOf,
    job_of: JobOf,
    series_of: SeriesOf,
    events: TaskEvents,
    bus: Bus,
    on_the_stream: EventsOf,
) -> None:
    store = store_of(40, broken(series_of("BAD.US")), series_of("IPO.HK", 2))
    report = await job_of(store, events).run()
    assert set(report.failed) == {"BAD.US", "IPO.HK"}
    assert report.succeeded
    assert (report.stocks, report.computed) == (42, 42)
    messages = await on_the_stream(bus)
    end = messages[-1].event
    assert isinstance(end, TaskCompleted)
    assert end.succeeded
    assert end.message == "40 of 42 stocks; 2 failed: BAD.US, IPO.HK"
    published = {m.event.symbol for m in messages if isinstance(m.event, StockIndicatorsCompleted)}
    assert published == {f"S{number:04}.US" for number in range(40)}
    again = await job_of(store, events).run(report.run_id)
    assert again.failed == report.failed


async def test_a_job_without_any_value_has_not_succeeded(
    store_of: StoreOf, job_of: JobOf, series_of: SeriesOf
) -> None:
    report = await job_of(store_of(0, series_of("IPO.US", 2)), None).run()
    assert not report.succeeded


async def test_a_completed_run_is_reported_and_not_done_again(
    store_of: StoreOf, job_of: JobOf, events: TaskEvents, bus: Bus, on_the_stream: EventsOf
) -> None:
    job = job_of(store_of(30), events)
    first = await job.run("mine")
    before = await on_the_stream(bus)
    again = await job.run("mine")
    assert (again.computed, again.resumed, again.published) == (0, 30, True)
    assert [m.id for m in await on_the_stream(bus)] == [m.id for m in before]
    assert first.folder == again.folder
    assert job.next_run_id() == "daily-2026-11-20"


async def test_with_redis_down_it_computes_all_the_same_and_says_so_once(
    store_of: StoreOf, job_of: JobOf, tasks: Topic[Event]
) -> None:
    config = BusConfig(url=UNREACHABLE, publish_timeout_seconds=0.05)
    with capture_logs() as logs:
        async with Bus.connect(config) as unreachable:
            job = job_of(store_of(300), TaskEvents(unreachable, tasks))
            report = await job.run()
            assert not (await job.run()).published  # asked again and again, it does not repeat it
    assert report.computed == 300
    assert not report.published
    assert len(rows(report.folder)) == 300
    assert [log["log_level"] for log in logs] == ["warning"]
    assert "the job continues" in logs[0]["event"]


async def test_what_could_not_be_published_is_published_by_the_next_run_without_computing(
    store_of: StoreOf,
    job_of: JobOf,
    tasks: Topic[Event],
    bus: Bus,
    on_the_stream: EventsOf,
) -> None:
    store = store_of(300)
    async with Bus.connect(BusConfig(url=UNREACHABLE)) as unreachable:
        first = await job_of(store, TaskEvents(unreachable, tasks)).run()
    job = job_of(store, TaskEvents(bus, tasks))
    assert [run.state for run in job.runs()] == ["unpublished"]
    second = await job.run()
    assert second.run_id == first.run_id
    assert (second.computed, second.resumed, second.published) == (0, 300, True)
    published = Counter(
        m.event.symbol
        for m in await on_the_stream(bus)
        if isinstance(m.event, StockIndicatorsCompleted)
    )
    assert published == {f"S{number:04}.US": 1 for number in range(300)}
    assert [run.state for run in job.runs()] == ["completed"]


async def test_a_server_that_comes_back_in_the_middle_gets_every_event_once(
    store_of: StoreOf, job_of: JobOf, start_server: Callable[[], StreamServer], tasks: Topic[Event]
) -> None:
    server = start_server()
    server.stop()
    came_back = False

    def come_back(progress: JobProgress) -> None:
        nonlocal came_back
        if progress.done and not came_back:
            came_back = True
            server.start()

    async with Bus.connect(BusConfig(url=server.url)) as bus:
        job = job_of(store_of(300), TaskEvents(bus, tasks))
        report = await job.run(on_progress=come_back)
        if not report.published:  # the server did not load as fast as the stocks were computed
            report = await job.run(report.run_id)
        assert report.published
        assert server.ask("XLEN", tasks.key) == 300 + 101 + 1


async def test_a_market_is_computed_alone_where_it_is_asked_for(
    store_of: StoreOf, job_of: JobOf, series_of: SeriesOf
) -> None:
    store = store_of(5, series_of("700.HK"), series_of("BTCUSDT"))
    report = await job_of(store, None).run(market="HK")
    assert report.run_id == "daily-2026-11-20-hk"
    assert rows(report.folder) == ["700.HK"]
    everything = await job_of(store, None).run()
    assert everything.stocks == 7


async def test_a_market_without_daily_bars_is_computed_from_shorter_ones(
    store_of: StoreOf, job_of: JobOf, series_of: SeriesOf
) -> None:
    report = await job_of(store_of(3, series_of("700.HK", 24 * 6, 3_600)), None).run()
    assert report.stocks == 4
    assert not report.failed


async def test_a_store_without_bars_is_said_with_what_to_do(
    store_of: StoreOf, job_of: JobOf
) -> None:
    with pytest.raises(NoBarsError, match="has no bars of market HK; let the feed fill it"):
        await job_of(store_of(2), None).run(market="HK")


@pytest.mark.parametrize("name", ["../x", "", "a b", "a" * 101])
async def test_a_run_has_no_name_that_leads_elsewhere(
    store_of: StoreOf, job_of: JobOf, name: str
) -> None:
    with pytest.raises(JobError, match="expected 1 to 100 letters"):
        await job_of(store_of(2), None).run(name)


async def test_no_two_compute_into_one_folder_at_a_time(store_of: StoreOf, job_of: JobOf) -> None:
    job, states = job_of(store_of(200), None), set[str]()
    second: list[asyncio.Task[object]] = []

    def disturb(_progress: JobProgress) -> None:
        states.update(run.state for run in job.runs())
        if not second:
            second.append(asyncio.create_task(job.run("other")))

    report = await job.run("mine", on_progress=disturb)
    with pytest.raises(JobRunningError, match="run mine is in progress"):
        await second[0]
    assert report.computed == 200
    assert states == {"computing"}


async def test_a_day_has_one_run_until_another_is_wanted(store_of: StoreOf, job_of: JobOf) -> None:
    job = job_of(store_of(3), None)
    assert job.next_run_id() == "daily-2026-11-20"
    await job.run()
    assert job.next_run_id() == "daily-2026-11-20-2"
    await job.run()
    assert [run.run_id for run in job.runs()] == ["daily-2026-11-20-2", "daily-2026-11-20"]


async def test_a_run_that_was_begun_and_left_is_resumed(
    store_of: StoreOf, job_of: JobOf, now: datetime
) -> None:
    store = store_of(30)
    report = await job_of(store, None).run()
    parts_of(report.folder)[1].unlink()
    (Path(report.folder) / "_run" / "told").unlink()
    job = job_of(store, None)
    assert job.next_run_id() == report.run_id
    assert [run.state for run in job.runs()] == ["interrupted"]
    assert job_of(store, None, now + timedelta(days=1)).next_run_id() == "daily-2026-11-21"
    resumed = await job.run()
    assert (resumed.run_id, resumed.computed, resumed.resumed) == (report.run_id, 10, 20)


async def test_results_of_days_long_past_are_removed(
    store_of: StoreOf, tmp_path: Path, now: datetime
) -> None:
    store, results = store_of(3), tmp_path / "indicators"
    for days in (0, 30, 31):
        clock = partial(now.__add__, timedelta(days=days))
        job = IndicatorsJob(
            store, None, ResultsFolder(results), ProcessPool(), keep_days=30, clock=clock
        )
        await job.run()
    days_left = sorted(path.name for path in results.glob("day=*"))
    assert days_left == ["day=2026-12-20", "day=2026-12-21"]


async def test_a_process_of_the_pool_that_ends_is_said_and_the_rest_can_be_resumed(
    store_of: StoreOf, job_of: JobOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = store_of(30)
    fails = tmp_path / "fails"
    fails.write_text("#!/bin/sh\nexit 3\n")
    fails.chmod(0o755)
    with monkeypatch.context() as changed:
        changed.setattr(sys, "executable", str(fails))
        with pytest.raises(WorkerLostError, match="ended with code 3"):
            await job_of(store, None).run("mine")
    report = await job_of(store, None).run("mine")
    assert report.computed == 30


async def test_a_folder_that_cannot_be_used_is_named_with_what_to_do(
    store_of: StoreOf, tmp_path: Path, now: datetime
) -> None:
    (tmp_path / "file").touch()
    results = ResultsFolder(tmp_path / "file" / "indicators")
    job = IndicatorsJob(store_of(2), None, results, ProcessPool(), clock=lambda: now)
    with pytest.raises(
        JobError, match=r"cannot be kept in .*file/indicators: .* run the job again"
    ):
        await job.run()


async def test_a_damaged_result_file_is_named_with_what_to_do(
    store_of: StoreOf, job_of: JobOf
) -> None:
    report = await job_of(store_of(30), None).run("mine")
    part = parts_of(report.folder)[1]
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(JobError, match=r"part-0001-\w+.parquet is damaged: .* remove it"):
        await job_of(store_of(30), None).run("mine")
