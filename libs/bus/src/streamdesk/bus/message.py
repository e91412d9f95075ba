"""What a handler gets, and what it answers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Ack:
    """Done; the message does not come again."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Again after `delay_seconds` (None: by the retry policy), one priority class down."""

    delay_seconds: float | None = None
    why: str = "the handler asked for a retry"


@dataclass(frozen=True, slots=True)
class Dead:
    """To the dead letters; `reason` is a short stable word, `detail` is for a person."""

    reason: str
    detail: str = ""


Outcome = Ack | Retry | Dead


@dataclass(slots=True)
class Message(Generic[E]):
    """One event on its way to a handler.

    Attributes:
        id: the event's id (UUIDv7 as text); the same on every retry and redelivery.
        event: the decoded event.
        topic: name of the topic.
        key: what the event is about, as its topic defines.
        attempt: 1 at first, one more with each retry.
        deliveries: how often this attempt was handed out; more than 1 after a consumer died.
        published_at: when the event was first published.
        entry_id: id of the stream entry that carried it this time.
        priority: priority class it was taken from, None where the topic has none.
        trace_context: W3C trace context of the publisher, empty when it was not traced.
        fence: grows with each new holder of the message: a store that refuses a smaller number
            than it has seen is safe from a holder that does not know yet that it is none.
        lease_lost: another consumer may have this message by now; do nothing that cannot be
            repeated.
    """

    id: str
    event: E
    topic: str
    key: str = ""
    attempt: int = 1
    deliveries: int = 1
    published_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    entry_id: str = ""
    priority: int | None = None
    trace_context: dict[str, str] = field(default_factory=dict)
    lease_lost: bool = False
    fence: int = 1
