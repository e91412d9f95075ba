import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.collector import Collector

Start = Callable[..., Any]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
SPANS = f"""
@asynccontextmanager
async def build(settings, service):
    tracer = service.bus_tracer()
    parent = "00-{TRACE_ID}-{PARENT_ID}-01"
    with tracer.span("process signals", kind="consumer", parent=parent) as made:
        log.info("inside", traceparent=tracer.inject(), made=made.traceparent)
        with tracer.span("aside", parent="", links=[parent, parent, "nonsense"], current=False):
            log.info("beside", traceparent=tracer.inject())
    with span("scan", attributes={{"symbol": "AAPL.US"}}):
        log.info("new trace")
    try:
        with span("fails") as made:
            raise ValueError(f"bad price: {{settings.api_key.get_secret_value()}}")
    except Exception:
        pass
    log.info("outside", traceparent=tracer.inject())
    yield []
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_trace_goes_on_across_the_bus_into_the_log_and_to_the_collector(
    start: Start, collector: Collector
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "API_KEY": "open-sesame"}
    lines, err = start(SPANS, **environment).end()
    assert err == ""
    inside, beside, new, outside = lines[:4]
    assert inside["trace_id"] == TRACE_ID
    assert inside["traceparent"] == f"00-{TRACE_ID}-{inside['span_id']}-01" == inside["made"]
    assert beside["span_id"] == inside["span_id"]
    assert new["trace_id"] not in {TRACE_ID, ""}
    assert outside["traceparent"] == ""
    assert "trace_id" not in outside
    assert set(collector.requests) == {("/v1/traces", "application/x-protobuf")}
    process, aside, scan, fails = sorted(collector.spans, key=lambda span: span.begin_ns)
    assert (process.parent_id, process.kind) == (PARENT_ID, "consumer")
    assert (aside.parent_id, aside.links) == (process.span_id, ((TRACE_ID, PARENT_ID),))
    assert (scan.parent_id, scan.kind, scan.attributes) == ("", "internal", {"symbol": "AAPL.US"})
    assert (fails.failed, fails.attributes) == (True, {"error.type": "ValueError"})
    assert [span.failed for span in (process, aside, scan)] == [False] * 3
    assert b"bad price: ***" in collector.received
    assert b"open-sesame" not in collector.received


def test_the_standard_variable_says_which_traces_are_exported(
    start: Start, collector: Collector
) -> None:
    tiny = start(
        SPANS,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_TRACES_SAMPLER="parentbased_always_off",
    )
    lines, _ = tiny.end()
    # What another process decided to export is exported; new traces are not.
    assert {span.trace_id for span in collector.spans} == {TRACE_ID}
    assert lines[2]["trace_id"]


def test_without_an_endpoint_nothing_is_traced(start: Start) -> None:
    lines, _ = start(SPANS, OTEL_EXPORTER_OTLP_ENDPOINT="").end()
    assert lines[0]["traceparent"] == ""
    assert all("trace_id" not in line for line in lines)


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")]
)
def test_traces_can_be_switched_off_while_an_endpoint_is_set(
    start: Start, collector: Collector, name: str, value: str
) -> None:
    tiny = start(SPANS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **{name: value})
    lines, _ = tiny.end()
    assert lines[0]["traceparent"] == ""
    assert collector.requests == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "as in http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "expected http/protobuf"),
    ],
)
def test_an_endpoint_that_cannot_work_ends_the_process_with_one_line(
    start: Start, name: str, value: str, expected: str
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value}
    tiny = start(SPANS, **variables)
    _, err = tiny.end()
    assert tiny.process.returncode == 2
    assert err.count("\n") == 1
    assert f"{name}={value}: " in err
    assert expected in err


def test_a_collector_that_does_not_answer_keeps_no_process_from_ending(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tiny = start(SPANS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="600")
        tiny.line("stopped")
        assert tiny.process.wait(120) == 0  # not the 600 s that an answer may take


EXEMPLARS = """
@asynccontextmanager
async def build(settings, service):
    observer, tracer = service.bus_observer(), service.bus_tracer()
    observer.consumed("signals", "outside", "ack", 1, 0.002, 0.03)
    with tracer.span("process signals"):
        observer.consumed("signals", "inside", "ack", 1, 0.002, 0.03)
        log.info("measured")
    yield [ServiceTask("wait", wait)]
"""


def scrape(port: int, accept: str) -> tuple[str, str]:
    page = f"http://127.0.0.1:{port}/metrics"
    request = urllib.request.Request(page, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the service's own
        return answer.headers["Content-Type"], answer.read().decode()


def test_a_latency_names_a_trace_to_who_asks_for_openmetrics(
    start: Start, collector: Collector
) -> None:
    tiny = start(EXEMPLARS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    measured, port = tiny.line("measured"), tiny.line("started")["probe_port"]
    kind, text = scrape(port, "application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    found = {
        (sample.name, sample.labels["group"]): sample.exemplar.labels
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar is not None
    }
    ids = {"trace_id": measured["trace_id"], "span_id": measured["span_id"]}
    assert found == {
        ("streams_processing_duration_seconds_bucket", "inside"): ids,
        ("event_processing_latency_bucket", "inside"): ids,
    }
    kind, text = scrape(port, "*/*")
    assert kind.startswith("text/plain")
    assert "trace_id" not in text
    tiny.process.terminate()


def test_a_trace_that_is_not_exported_is_nobodys_exemplar(
    start: Start, collector: Collector
) -> None:
    tiny = start(
        EXEMPLARS,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_TRACES_SAMPLER="always_off",
    )
    _, text = scrape(tiny.line("started")["probe_port"], "application/openmetrics-text")
    assert "trace_id" not in text
    tiny.process.terminate()


def test_tracing_that_is_off_makes_no_span_and_imports_no_sdk() -> None:
    source = (
        "import sys; from streamdesk.runtime import current_traceparent, exemplar, span\n"
        "with span('scan') as made: assert not (made.is_recording() or current_traceparent())\n"
        "assert exemplar() is None\n"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0
