"""The fields of a stream entry, to and from events.

t  type            v  version        k  key         id event id (UUIDv7)
tp traceparent     at published at (ms)             b  body (JSON)
n  count, on a frame: `b` is a JSON array of so many bodies
z  codec of `b`, where it is compressed: `zstd`
a  failed attempts so far      g  the only group it is meant for      h  their history (JSON)
rp replays out of the dead letters
"""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pydantic import TypeAdapter

from streamdesk.contracts.base import Event
from streamdesk.contracts.errors import ContractError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import backports.zstd as zstd  # noqa: PLR0402 - mypy does not find it the other way

Fields = dict[bytes, bytes]

FRAME_EVENTS = 500
"""Most events of a frame."""

ZSTD = b"zstd"
LEVEL = 1
"""The fastest of the usual levels: a frame is written once and read soon."""

LARGEST_BODY_BYTES = 64 * 1024 * 1024
"""Nothing larger is expanded: some kilobytes could fill the memory otherwise."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: no datetime is later."""

_VARIANT = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}


class InvalidEnvelopeError(ContractError):
    """A field of the envelope is missing or cannot be read."""

    reason = "invalid-envelope"


class CodecError(ValueError):
    """Not zstd, or too large."""


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


@lru_cache(maxsize=256)
def adapter_of(model: type[Event]) -> TypeAdapter[Event]:
    """What reads and writes the bodies of a model, made once."""
    return TypeAdapter(model)


def compressed(body: bytes) -> bytes:
    """The body as zstd."""
    return zstd.compress(body, level=LEVEL)


def expanded(body: bytes) -> bytes:
    """The body as it was.

    Raises:
        CodecError: it cannot be expanded, ends early, or is larger than LARGEST_BODY_BYTES.
    """
    expander = zstd.ZstdDecompressor()
    try:
        plain = expander.decompress(body, max_length=LARGEST_BODY_BYTES)
    except zstd.ZstdError as error:
        raise CodecError(str(error)) from error
    if not expander.eof:
        raise CodecError("it does not end where it should")
    return plain
