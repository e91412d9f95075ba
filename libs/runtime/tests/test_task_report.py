from datetime import UTC, datetime, timedelta

import pytest

from streamdesk.runtime.task_report import TaskReport

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def report(total: int, resolution: int = 20) -> TaskReport:
    return TaskReport("replay", "replay-1", total, lambda: NOON, resolution=resolution)


@pytest.mark.parametrize("resolution", [20, 100])
def test_progress_is_reported_once_a_part(resolution: int) -> None:
    task = report(5_000, resolution)
    events = [task.advance(0), *(task.advance(1) for _ in range(5_000))]
    done = [event.done for event in events if event is not None]
    assert done == list(range(0, 5_001, 5_000 // resolution))


def test_a_short_task_reports_every_step() -> None:
    task = report(2)
    events = [task.advance(0), task.advance(1, "AAPL.US"), task.advance(1)]
    assert [event.done if event else None for event in events] == [0, 1, 2]
    assert events[1] is not None
    assert events[1].message == "AAPL.US"


def test_a_task_is_never_more_than_done() -> None:
    task = report(10)
    event = task.advance(11)
    assert event is not None
    assert (event.done, event.total, task.done) == (10, 10, 10)


def test_the_end_says_how_long_the_task_took() -> None:
    times = iter([NOON, NOON + timedelta(seconds=90)])
    event = TaskReport("replay", "replay-1", 1, lambda: next(times), resolution=20).end("done")
    assert (event.duration_seconds, event.succeeded, event.message) == (90, True, "done")


def test_a_clock_that_is_set_back_gives_no_negative_duration() -> None:
    times = iter([NOON, NOON - timedelta(seconds=90)])
    event = TaskReport("replay", "replay-1", 1, lambda: next(times), resolution=20).end("done")
    assert event.duration_seconds == 0
