"""Spans on OpenTelemetry's SDK. Imported only while tracing is on: half a second and 20 MB."""

import os
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Value = str | int | float | bool
CLOSE_TIMEOUT = "OTEL_BSP_EXPORT_TIMEOUT"
CLOSE_MS = 5000
"""Longest that the end of a process waits for a collector that does not answer; OpenTelemetry's
own default, 30 s, is longer than a process may take."""

_PROPAGATOR = TraceContextTextMapPropagator()
_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}


class OtelSpan:
    """One span, while it lasts."""

    __slots__ = ("_secrets", "_span")

    def __init__(self, span: trace.Span, secrets: Sequence[str]) -> None:
        self._span = span
        self._secrets = secrets

    @property
    def traceparent(self) -> str:
        """What a message carries so that its reader goes on from here."""
        return traceparent_of(self._span)

    def note(self, name: str, value: Value) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)

    def failed(self, error: BaseException) -> None:
        """What it is about went wrong: status, type of the error, and the traceback."""
        self._span.set_attribute("error.type", type(error).__qualname__)
        message = self._without_secrets(str(error))
        where = self._without_secrets("".join(traceback.format_exception(error)))
        about = {"exception.message": message, "exception.stacktrace": where}
        self._span.record_exception(error, attributes=about)
        self._span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {message}")

    def _without_secrets(self, text: str) -> str:
        """An error may name what it was called with, as the URL of a database."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class Spans:
    """Makes spans and exports them.

    Args:
        service: the spans' `service.name`.
        instance: their `service.instance.id`.
        secrets: what no span may say.
    """

    def __init__(self, service: str, instance: str, secrets: Iterable[str]) -> None:
        self._secrets = sorted(secrets, key=len, reverse=True)
        attributes = {
            "service.namespace": "streamdesk",
            "service.name": service,
            "service.instance.id": instance,
        }
        self._provider = TracerProvider(
            resource=Resource.create(attributes), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("streamdesk")
        wanted = os.environ.get(CLOSE_TIMEOUT, "")
        self._close_seconds = (int(wanted) if wanted.isdigit() else CLOSE_MS) / 1000

    def close(self) -> None:
        """Send what is in hand; a collector that does not answer is waited for a few seconds."""
        # The provider's own shutdown takes as long as the exporter's time-out, at least.
        sender = threading.Thread(target=self._provider.shutdown, daemon=True)
        sender.start()
        sender.join(self._close_seconds)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: str,
        parent: str,
        links: Sequence[str],
        attributes: Mapping[str, Value] | None,
        current: bool,
    ) -> Iterator[OtelSpan]:
        """A span from here to the end of the block; see `tracing.span`."""
        span = self._tracer.start_span(
            name,
            context=_context(parent) if parent else None,
            kind=_KINDS[kind],
            attributes=attributes,
            links=_links(links),
            record_exception=False,
            set_status_on_exception=False,
        )
        made = OtelSpan(span, self._secrets)
        try:
            with _as_current(span) if current else nullcontext():
                yield made
        except Exception as error:
            made.failed(error)
            raise
        finally:
            span.end()


def _as_current(span: trace.Span) -> AbstractContextManager[trace.Span]:
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def _context(traceparent: str) -> Context:
    """What `traceparent` names as the parent; an empty one, so a new trace, if it names nothing."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, context=Context())


def _links(traceparents: Sequence[str]) -> list[trace.Link]:
    """Links to those that somebody records; one is enough to each."""
    found = (
        trace.get_current_span(_context(each)).get_span_context()
        for each in dict.fromkeys(traceparents)
    )
    return [trace.Link(each) for each in found if each.is_valid and each.trace_flags.sampled]


def traceparent_of(span: trace.Span) -> str:
    """A span as a W3C traceparent; empty for none."""
    context = span.get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def current_traceparent() -> str:
    """The current span as a W3C traceparent; empty when there is none."""
    return traceparent_of(trace.get_current_span())


def current_ids(*, sampled: bool = False) -> tuple[str, str] | None:
    """Trace id and span id of the current span, in hex; None where there is none.

    Args:
        sampled: None also where the span is not exported.
    """
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or (sampled and not context.trace_flags.sampled):
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
