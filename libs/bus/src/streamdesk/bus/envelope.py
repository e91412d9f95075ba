"""The fields of a stream entry, to and from events.

t  type            v  version        k  key         id event id (UUIDv7)
tp traceparent     at published at (ms)             b  body (JSON)
n  count, on a frame: `b` is a JSON array of so many bodies
a  failed attempts so far      g  the only group it is meant for      h  their history (JSON)
rp replays out of the dead letters
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError, InvalidBodyError

E = TypeVar("E", bound=Event)
Fields = dict[bytes, bytes]

FRAME_EVENTS = 500
"""Most events of a frame."""


class InvalidEnvelopeError(ContractError):
    """A field of the envelope is missing or cannot be read."""

    reason = "invalid-envelope"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The readable part of an entry's fields."""

    type: str
    version: int
    key: str
    id: str
    traceparent: str
    published_at_ms: int
    count: int
    failed_attempts: int
    only_group: str
    replays: int

    @property
    def published_at(self) -> datetime:
        """When the event was first published."""
        return datetime.fromtimestamp(self.published_at_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Member(Generic[E]):
    """One event of an entry: decoded, or the error that prevents it."""

    id: str
    event: E | None
    error: ContractError | None
    body: bytes


def new_id(now_ns: int | None = None) -> str:
    """A UUIDv7 (RFC 9562, method 3).

    48 bits of milliseconds, 12 bits of the fraction of the millisecond, so that the ids of one
    publisher sort in the order of publication, and 62 random bits.
    """
    now = time.time_ns() if now_ns is None else now_ns
    milliseconds, rest = divmod(now, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | fraction << 64 | 2 << 62
    value |= secrets.randbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def encode(
    topic: Topic[Any], event: Event, traceparent: str, event_id: str | None = None
) -> Fields:
    """The fields of an entry that carries one event."""
    now = time.time_ns()
    fields = {
        b"t": event.type_name().encode(),
        b"v": str(event.version).encode(),
        b"k": topic.key_of(event).encode(),
        b"id": (event_id or new_id(now)).encode(),
        b"at": str(now // 1_000_000).encode(),
        b"b": event.model_dump_json().encode(),
    }
    if traceparent:
        fields[b"tp"] = traceparent.encode()
    return fields


def encode_frame(events: Sequence[Event], traceparent: str) -> Fields:
    """The fields of an entry that carries several events of one type."""
    now = time.time_ns()
    first = events[0]
    fields = {
        b"t": first.type_name().encode(),
        b"v": str(first.version).encode(),
        b"k": b"",
        b"id": new_id(now).encode(),
        b"at": str(now // 1_000_000).encode(),
        b"n": str(len(events)).encode(),
        b"b": b"[" + b",".join(event.model_dump_json().encode() for event in events) + b"]",
    }
    if traceparent:
        fields[b"tp"] = traceparent.encode()
    return fields


def _number(fields: Mapping[bytes, bytes], name: bytes, default: int | None = None) -> int:
    raw = fields.get(name)
    if raw is None and default is not None:
        return default
    try:
        return int(raw or b"")
    except ValueError:
        shown = "missing" if raw is None else repr(raw[:80])
        raise InvalidEnvelopeError(
            f"envelope field {name.decode()!r} is {shown}; expected a whole number"
        ) from None


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "backslashreplace")


def open_envelope(fields: Mapping[bytes, bytes]) -> Envelope:
    """Read the envelope.

    Raises:
        InvalidEnvelopeError: a field is missing or is not what it should be.
    """
    missing = [name.decode() for name in (b"t", b"id", b"b") if name not in fields]
    if missing:
        raise InvalidEnvelopeError(f"envelope has no field {', '.join(missing)}")
    return Envelope(
        type=_text(fields, b"t"),
        version=_number(fields, b"v"),
        key=_text(fields, b"k"),
        id=_text(fields, b"id"),
        traceparent=_text(fields, b"tp"),
        published_at_ms=_number(fields, b"at"),
        count=_number(fields, b"n", 0),
        failed_attempts=_number(fields, b"a", 0),
        only_group=_text(fields, b"g"),
        replays=_number(fields, b"rp", 0),
    )


@lru_cache(maxsize=256)
def _list_adapter(model: type[Event]) -> TypeAdapter[list[Event]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type] # a model known only at run time


def _decode_one(topic: Topic[E], envelope: Envelope, event_id: str, body: bytes) -> Member[E]:
    try:
        event = topic.decode(envelope.type, envelope.version, body)
    except ContractError as error:
        return Member(event_id, None, error, body)
    return Member(event_id, event, None, body)


def _decode_frame(topic: Topic[E], envelope: Envelope, body: bytes) -> list[Member[E]]:
    model = topic.model(envelope.type)
    if envelope.version == model.version:
        try:
            events: list[Any] = _list_adapter(model).validate_json(body)
        except ValidationError:
            pass  # at least one member is bad: look at each alone
        else:
            return [
                Member(f"{envelope.id}/{i}", event, None, b"") for i, event in enumerate(events)
            ]
    try:
        bodies = json.loads(body)
    except ValueError as error:
        raise InvalidBodyError(envelope.type, f"frame is not JSON: {error}") from error
    if not isinstance(bodies, list):
        raise InvalidBodyError(envelope.type, "frame is not a JSON array")
    return [
        _decode_one(topic, envelope, f"{envelope.id}/{i}", json.dumps(member).encode())
        for i, member in enumerate(bodies)
    ]


def decode(topic: Topic[E], envelope: Envelope, body: bytes) -> list[Member[E]]:
    """The events of an entry, each with its own error if it has one.

    Raises:
        ContractError: nothing in the entry can be read.
    """
    if envelope.count:
        return _decode_frame(topic, envelope, body)
    return [_decode_one(topic, envelope, envelope.id, body)]
