from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streamdesk.runtime import BusMetrics, BusTracer

if TYPE_CHECKING:
    from streamdesk.bus.observer import BusObserver, Tracer

    # mypy checks that both fit the bus, which neither library can import from the other.
    observer: BusObserver = BusMetrics()
    tracer: Tracer = BusTracer()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_an_outage_is_said_once_and_its_end_once() -> None:
    metrics = BusMetrics()
    reconnects = value("streams_reconnects_total")
    with capture_logs() as lines:
        metrics.connection_lost("ConnectionError: refused")
        metrics.connection_lost("ConnectionError: refused")
        assert value("streams_connected") == 0
        metrics.connection_restored(20.2)
        metrics.connection_restored(20.3)
    assert [line["event"] for line in lines] == ["redis lost", "redis back"]
    assert lines[0]["error"] == "ConnectionError: refused"
    assert lines[1]["outage_seconds"] == 20.2
    assert value("streams_reconnects_total") == reconnects + 1
    assert value("streams_connected") == 1


def test_what_the_bus_does_is_counted_by_topic_group_and_outcome() -> None:
    metrics = BusMetrics()
    labels = {"topic": "counted", "group": "g"}
    metrics.published("counted", 3)
    metrics.consumed("counted", "g", "ack", 0.002, 0.2)
    metrics.consumed("counted", "g", "ack", 0.002, 0.2)
    metrics.consumed("counted", "g", "retry", 0.002, 90)
    metrics.retried("counted", "g")
    metrics.refused("counted")
    assert value("streams_messages_published_total", topic="counted") == 3
    assert value("streams_messages_consumed_total", outcome="ack", **labels) == 2
    assert value("streams_messages_consumed_total", outcome="retry", **labels) == 1
    assert value("streams_processing_duration_seconds_count", **labels) == 3
    assert value("event_processing_latency_bucket", le="0.25", **labels) == 2
    assert value("event_processing_latency_sum", **labels) == 90.4
    assert value("streams_retries_total", **labels) == 1
    assert value("streams_publishes_refused_total", topic="counted") == 1


def test_dead_letters_and_skipped_entries_are_counted_by_reason_and_logged() -> None:
    metrics = BusMetrics()
    with capture_logs() as lines:
        metrics.dead_lettered("lost", "g", "invalid-body")
        metrics.undecodable("lost", "unknown-event")
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("dead letter", "invalid-body"),
        ("entry skipped", "unknown-event"),
    ]
    labels = {"topic": "lost", "group": "g", "reason": "invalid-body"}
    assert value("streams_dead_letters_total", **labels) == 1
    assert value("streams_tail_undecodable_total", topic="lost", reason="unknown-event") == 1


def test_a_failing_handler_is_logged_with_its_traceback_the_first_time() -> None:
    metrics = BusMetrics()
    error = RuntimeError("no price")
    with capture_logs() as lines:
        metrics.handler_failed("t", "g", "id-1", error, 1, "retry in 0.5 s")
        metrics.handler_failed("t", "g", "id-1", error, 2, "dead")
    assert [(line["attempt"], line["will"]) for line in lines] == [
        (1, "retry in 0.5 s"),
        (2, "dead"),
    ]
    assert [line["exc_info"] for line in lines] == [error, None]
    assert lines[0]["error"] == "RuntimeError('no price')"
