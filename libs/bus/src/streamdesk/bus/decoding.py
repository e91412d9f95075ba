"""From a stored entry to events and messages: for consumers, and for readers without a group."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from streamdesk.bus.envelope import (
    LARGEST_BODY_BYTES,
    ZSTD,
    CodecError,
    Envelope,
    Fields,
    InvalidEnvelopeError,
    adapter_of,
    expanded,
    open_envelope,
)
from streamdesk.bus.message import Message
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError, InvalidBodyError

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A member of an entry that is no event of its topic, and why."""

    id: str
    error: ContractError
    body: bytes


@dataclass(frozen=True, slots=True)
class Members(Generic[E]):
    """What an entry carries.

    Args:
        events: those that can be read.
        places: position in the frame of each, where some cannot be read; None where all can.
        unreadable: the others.
    """

    events: list[E]
    places: list[int] | None = None
    unreadable: tuple[Unreadable, ...] = ()


@lru_cache(maxsize=256)
def _list_adapter(model: type[Event]) -> TypeAdapter[list[Event]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type] # a model known only at run time


@lru_cache(maxsize=256)
def reader_of(topic: Topic[E], type_name: bytes, version: bytes) -> Callable[[bytes], E] | None:
    """What makes an event of a body of the present version; None for any other version or type.

    It raises pydantic's ValidationError. `decode` says what is wrong, and reads older versions;
    this is for the many entries that are as they should be.
    """
    try:
        model = topic.model(type_name.decode())
    except (ContractError, UnicodeDecodeError):
        return None
    if version != str(model.version).encode():
        return None
    return cast("Callable[[bytes], E]", adapter_of(model).validator.validate_json)


def _decode_frame(topic: Topic[E], envelope: Envelope, body: bytes) -> Members[E]:
    model = topic.model(envelope.type)
    if envelope.version == model.version:
        try:
            return Members(cast("list[E]", _list_adapter(model).validate_json(body)))
        except ValidationError:
            pass  # at least one member is bad: look at each alone
    try:
        members = json.loads(body)
        if not isinstance(members, list):
            raise InvalidBodyError(envelope.type, "frame is not a JSON array")
        bodies = [json.dumps(member).encode() for member in members]
    except (ValueError, RecursionError) as error:
        raise InvalidBodyError(envelope.type, f"frame is not JSON: {error}") from error
    return _one_by_one(topic, envelope, bodies)


def _one_by_one(topic: Topic[E], envelope: Envelope, bodies: Sequence[bytes]) -> Members[E]:
    events: list[E] = []
    places: list[int] = []
    unreadable: list[Unreadable] = []
    for place, body in enumerate(bodies):
        try:
            events.append(topic.decode(envelope.type, envelope.version, body))
            places.append(place)
        except ContractError as error:
            unreadable.append(Unreadable(f"{envelope.id}/{place}", error, body))
    return Members(events, places if unreadable else None, tuple(unreadable))


def plain(envelope: Envelope, body: bytes) -> bytes:
    """The body as JSON.

    Raises:
        InvalidEnvelopeError: an unknown codec, or not what it says.
    """
    if not envelope.codec:
        return body
    if envelope.codec.encode() != ZSTD:
        raise InvalidEnvelopeError(
            f"envelope field 'z' is {envelope.codec[:80]!r}; expected 'zstd'"
        )
    try:
        return expanded(body)
    except CodecError as error:
        raise InvalidEnvelopeError(
            f"a body of {len(body)} bytes is not zstd, or more than {LARGEST_BODY_BYTES} bytes "
            f"when expanded: {error}"
        ) from error


def decode(topic: Topic[E], envelope: Envelope, body: bytes) -> Members[E]:
    """The events of an entry; members of a frame that cannot be read are listed beside them.

    Raises:
        ContractError: nothing in the entry can be read.
    """
    if envelope.count:
        return _decode_frame(topic, envelope, plain(envelope, body))
    return Members([topic.decode(envelope.type, envelope.version, body)])


def member_id(envelope: Envelope, places: Sequence[int] | None, at: int) -> str:
    """The id of a readable event: the entry's, or in a frame that and the event's position.

    Args:
        envelope: of the entry.
        places: as `Members` has them.
        at: position among the readable events.
    """
    if not envelope.count:
        return envelope.id
    return f"{envelope.id}/{at if places is None else places[at]}"


def message_of(
    topic: Topic[E],
    envelope: Envelope,
    event: E,
    event_id: str,
    entry_id: str,
    priority: int | None,
) -> Message[E]:
    """The message of one event of an entry, as if no consumer had taken it yet."""
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
