"""OpenTelemetry: off, and not even imported, unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

On, it reads the variables that OpenTelemetry itself names: OTEL_EXPORTER_OTLP_ENDPOINT and
_HEADERS, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES. Trace context travels as W3C
`traceparent` and `tracestate`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_state: dict[str, "TracerProvider"] = {}


def set_up_tracing(service: str, instance: str) -> Callable[[], None]:
    """Start exporting spans when an endpoint is set.

    Args:
        service: the spans' `service.name`.
        instance: their `service.instance.id`.

    Returns:
        What to call at the end: it sends the spans that are still in hand.
    """
    if not os.environ.get(ENDPOINT):
        return lambda: None
    # Half a second and 20 MB that a process without tracing does not pay.
    from opentelemetry import trace  # noqa: PLC0415 - see above
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as above
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    resource = Resource.create({"service.name": service, "service.instance.id": instance})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _state["provider"] = provider

    def close() -> None:
        _state.pop("provider", None)
        provider.shutdown()

    return close


def tracing_is_on() -> bool:
    """Whether spans are made."""
    return bool(_state)


def inject_trace_context() -> dict[str, str]:
    """The current span as W3C headers, for a message; empty when tracing is off."""
    if not _state:
        return {}
    from opentelemetry.propagate import inject  # noqa: PLC0415 - only when tracing is on

    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier


@contextmanager
def span_from(
    trace_context: Mapping[str, str],
    name: str = "handle",
    attributes: Mapping[str, str | int | float | bool] | None = None,
) -> Iterator[None]:
    """Work inside a span that continues the trace of a message.

    Args:
        trace_context: the message's headers; empty begins a new trace.
        name: what is done, as in `handle SignalGenerated`.
        attributes: what it is done to.
    """
    if not _state:
        yield
        return
    from opentelemetry.propagate import extract  # noqa: PLC0415 - only when tracing is on

    tracer = _state["provider"].get_tracer("streamdesk")
    with tracer.start_as_current_span(
        name, context=extract(trace_context), attributes=dict(attributes or {})
    ):
        yield


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id of the current span, in hex; None where there is none."""
    if not _state:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - only when tracing is on

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
