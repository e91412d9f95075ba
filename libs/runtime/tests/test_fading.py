import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streamdesk.runtime.fading import FadingGauge


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock) -> tuple[FadingGauge, CollectorRegistry]:
    registry = CollectorRegistry()
    labels = ["topic", "group"]
    return FadingGauge("lag", "Lag.", labels, registry=registry, fade_seconds=30, clock=clock), (
        registry
    )


def test_a_value_is_shown_until_nobody_has_set_it_for_the_fading_time() -> None:
    clock = Clock()
    gauge, registry = make(clock)
    gauge.set(7, "signals", "executors")
    clock.now += 29
    gauge.set(3, "bars", "scanners")
    assert 'lag{group="executors",topic="signals"} 7.0' in generate_latest(registry).decode()
    clock.now += 1
    shown = generate_latest(registry).decode()
    assert "executors" not in shown
    assert 'lag{group="scanners",topic="bars"} 3.0' in shown


def test_a_value_that_is_set_again_does_not_fade() -> None:
    clock = Clock()
    gauge, registry = make(clock)
    for value in range(10):
        gauge.set(value, "signals", "executors")
        clock.now += 20
    assert 'lag{group="executors",topic="signals"} 9.0' in generate_latest(registry).decode()


def test_a_gauge_that_nobody_has_set_has_a_meaning_and_no_series() -> None:
    _, registry = make(Clock())
    assert generate_latest(registry).decode().splitlines() == [
        "# HELP lag Lag.",
        "# TYPE lag gauge",
    ]


def test_a_name_is_given_once() -> None:
    _, registry = make(Clock())
    with pytest.raises(ValueError, match="lag"):
        FadingGauge("lag", "Another.", [], registry=registry)


def test_a_series_has_all_labels() -> None:
    gauge, _ = make(Clock())
    with pytest.raises(ValueError, match=r"lag has the labels .*'group'"):
        gauge.set(1, "signals")
