"""From events to the fields of stream entries."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import SchemaSerializer

from streamdesk.bus.envelope import ZSTD, Fields, adapter_of, compressed, new_id, new_ids
from streamdesk.contracts.base import Event, Topic


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
    return model.type_name().encode(), str(model.version).encode(), adapter_of(model).serializer
