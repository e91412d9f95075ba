import inspect

import pytest

from streamdesk.bus import BusObserver
from streamdesk.event_bus import EventCounts, EventType, Statistics

METHODS = [
    name for name, _ in inspect.getmembers(BusObserver, inspect.isfunction) if name[0] != "_"
]


class Recorder:
    """Records every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append((name, arguments))


@pytest.mark.parametrize("name", METHODS)
def test_everything_the_bus_reports_is_passed_on_unchanged(name: str) -> None:
    recorder = Recorder()
    counts = EventCounts(recorder)  # type: ignore[arg-type]  # it has every method there can be
    parameters = list(inspect.signature(getattr(BusObserver, name)).parameters)[1:]
    arguments = tuple(7 if parameter == "count" else parameter for parameter in parameters)
    getattr(counts, name)(*arguments)
    assert recorder.calls == [(name, arguments)]


def test_other_topics_are_passed_on_and_not_counted() -> None:
    recorder = Recorder()
    counts = EventCounts(recorder)  # type: ignore[arg-type]  # it has every method there can be
    counts.published("orders", 3)
    assert recorder.calls == [("published", ("orders", 3))]
    assert set(counts.statistics().values()) == {Statistics()}


def test_events_are_counted_by_the_type_of_their_topic() -> None:
    counts = EventCounts(Recorder())  # type: ignore[arg-type]  # it has every method there can be
    counts.published("bars", 500)
    counts.consumed("bars", "scanners", "ack", 400, 0.1, 0.2)
    counts.consumed("bars", "scanners", "retry", 100, 0.1, 0.2)
    assert counts.statistics()[EventType.MARKET_DATA] == Statistics(500, 500, 100, 0)
