"""Which spans the bus makes, by OpenTelemetry's semantic conventions for messaging.

`publish <topic>` (producer) writes; its context travels in the envelope. `process <topic>`
(consumer) is a handler at work: one message's continues its publisher's trace; a batch's continues
it where all messages have one cause, and otherwise begins a trace with links to all causes.

What a batch handler publishes has many possible causes. An event that is published under the id of
a message of the batch continues that message's trace; otherwise the publisher names the causes, or
it is the batch's.

While the tracer is off, none of this is called.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal, Protocol

from streamdesk.bus.consuming.deliveries import Batch
from streamdesk.bus.message import Message
from streamdesk.contracts.base import Topic

Kind = Literal["internal", "client", "producer", "consumer"]
Value = str | int | float | bool
SYSTEM = "redis"


class MessageSpan(Protocol):
    """A span around a message, or a batch, while it lasts. As it stands it records nothing."""

    @property
    def traceparent(self) -> str:
        """What a message carries so that its reader continues this trace; empty without tracing."""
        return ""

    def note(self, name: str, value: Value) -> None:  # noqa: ARG002 - for those that override it
        """Set an attribute."""
        return

    def failed(self, error: BaseException) -> None:  # noqa: ARG002 - for those that override it
        """Record a failure; an exception that leaves the block is recorded by itself."""
        return


class _NoSpan(MessageSpan):
    """Stands for a span where none is made."""


NO_SPAN: AbstractContextManager[MessageSpan] = nullcontext(_NoSpan())


class Tracer(Protocol):
    """Carries the trace across the bus. Subclasses override what they need; as it stands it is off.

    It is also a protocol: a class that has all these methods fits without importing the bus.
    """

    @property
    def is_on(self) -> bool:
        """Whether spans are made; while they are not, the bus asks for none."""
        return False

    def inject(self) -> str:
        """The current span as a W3C traceparent, empty when there is none."""
        return ""

    def span(
        self,
        name: str,  # noqa: ARG002 - for those that override it
        *,
        kind: Kind = "internal",  # noqa: ARG002 - for those that override it
        parent: str = "",  # noqa: ARG002 - for those that override it
        links: Sequence[str] = (),  # noqa: ARG002 - for those that override it
        attributes: Mapping[str, Value] | None = None,  # noqa: ARG002 - for those that override it
        current: bool = True,  # noqa: ARG002 - for those that override it
    ) -> AbstractContextManager[MessageSpan]:
        """A span from here to the end of the block.

        Args:
            name: what is done.
            kind: its part in a message's way.
            parent: traceparent that it continues; empty continues the current span, if any.
            links: traceparents of other causes.
            attributes: what it is done to.
            current: whether what is done inside the block belongs to it.
        """
        return NO_SPAN


class Untraced(Tracer):
    """Carries no trace."""

    is_on = False  # a plain attribute: the bus reads it for every message


class _Causes:
    """Which message of a batch an event id belongs to."""

    def __init__(self, batch: Batch[Any]) -> None:
        self._batch = batch
        self._of_id: dict[str, str] | None = None

    def of(self, event_ids: Sequence[str | None], otherwise: str) -> list[str] | None:
        """The traceparent of each event's message, or `otherwise`; None when none has one."""
        if self._of_id is None:
            self._of_id = {
                message.id: message.trace_context.get("traceparent", "") for message in self._batch
            }
        found = [self._of_id.get(each or "") for each in event_ids]
        if all(each is None for each in found):
            return None
        return [otherwise if each is None else each for each in found]


_BATCH: ContextVar[_Causes | None] = ContextVar("batch", default=None)


def _causes_of(tracer: Tracer, event_ids: Sequence[str | None]) -> list[str] | None:
    """What caused each event that is about to be published under these ids.

    None when it is the current span: outside a batch of many causes, or for other ids.
    """
    batch = _BATCH.get()
    return None if batch is None else batch.of(event_ids, tracer.inject())


