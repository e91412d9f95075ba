"""OpenTelemetry: off, and not even imported, unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

On, it reads the variables that OpenTelemetry itself names: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS
and _TIMEOUT (or those of traces alone, OTEL_EXPORTER_OTLP_TRACES_…), OTEL_TRACES_SAMPLER and _ARG,
OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_…; OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none switch it
off again. Trace context travels as W3C `traceparent`.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

from streamdesk.runtime.errors import BadSettingError

if TYPE_CHECKING:
    from streamdesk.runtime import spans

ENDPOINTS = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOLS = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
PROTOCOL = "http/protobuf"

Value = str | int | float | bool
Kind = Literal["internal", "client", "producer", "consumer"]


class Span(Protocol):
    """A span, while it lasts."""

    @property
    def traceparent(self) -> str:
        """What a message carries so that its reader goes on from here; empty without tracing."""

    def note(self, name: str, value: Value) -> None:
        """Set an attribute."""

    def failed(self, error: BaseException) -> None:
        """What it is about went wrong. What leaves the block says so by itself."""


class _NoSpan:
    """Stands for a span while tracing is off."""

    traceparent = ""

    def note(self, name: str, value: Value) -> None:
        """Ignore."""

    def failed(self, error: BaseException) -> None:
        """Ignore."""


_NO_SPAN: AbstractContextManager[Span] = nullcontext(_NoSpan())
_state: "dict[str, spans.Spans]" = {}


def set_up_tracing(service: str, instance: str, secrets: Iterable[str] = ()) -> Callable[[], None]:
    """Start exporting spans when an endpoint is set.

    Args:
        service: the spans' `service.name`.
        instance: their `service.instance.id`.
        secrets: what no span may say.

    Returns:
        What to call at the end: it sends the spans that are still in hand.

    Raises:
        BadSettingError: the endpoint is no URL, or the protocol is not the one there is.
    """
    if not _wanted():
        return lambda: None
    # Half a second and 20 MB that a process without tracing does not pay.
    from streamdesk.runtime import spans  # noqa: PLC0415 - see above

    made = _state["spans"] = spans.Spans(service, instance, secrets)

    def close() -> None:
        _state.pop("spans", None)
        made.close()

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
    return bool(_state)


def span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str = "",
    links: Sequence[str] = (),
    attributes: Mapping[str, Value] | None = None,
    current: bool = True,
) -> AbstractContextManager[Span]:
    """A span from here to the end of the block; nothing while tracing is off.

    Args:
        name: what is done, as in `submit order`: few different ones, so no ids.
        kind: its part in a call or a message, as OpenTelemetry names it.
        parent: traceparent that it continues; empty continues the current span, or begins a trace.
        links: traceparents of other causes.
        attributes: what it is done to.
        current: whether what is done inside the block belongs to it.
    """
    if not _state:
        return _NO_SPAN
    return _state["spans"].span(
        name, kind=kind, parent=parent, links=links, attributes=attributes, current=current
    )


def span_from(
    trace_context: Mapping[str, str],
    name: str = "handle",
    attributes: Mapping[str, Value] | None = None,
) -> AbstractContextManager[Span]:
    """Work inside a span that continues the trace of a message.

    Args:
        trace_context: the message's headers; empty continues the current span.
        name: what is done, as in `handle SignalGenerated`.
        attributes: what it is done to.
    """
    if not _state:
        return _NO_SPAN
    return span(name, parent=trace_context.get("traceparent", ""), attributes=attributes)


def current_traceparent() -> str:
    """The current span as a W3C traceparent, for what goes on later; empty when there is none."""
    if not _state:
        return ""
    from streamdesk.runtime import spans  # noqa: PLC0415 - only when tracing is on

    return spans.current_traceparent()


def inject_trace_context() -> dict[str, str]:
    """The current span as W3C headers, for a message; empty when tracing is off."""
    traceparent = current_traceparent()
    return {"traceparent": traceparent} if traceparent else {}


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id of the current span, in hex; None where there is none."""
    if not _state:
        return None
    from streamdesk.runtime import spans  # noqa: PLC0415 - only when tracing is on

    return spans.current_ids()


def exemplar() -> dict[str, str] | None:
    """What ties a measurement to its trace, for `Histogram.observe`.

    None where no span is exported: nobody could look it up.
    """
    if not _state:
        return None
    from streamdesk.runtime import spans  # noqa: PLC0415 - only when tracing is on

    ids = spans.current_ids(sampled=True)
    return None if ids is None else {"trace_id": ids[0], "span_id": ids[1]}
