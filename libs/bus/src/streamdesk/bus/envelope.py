"""The fields of a stream entry, to and from events.

t  type            v  version        k  key         id event id (UUIDv7)
tp traceparent     at published at (ms)             b  body (JSON)
n  count, on a frame: `b` is a JSON array of so many bodies
z  codec of `b`, where it is compressed: `zstd`
a  failed attempts so far      g  the only group it is meant for      h  their history (JSON)
rp replays out of the dead letters
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaSerializer

from streamdesk.bus.compression import LARGEST_BODY_BYTES, ZSTD, CodecError, compressed, expanded
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError, InvalidBodyError

E = TypeVar("E", bound=Event)
Fields = dict[bytes, bytes]

FRAME_EVENTS = 500
"""Most events of a frame."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: no datetime is later."""

_VARIANT = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}


class InvalidEnvelopeError(ContractError):
    """A field of the envelope is missing or cannot be read."""

    reason = "invalid-envelope"


@dataclass(slots=True)
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
    codec: str

    @property
    def published_at(self) -> datetime:
        """When the event was first published."""
        return datetime.fromtimestamp(self.published_at_ms / 1000, UTC)


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


def new_id(now_ns: int | None = None) -> str:
    """A UUIDv7 (RFC 9562, method 3).

    48 bits of milliseconds, 12 bits of the fraction of the millisecond, so that the ids of one
    publisher sort in the order of publication, and 62 random bits.
    """
    return new_ids(1, now_ns)[0]


def new_ids(count: int, now_ns: int | None = None) -> list[str]:
    """So many ids, in order: each next one is a 4096th of a millisecond later."""
    now = time.time_ns() if now_ns is None else now_ns
    milliseconds, rest = divmod(now, 1_000_000)
    first = milliseconds << 12 | rest * 4096 // 1_000_000
    chance = os.urandom(8 * count).hex()
    ids = []
    for at in range(count):
        moment = f"{first + at & (1 << 60) - 1:015x}"
        word = chance[16 * at : 16 * at + 16]
        # The variant takes the two upper bits: of the first digit two bits are chance.
        ids.append(
            f"{moment[:8]}-{moment[8:12]}-7{moment[12:]}-{_VARIANT[word[0]]}{word[1:4]}-{word[4:]}"
        )
    return ids


def json_of(event: Event) -> bytes:
    """The body of an event."""
    return _wire_form(type(event))[2].to_json(event)


def encode_all(
    topic: Topic[Any],
    events: Sequence[Event],
    traceparents: Sequence[str] | None,
    event_ids: Sequence[str | None],
) -> list[Fields]:
    """The fields of entries that carry one event each; no traceparents: nothing is traced."""
    at = _now()
    fresh = new_ids(len(events))
    entries = [
        _fields(type(event), topic.key_of(event), given or new, at, json_of(event), "")
        for event, given, new in zip(events, event_ids, fresh, strict=True)
    ]
    if traceparents is not None:
        _trace(entries, traceparents)
    return entries


def encode_bodies(
    model: type[Event],
    keys: Sequence[str],
    bodies: Sequence[bytes],
    traceparents: Sequence[str] | None,
) -> list[Fields]:
    """The same for events of one type whose bodies are known already."""
    at = _now()
    entries = [
        _fields(model, key, event_id, at, body, "")
        for key, event_id, body in zip(keys, new_ids(len(bodies)), bodies, strict=True)
    ]
    if traceparents is not None:
        _trace(entries, traceparents)
    return entries


def _trace(entries: Sequence[Fields], traceparents: Sequence[str]) -> None:
    """Name the trace of each entry, where there is one."""
    for fields, traceparent in zip(entries, traceparents, strict=True):
        if traceparent:
            fields[b"tp"] = traceparent.encode()


def encode_frame(
    model: type[Event],
    bodies: Sequence[bytes],
    traceparent: str,
    compress_above_bytes: int | None = None,
) -> Fields:
    """The fields of an entry that carries several events of one type.

    Args:
        model: their type.
        bodies: each as JSON; at least one, at most FRAME_EVENTS.
        traceparent: of the publisher; empty when it is not traced.
        compress_above_bytes: larger bodies are compressed, if that makes them smaller.
    """
    body = b"[" + b",".join(bodies) + b"]"
    fields = _fields(model, "", new_id(), _now(), body, traceparent)
    fields[b"n"] = str(len(bodies)).encode()
    if compress_above_bytes is not None and len(body) > compress_above_bytes:
        packed = compressed(body)
        if len(packed) < len(body):
            fields |= {b"b": packed, b"z": ZSTD}
    return fields


def _fields(
    model: type[Event], key: str, event_id: str, at: bytes, body: bytes, traceparent: str
) -> Fields:
    kind, version, _ = _wire_form(model)
    fields = {
        b"t": kind,
        b"v": version,
        b"k": key.encode(),
        b"id": event_id.encode(),
        b"at": at,
        b"b": body,
    }
    if traceparent:
        fields[b"tp"] = traceparent.encode()
    return fields


def _now() -> bytes:
    return str(time.time_ns() // 1_000_000).encode()


@lru_cache(maxsize=256)
def _wire_form(model: type[Event]) -> tuple[bytes, bytes, SchemaSerializer]:
    """Type and version as written, and what makes JSON of an event."""
    return model.type_name().encode(), str(model.version).encode(), _adapter(model).serializer


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


def _milliseconds(fields: Mapping[bytes, bytes], name: bytes) -> int:
    since_1970 = _number(fields, name)
    if not 0 <= since_1970 <= LATEST_MS:
        raise InvalidEnvelopeError(
            f"envelope field {name.decode()!r} is {since_1970}; expected milliseconds since 1970"
        )
    return since_1970


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
        published_at_ms=_milliseconds(fields, b"at"),
        count=_number(fields, b"n", 0),
        failed_attempts=_number(fields, b"a", 0),
        only_group=_text(fields, b"g"),
        replays=_number(fields, b"rp", 0),
        codec=_text(fields, b"z"),
    )


@lru_cache(maxsize=256)
def _adapter(model: type[Event]) -> TypeAdapter[Event]:
    return TypeAdapter(model)


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
    return cast("Callable[[bytes], E]", _adapter(model).validator.validate_json)


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
