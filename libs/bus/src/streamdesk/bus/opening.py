"""From a stored entry to messages, for those who only look: tail, replay, and what waits."""

from typing import TypeVar

from streamdesk.bus.envelope import Fields, Unreadable, decode, member_ids, open_envelope
from streamdesk.bus.message import Message
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)


def messages_of(
    topic: Topic[E], fields: Fields, entry_id: str, priority: int | None
) -> tuple[list[Message[E]], tuple[Unreadable, ...]]:
    """The messages of an entry, and the members of it that cannot be read.

    Raises:
        ContractError: nothing in the entry can be read.
    """
    envelope = open_envelope(fields)
    members = decode(topic, envelope, fields[b"b"])
    trace = {"traceparent": envelope.traceparent} if envelope.traceparent else {}
    messages = [
        Message(
            id=event_id,
            event=event,
            topic=topic.name,
            key=envelope.key or topic.key_of(event),
            attempt=envelope.failed_attempts + 1,
            published_at=envelope.published_at,
            entry_id=entry_id,
            priority=priority,
            trace_context=trace,
        )
        for event_id, event in zip(member_ids(envelope, members), members.events, strict=True)
    ]
    return messages, members.unreadable
