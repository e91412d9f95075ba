from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streamdesk.runtime import BusMetrics, BusTracer

if TYPE_CHECKING:
    from streamdesk.bus.observer import BusObserver
    from streamdesk.bus.tracing import Tracer

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
    metrics.consumed("counted", "g", "ack", 1, 0.002, 0.2)
    metrics.consumed("counted", "g", "ack", 40, 0.002, 0.2)
    metrics.consumed("counted", "g", "retry", 1, 0.002, 90)
    metrics.retried("counted", "g")
    metrics.refused("counted")
    assert value("streams_messages_published_total", topic="counted") == 3
    assert value("streams_messages_consumed_total", outcome="ack", **labels) == 41
    assert value("streams_messages_consumed_total", outcome="retry", **labels) == 1
    assert value("streams_processing_duration_seconds_count", **labels) == 3
    assert value("event_processing_latency_bucket", le="0.25", **labels) == 2
    assert value("event_processing_latency_sum", **labels) == 90.4
    assert value("streams_retries_total", **labels) == 1
    assert value("streams_publishes_refused_total", topic="counted") == 1


@dataclass(frozen=True)
class Stream:
    key: str
    length: int = 9
    waiting: int = 7
    pending: int = 2


@dataclass(frozen=True)
class Lag:
    topic: str
    group: str = "g"
    waiting: int = 14
    delayed: int = 1
    dead: int = 4
    oldest_pending_seconds: float | None = 12.5
    active_consumers: int = 3
    streams: tuple[Stream, ...] = ()


def test_where_a_group_stands_is_shown_for_the_topic_and_for_each_of_its_streams() -> None:
    streams = (Stream("{standing}:90"), Stream("{standing}:0", length=20))
    BusMetrics().lag_measured(Lag("standing", streams=streams))
    labels = {"topic": "standing", "group": "g"}
    assert value("streams_lag", **labels) == 14
    assert value("streams_delayed", **labels) == 1
    assert value("streams_oldest_pending_seconds", **labels) == 12.5
    assert value("streams_active_consumers", **labels) == 3
    assert value("streams_dead_letters_waiting", topic="standing") == 4
    assert value("redis_stream_length", stream="{standing}:90") == 9
    assert value("redis_stream_length", stream="{standing}:0") == 20
    assert value("redis_consumer_lag", stream="{standing}:90", group="g") == 7
    assert value("redis_pending_messages", stream="{standing}:90", group="g") == 2


def test_nothing_in_hand_is_of_no_age() -> None:
    BusMetrics().lag_measured(Lag("idle", oldest_pending_seconds=None))
    assert REGISTRY.get_sample_value(
        "streams_oldest_pending_seconds", {"topic": "idle", "group": "g"}
    ) == 0  # fmt: skip


def test_an_open_breaker_is_shown_until_it_closes_whatever_the_standing_says() -> None:
    metrics = BusMetrics()
    labels = {"topic": "breaking", "group": "g"}
    with capture_logs() as lines:
        metrics.paused("breaking", "g", "5 of 10 failed")
        metrics.lag_measured(Lag("breaking"))
        assert value("streams_breaker_open", **labels) == 1
        metrics.resumed("breaking", "g")
        metrics.lag_measured(Lag("breaking"))
    assert REGISTRY.get_sample_value("streams_breaker_open", labels) == 0
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("consumer paused", "warning"),
        ("consumer resumed", "info"),
    ]
    assert lines[0]["why"] == "5 of 10 failed"


def test_a_full_stream_is_counted_at_each_refusal_and_said_once_a_stream() -> None:
    metrics = BusMetrics()
    with capture_logs() as lines:
        for stream in ("{capped}:0", "{capped}:0", "{capped}:1"):
            metrics.cap_reached("capped", stream, 1_000_000, 1_000_000)
    assert value("streams_cap_reached_total", topic="capped") == 3
    assert [(line["log_level"], line["stream"]) for line in lines] == [
        ("error", "{capped}:0"),
        ("error", "{capped}:1"),
    ]


def test_a_message_given_up_for_a_stronger_one_is_a_dead_letter_and_said_once_a_minute() -> None:
    metrics = BusMetrics()
    with capture_logs() as lines:
        for _ in range(3):
            metrics.displaced("crowded", "g", 30, 110)
    labels = {"topic": "crowded", "group": "g", "reason": "queue-full"}
    assert value("streams_dead_letters_total", **labels) == 3
    assert [(line["log_level"], line["given_up"], line["instead_for"]) for line in lines] == [
        ("warning", 30, 110)
    ]


def test_a_group_made_again_is_counted_and_logged_with_where_it_goes_on() -> None:
    metrics = BusMetrics()
    with capture_logs() as lines:
        metrics.group_recreated("gone", "g", "1732-0")
    assert value("streams_groups_recreated_total", topic="gone", group="g") == 1
    assert [(line["event"], line["cursor"]) for line in lines] == [("group recreated", "1732-0")]


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
