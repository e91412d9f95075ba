"""Dead letters: what could not be handled, why, and its way back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from streamdesk.bus.backends.records import Entry
from streamdesk.bus.envelope import Fields, new_id
from streamdesk.bus.errors import BusConfigError
from streamdesk.bus.topic_keys import TopicKeys
from streamdesk.contracts.base import Event

QUEUE_FULL = "queue-full"
"""Why an unread entry was given up: a stronger one needed its place."""

_ORIGINAL = b"o:"
# Fields that describe what went wrong, not the message: a redriven message starts afresh.
_SPENT = (b"a", b"h", b"g")


class Attempt(Event):
    """One try at handling a message."""

    at: datetime = Field(description="When it ended.")
    consumer: str
    errors: tuple[str, ...] = Field(description="The error and its causes, outermost first.")


class DeadLetter(Event):
    """A message was put aside: it failed permanently, or too often."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "topic": "signals",
                    "group": "order-executors",
                    "reason": "retries-exhausted",
                    "detail": "ValueError: no price",
                    "attempts": [
                        {
                            "at": "2026-11-20T15:31:00Z",
                            "consumer": "executor-1",
                            "errors": ["ValueError: no price"],
                        }
                    ],
                    "event_type": "SignalGenerated",
                    "event_version": "2",
                    "event_id": "019aa3c1-7b5e-7c1f-9d0a-3f2b1c0d9e8f",
                    "stream": 3,
                    "replays": 0,
                    "body": "{}",
                }
            ]
        }
    )

    topic: str
    group: str
    reason: str = Field(description="Stable word, as in invalid-body or retries-exhausted.")
    detail: str = Field(description="The last error, for a person.")
    attempts: tuple[Attempt, ...] = Field(description="Every try, with its time and error chain.")
    event_type: str
    event_version: str
    event_id: str
    stream: int = Field(description="Position of the stream it was taken from.")
    replays: int = Field(description="How often it was put back already.")
    body: str = Field(description="The body as text; bytes that are not UTF-8 are escaped.")
    dead_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as it lies on the server: its entry id, its text, the original's fields."""

    id: str
    letter: DeadLetter
    original: Fields


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters are meant: those that fit all that is given.

    Args:
        reason: the letter's, as in `retries-exhausted`.
        group: the group that gave the message up.
        event_type: name of the event, as in `SignalGenerated`.
        since: put aside at this time or later.
        until: put aside before this time.
        contains: text in the body, in the last error, or in the event id.

    Raises:
        BusConfigError: a time without a zone.
    """

    reason: str | None = None
    group: str | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    contains: str | None = None

    def __post_init__(self) -> None:
        """Refuse times that cannot be compared."""
        for name, value in (("since", self.since), ("until", self.until)):
            if value is not None and value.tzinfo is None:
                raise BusConfigError(f"{name} is {value.isoformat()} without a time zone; add one")

    def fits(self, letter: DeadLetter) -> bool:
        """Whether this letter is meant."""
        texts = (letter.body, letter.detail, letter.event_id)
        return (
            self.reason in {None, letter.reason}
            and self.group in {None, letter.group}
            and self.event_type in {None, letter.event_type}
            and (self.since is None or letter.dead_at >= self.since)
            and (self.until is None or letter.dead_at < self.until)
            and (self.contains is None or any(self.contains in text for text in texts))
        )


_attempts = TypeAdapter(tuple[Attempt, ...])


def error_chain(error: BaseException) -> tuple[str, ...]:
    """The error and what caused it, outermost first."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 10:  # noqa: PLR2004 - enough to find the cause
        chain.append(f"{type(current).__name__}: {current}"[:500])
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return tuple(chain)


def history_of(fields: Fields) -> tuple[Attempt, ...]:
    """The tries that an entry's fields report."""
    try:
        return _attempts.validate_json(fields.get(b"h", b"[]"))
    except ValidationError:
        return ()


def with_attempt(fields: Fields, attempts: Sequence[Attempt], group: str) -> Fields:
    """The fields of the next try: one more failed attempt, for this group alone."""
    history = [attempt.model_dump(mode="json") for attempt in attempts]
    return fields | {
        b"a": str(len(attempts)).encode(),
        b"g": group.encode(),
        b"h": json.dumps(history).encode(),
    }


def dead_letter_fields(letter: DeadLetter, original: Fields) -> Fields:
    """The fields of a dead letter's entry; the original's own follow, untouched."""
    now = str(int(letter.dead_at.timestamp() * 1000)).encode()
    fields: Fields = {
        b"t": letter.type_name().encode(),
        b"v": str(letter.version).encode(),
        b"k": letter.topic.encode(),
        b"id": new_id().encode(),
        b"at": now,
        b"b": letter.model_dump_json().encode(),
    }
    return fields | {_ORIGINAL + name: value for name, value in original.items()}


def letter_of(
    topic: str,
    group: str,
    stream: int,
    fields: Fields,
    reason: str,
    detail: str,
    attempts: tuple[Attempt, ...] | None = None,
) -> DeadLetter:
    """The letter of an entry.

    Args:
        topic: name of its topic.
        group: which gives it up.
        stream: position of its stream among the topic's.
        fields: what it carries.
        reason: a stable word.
        detail: for a person.
        attempts: every try; None for those that the entry reports.
    """

    def text(name: bytes) -> str:
        return fields.get(name, b"").decode("utf-8", "backslashreplace")

    replays = text(b"rp")
    return DeadLetter(
        topic=topic,
        group=group,
        reason=reason,
        detail=detail,
        attempts=history_of(fields) if attempts is None else attempts,
        event_type=text(b"t"),
        event_version=text(b"v"),
        event_id=text(b"id"),
        stream=stream,
        replays=int(replays) if replays.isdigit() else 0,
        body=text(b"b"),
    )


def displaced_letter(
    topic_keys: TopicKeys, group: str, entry: Entry, newcomer: Fields, stream: int
) -> DeadLetter:
    """The letter of an unread entry that a full queue gave up for a newcomer to this stream."""
    kind, event_id = newcomer[b"t"].decode(), newcomer[b"id"].decode()
    detail = f"displaced by {kind} {event_id} of class {topic_keys.classes[stream]}"
    return letter_of(topic_keys.topic, group, entry.stream, entry.fields, QUEUE_FULL, detail)


def open_dead_letter(entry_id: str, fields: Fields) -> StoredDeadLetter:
    """Read a dead letter's entry.

    Raises:
        ValidationError: the bus did not write it.
    """
    letter = DeadLetter.model_validate_json(fields.get(b"b", b""))
    size = len(_ORIGINAL)
    original = {k[size:]: v for k, v in fields.items() if k.startswith(_ORIGINAL)}
    return StoredDeadLetter(entry_id, letter, original)


def redriven_fields(stored: StoredDeadLetter) -> Fields:
    """The original's fields for another life: attempts forgotten, replays counted.

    It goes back for the group that could not handle it alone, since others may have had it.
    """
    fields: dict[bytes, Any] = {k: v for k, v in stored.original.items() if k not in _SPENT}
    return fields | {
        b"g": stored.letter.group.encode(),
        b"rp": str(stored.letter.replays + 1).encode(),
    }
