"""Spans of an order's way, as the trace shows them."""

from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind

from streamdesk.runtime import span
from streamdesk.trading.orders import Order

CLIENT_ORDER_ID = "streamdesk.order.client_order_id"
SYMBOL = "streamdesk.symbol"
SIGNAL_ID = "streamdesk.signal.id"
DECISION = "streamdesk.signal.decision"
REFUSAL_CODE = "streamdesk.signal.refusal_code"
FILLS = "streamdesk.order.new_fills"
STATE = "streamdesk.order.state"


def order_span(
    name: str, order: Order, *, kind: SpanKind = SpanKind.INTERNAL
) -> AbstractContextManager[Span]:
    """A step of an order's way inside the span that is current.

    Args:
        name: the step.
        order: whose.
        kind: client where the broker is asked.
    """
    return span(name, kind=kind, attributes=_attributes(order))


def order_span_again(name: str, order: Order) -> AbstractContextManager[Span]:
    """The same in the trace that the order was made in, by whichever process that was."""
    return span(name, parent=order.traceparent or "", attributes=_attributes(order))


def _attributes(order: Order) -> dict[str, str | int | float | bool]:
    return {
        CLIENT_ORDER_ID: order.client_order_id,
        SYMBOL: order.intent.symbol,
        "streamdesk.order.side": order.intent.side.value,
        "streamdesk.order.quantity": order.intent.quantity,
    }
