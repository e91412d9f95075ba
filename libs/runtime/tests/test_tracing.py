import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

Start = Callable[..., Any]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPANS = f"""
@asynccontextmanager
async def build(settings, service):
    tracer = service.bus_tracer()
    with tracer.span("handle SignalGenerated", "00-{TRACE_ID}-b7ad6b7169203331-01"):
        log.info("inside", traceparent=tracer.inject())
    with span_from({{}}, "scan", {{"symbol": "AAPL.US"}}):
        log.info("new trace")
    log.info("outside", traceparent=tracer.inject())
    yield []
"""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            received.append((self.path, self.rfile.read(size)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_trace_goes_on_across_the_bus_into_the_log_and_to_the_collector(
    start: Start, collector: tuple[str, list[tuple[str, bytes]]]
) -> None:
    endpoint, received = collector
    lines, err = start(SPANS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).end()
    assert err == ""
    inside, new, outside = lines[:3]
    assert inside["trace_id"] == TRACE_ID
    assert inside["traceparent"] == f"00-{TRACE_ID}-{inside['span_id']}-01"
    assert new["trace_id"] not in {TRACE_ID, ""}
    assert outside["traceparent"] == ""
    assert "trace_id" not in outside
    assert [path for path, _ in received] == ["/v1/traces"]
    assert bytes.fromhex(TRACE_ID) in received[0][1]
    assert b"handle SignalGenerated" in received[0][1]


def test_without_an_endpoint_nothing_is_traced(start: Start) -> None:
    lines, _ = start(SPANS, OTEL_EXPORTER_OTLP_ENDPOINT="").end()
    assert lines[0]["traceparent"] == ""
    assert all("trace_id" not in line for line in lines)


def test_tracing_that_is_off_is_not_even_imported() -> None:
    source = (
        "import sys; from streamdesk.runtime import inject_trace_context, span_from\n"
        "with span_from({}): assert inject_trace_context() == {}\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0
