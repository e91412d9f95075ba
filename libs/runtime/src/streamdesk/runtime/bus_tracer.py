"""Carries the trace across the bus: its spans are OpenTelemetry's.

The classes fit the bus's protocols by their methods alone: neither library imports the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

from opentelemetry.trace import Span, SpanKind

from streamdesk.runtime.tracing import (
    Value,
    current_traceparent,
    record_failure,
    span,
    traceparent_of,
    tracing_is_on,
)

Kind = Literal["internal", "client", "producer", "consumer"]


@dataclass(frozen=True, slots=True)
class BusSpan:
    """A span around a message, or a batch, while it lasts."""

    span: Span

    @property
    def traceparent(self) -> str:
        """What a message carries so that its reader continues this trace; empty without tracing."""
        return traceparent_of(self.span)

    def note(self, name: str, value: Value) -> None:
        """Set an attribute."""
        self.span.set_attribute(name, value)

    def failed(self, error: BaseException) -> None:
        """Record a failure; an exception that leaves the block is recorded by itself."""
        record_failure(self.span, error)


class BusTracer:
    """Carries the trace across the bus; does nothing while tracing is off."""

    @property
    def is_on(self) -> bool:
        """Whether spans are made."""
        return tracing_is_on()

    def inject(self) -> str:
        """The current span as a W3C traceparent, empty when there is none."""
        return current_traceparent()

    def span(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Value] | None = None,
        current: bool = True,
    ) -> AbstractContextManager[BusSpan]:
        """As `tracing.span`."""
        return _bus_span(
            span(
                name,
                kind=SpanKind[kind.upper()],
                parent=parent,
                links=links,
                attributes=attributes,
                current=current,
            )
        )


@contextmanager
def _bus_span(lasting: AbstractContextManager[Span]) -> Iterator[BusSpan]:
    with lasting as made:
        yield BusSpan(made)
