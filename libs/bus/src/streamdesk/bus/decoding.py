"""From a stored entry to messages: for consumers, and for those who only look."""

from typing import TypeVar

from streamdesk.bus.envelope import (
    Envelope,
    Fields,
    Unreadable,
    decode,
    member_id,
    open_envelope,
)
from streamdesk.bus.message import Message
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)


def message_of(
    topic: Topic[E],
    envelope: Envelope,
    event: E,
    event_id: str,
    entry_id: str,
    priority: int | None,
) -> Message[E]:
    """The message of one event of an entry, as if nobody had taken it yet."""
    return Message(
        id=event_id,
        event=event,
        topic=topic.name,
        key=envelope.key or topic.key_of(event),
        attempt=envelope.failed_attempts + 1,
        published_at=envelope.published_at,
        entry_id=entry_id,
        priority=priority,
        trace_context={"traceparent": envelope.traceparent} if envelope.traceparent else {},
    )


def messages_of(
    topic: Topic[E], fields: Fields, entry_id: str, priority: int | None
) -> tuple[list[Message[E]], tuple[Unreadable, ...]]:
    """The messages of an entry, and the members of it that cannot be read.

    Raises:
        ContractError: nothing in the entry can be read.
    """
    envelope = open_envelope(fields)
    members = decode(topic, envelope, fields[b"b"])
    messages = [
        message_of(
            topic, envelope, event, member_id(envelope, members.places, at), entry_id, priority
        )
        for at, event in enumerate(members.events)
    ]
    return messages, members.unreadable
