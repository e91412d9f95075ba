"""A small OTLP collector on loopback: takes spans over http/protobuf and keeps them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

Value = str | int | float | bool
LONGEST_WAIT_SECONDS = 120  # only ends a test that hangs


@dataclass(frozen=True)
class Span:
    """A span as it arrived.

    Attributes:
        service: `service.name` of the process that made it.
        instance: its `service.instance.id`.
        kind: as in producer.
        parent_id: empty for the root of a trace.
        links: trace id and span id of each.
        failed: whether its status is an error.
    """

    service: str
    instance: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    begin_ns: int
    end_ns: int
    attributes: dict[str, Value]
    links: tuple[tuple[str, str], ...]
    failed: bool


class Collector:
    """Listens until it is closed; `endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.received = b""
        """The bodies of all requests."""

        self.requests: list[tuple[str, str]] = []
        """Path and content type of each request."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, self.headers["Content-Type"]))
                collector.received += body
                collector.spans.extend(_spans_of(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, holds: Callable[["Collector"], Any], what: str) -> None:
        """Wait until something holds of what has arrived."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not holds(self):
            names = sorted({f"{span.service}: {span.name}" for span in self.spans})
            assert time.monotonic() < deadline, f"{what} did not happen; there are {names}"
            time.sleep(0.05)

    def named(self, name: str, **attributes: Value) -> list[Span]:
        """The spans of a name, with these attributes (`__` stands for a point)."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            span
            for span in list(self.spans)
            if span.name == name and wanted.items() <= span.attributes.items()
        ]

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace, in the order in which they began."""
        mine = [span for span in list(self.spans) if span.trace_id == trace_id]
        return sorted(mine, key=lambda span: span.begin_ns)


def _spans_of(body: bytes) -> list[Span]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {item.key: _value(item.value) for item in resource.resource.attributes}
        for scope in resource.scope_spans:
            found += [_span_of(message, about) for message in scope.spans]
    return found


def _span_of(message: Message, about: dict[str, Value]) -> Span:
    return Span(
        service=str(about["service.name"]),
        instance=str(about["service.instance.id"]),
        name=message.name,
        kind=Message.SpanKind.Name(message.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        parent_id=message.parent_span_id.hex(),
        begin_ns=message.start_time_unix_nano,
        end_ns=message.end_time_unix_nano,
        attributes={item.key: _value(item.value) for item in message.attributes},
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in message.links),
        failed=message.status.code == Status.STATUS_CODE_ERROR,
    )


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    found: Value = getattr(value, kind) if kind else ""
    return found
