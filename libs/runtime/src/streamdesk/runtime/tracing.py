"""Traces, on the OpenTelemetry API: off, and without its SDK, unless an endpoint is set.

On, it reads the variables that OpenTelemetry itself names: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS
and _TIMEOUT (or those of traces alone, OTEL_EXPORTER_OTLP_TRACES_…), OTEL_TRACES_SAMPLER and _ARG,
OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_…; OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none switch it
off again. Trace context travels as W3C `traceparent`.
"""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streamdesk.runtime.errors import BadSettingError

ENDPOINTS = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOLS = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
PROTOCOL = "http/protobuf"

Value = str | int | float | bool
_PROPAGATOR = TraceContextTextMapPropagator()
_OFF: AbstractContextManager[Span] = nullcontext(INVALID_SPAN)


@dataclass(slots=True)
class _State:
    """What the spans of this process go to.

    The provider is not OpenTelemetry's global one: that can be set once in a process, and tests
    set up tracing again and again.
    """

    tracer: Tracer | None = None
    secrets: Sequence[str] = ()


_state = _State()


def set_up_tracing(service: str, instance: str, secrets: Iterable[str] = ()) -> Callable[[], None]:
    """Start exporting spans when an endpoint is set.

    Args:
        service: the spans' `service.name`.
        instance: their `service.instance.id`.
        secrets: what no span may say.

    Returns:
        What to call at the end: it sends the spans that are still pending.

    Raises:
        BadSettingError: the endpoint is no URL, or the protocol is not the one there is.
    """
    if not _wanted():
        return lambda: None
    # Half a second and 20 MB that a process without tracing does not pay.
    from streamdesk.runtime.span_export import SpanExport  # noqa: PLC0415 - see above

    export = SpanExport(service, instance)
    _state.tracer = export.tracer
    _state.secrets = sorted(secrets, key=len, reverse=True)

    def close() -> None:
        _state.tracer = None
        export.close()

    return close


def _wanted() -> bool:
    """Whether an endpoint is set, and tracing is not switched off; both are checked."""
    given = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if given is None or disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    if not os.environ[given].startswith(("http://", "https://")):
        expected = "the URL of an OTLP collector, as in http://collector:4318"
        raise BadSettingError(given, os.environ[given], expected)
    for name in PROTOCOLS:
        if os.environ.get(name, PROTOCOL) not in ("", PROTOCOL):
            expected = f"{PROTOCOL}, the one that is built in (collectors take it on port 4318)"
            raise BadSettingError(name, os.environ[name], expected)
    return True


def tracing_is_on() -> bool:
    """Whether spans are made."""
    return _state.tracer is not None


def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str = "",
    links: Sequence[str] = (),
    attributes: Mapping[str, Value] | None = None,
    current: bool = True,
) -> AbstractContextManager[Span]:
    """A span from here to the end of the block; OpenTelemetry's invalid one while tracing is off.

    An exception that leaves the block is recorded by `record_failure`.

    Args:
        name: what is done, as in `submit order`: few different ones, so no ids.
        kind: its part in a call or a message.
        parent: traceparent that it continues; empty continues the current span, or begins a trace.
        links: traceparents of other causes.
        attributes: what it is done to.
        current: whether what is done inside the block belongs to it.
    """
    tracer = _state.tracer
    if tracer is None:
        return _OFF
    return _span(tracer, name, kind, parent, links, attributes, current=current)


@contextmanager
def _span(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    parent: str,
    links: Sequence[str],
    attributes: Mapping[str, Value] | None,
    *,
    current: bool,
) -> Iterator[Span]:
    made = tracer.start_span(
        name,
        context=_context(parent) if parent else None,
        kind=kind,
        attributes=attributes,
        links=_links(links),
        record_exception=False,
        set_status_on_exception=False,
    )
    inside = trace.use_span(made, record_exception=False, set_status_on_exception=False)
    try:
        with inside if current else nullcontext():
            yield made
    except Exception as error:
        record_failure(made, error)
        raise
    finally:
        made.end()


def record_failure(failed: Span, error: BaseException) -> None:
    """What a span is about went wrong: status, type of the error, and the traceback.

    OpenTelemetry's own recording would show what an error was called with, as the URL of a
    database with its password: the secrets of the settings are taken out here.
    """
    if not failed.is_recording():
        return
    failed.set_attribute("error.type", type(error).__qualname__)
    message = _without_secrets(str(error))
    stacktrace = _without_secrets("".join(traceback.format_exception(error)))
    about = {"exception.message": message, "exception.stacktrace": stacktrace}
    failed.record_exception(error, attributes=about)
    failed.set_status(StatusCode.ERROR, f"{type(error).__name__}: {message}")


def _without_secrets(text: str) -> str:
    for secret in _state.secrets:
        text = text.replace(secret, "***")
    return text


def _context(traceparent: str) -> Context:
    """What `traceparent` names as the parent; an empty one, so a new trace, if it names nothing."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, context=Context())


def _links(traceparents: Sequence[str]) -> list[Link]:
    """Links to those that are exported; one is enough to each."""
    found = (
        trace.get_current_span(_context(each)).get_span_context()
        for each in dict.fromkeys(traceparents)
    )
    return [Link(each) for each in found if each.is_valid and each.trace_flags.sampled]


def traceparent_of(made: Span) -> str:
    """A span as a W3C traceparent, for what continues it later; empty for an invalid one."""
    context = made.get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def current_traceparent() -> str:
    """The current span as a W3C traceparent, for what resumes later; empty when there is none."""
    return traceparent_of(trace.get_current_span()) if tracing_is_on() else ""


def current_ids(*, sampled: bool = False) -> tuple[str, str] | None:
    """Trace id and span id of the current span, in hex; None where there is none.

    Args:
        sampled: None also where the span is not exported.
    """
    if not tracing_is_on():
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or (sampled and not context.trace_flags.sampled):
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def exemplar() -> dict[str, str] | None:
    """What ties a measurement to its trace, for `Histogram.observe`.

    None where no span is exported: there would be nothing to look up.
    """
    ids = current_ids(sampled=True)
    return None if ids is None else {"trace_id": ids[0], "span_id": ids[1]}