@contextmanager
def publishing(
    tracer: Tracer, topic: Topic[Any], event_ids: Sequence[str | None], causes: Sequence[str] | None
) -> Iterator[Sequence[str]]:
    """Write events inside spans; gives the traceparent that each event carries.

    Args:
        tracer: is on.
        topic: where to.
        event_ids: of the events; None where the bus chooses.
        causes: traceparent of what caused each event, empty for none; None: the current span.
    """
    count = len(event_ids)
    if causes is None:
        causes = _causes_of(tracer, event_ids)
    if causes is None or (topic.mode == "frame" and count):
        parent, links = _parent_and_links(causes or ())
        name, attributes = _publication(topic.name), _sent(topic.name, count, event_ids)
        with tracer.span(
            name,
            kind="producer",
            parent=parent,
            links=links,
            attributes=attributes,
            current=False,  # it has no parts, and several may be written at once
        ) as span:
            yield [span.traceparent] * count
        return
    around = tracer.inject()
    links = (around,) if around else ()
    with ExitStack() as stack:
        carried = []
        for event_id, cause in zip(event_ids, causes, strict=True):
            made = NO_SPAN if not cause else tracer.span(
                _publication(topic.name),
                kind="producer",
                parent=cause,
                links=links,
                attributes=_sent(topic.name, 1, [event_id]),
                current=False,
            )  # fmt: skip
            carried.append(stack.enter_context(made).traceparent)
        yield carried


def processing(
    tracer: Tracer, topic: str, group: str, consumer: str, message: Message[Any]
) -> AbstractContextManager[MessageSpan]:
    """One message in its handler."""
    attributes = _taken(topic, group, consumer)
    attributes["messaging.message.id"] = message.id
    if message.key:
        attributes["streamdesk.message.key"] = message.key
    if message.attempt > 1:
        attributes["streamdesk.message.attempt"] = message.attempt
    if message.deliveries > 1:
        attributes["streamdesk.message.deliveries"] = message.deliveries
    parent = message.trace_context.get("traceparent", "")
    return tracer.span(_processing(topic), kind="consumer", parent=parent, attributes=attributes)


@contextmanager
def processing_batch(
    tracer: Tracer, topic: str, group: str, consumer: str, batch: Batch[Any]
) -> Iterator[MessageSpan]:
    """A batch of messages in its handler."""
    carried = (delivery.entry.fields.get(b"tp", b"") for delivery in batch.deliveries)
    parent, links = _parent_and_links([each.decode("ascii", "replace") for each in carried])
    attributes = _taken(topic, group, consumer)
    attributes["messaging.batch.message_count"] = len(batch)
    with tracer.span(
        _processing(topic), kind="consumer", parent=parent, links=links, attributes=attributes
    ) as span:
        before = _BATCH.set(None if parent else _Causes(batch))
        try:
            yield span
        finally:
            _BATCH.reset(before)


def _parent_and_links(causes: Sequence[str]) -> tuple[str, Sequence[str]]:
    """One cause is the parent, several are links: no span has two parents."""
    distinct = [each for each in dict.fromkeys(causes) if each]
    return (distinct[0], ()) if len(distinct) == 1 else ("", distinct)


@lru_cache(maxsize=1024)
def _publication(topic: str) -> str:
    return f"publish {topic}"


@lru_cache(maxsize=1024)
def _processing(topic: str) -> str:
    return f"process {topic}"


def _sent(topic: str, count: int, event_ids: Sequence[str | None]) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "messaging.system": SYSTEM,
        "messaging.destination.name": topic,
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
    }
    if count != 1:
        attributes["messaging.batch.message_count"] = count
    elif event_ids[0]:
        attributes["messaging.message.id"] = event_ids[0]
    return attributes


def _taken(topic: str, group: str, consumer: str) -> dict[str, Value]:
    return {
        "messaging.system": SYSTEM,
        "messaging.destination.name": topic,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": group,
        "messaging.client.id": consumer,
    }
