from prometheus_client import CollectorRegistry, generate_latest

from streamdesk.runtime.gauge import Gauge


def shown(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_a_gauge_that_nobody_has_set_shows_no_value() -> None:
    registry = CollectorRegistry()
    Gauge("gw_up", "1 while it is.", registry=registry)
    Gauge("quota_left", "Calls.", ["source"], registry=registry)
    assert shown(registry) == []


def test_a_gauge_shows_what_it_was_set_to_zero_as_well() -> None:
    registry = CollectorRegistry()
    Gauge("a", "One.", registry=registry).set(0)
    Gauge("b", "One.", registry=registry).inc()
    Gauge("c", "One.", registry=registry).dec(2)
    Gauge("d", "One.", registry=registry).set_function(lambda: 7)
    Gauge("e", "One.", ["source"], registry=registry).labels("x").set(3)
    assert shown(registry) == ["a 0.0", "b 1.0", "c -2.0", "d 7.0", 'e{source="x"} 3.0']
