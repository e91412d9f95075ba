"""What passes between the bus and a backend."""

from dataclasses import dataclass, field
from typing import Literal

from streamdesk.bus.envelope import Fields

GONE_MS = 60_000
"""A consumer that was not seen for so long, and holds nothing, has ended: its name is deleted."""

SCHEDULED = "scheduled"
"""What `find` says instead of an entry id when the event still waits for its time."""

Held = tuple[int, str]
"""A pending entry: position of its stream among the topic's, entry id."""


class Entry:
    """A stream entry that was handed out.

    Attributes:
        stream: position of its stream in the topic_keys.
        id: its entry id.
        fields: what it carries.
        deliveries: how often it was handed out, this time included.
        held: what names it in later calls.
    """

    __slots__ = ("deliveries", "fields", "held", "id", "stream")

    def __init__(self, stream: int, entry_id: str, fields: Fields, deliveries: int = 1) -> None:
        self.stream = stream
        self.id = entry_id
        self.fields = fields
        self.deliveries = deliveries
        self.held: Held = (stream, entry_id)


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change of a value that the holder of a lease alone may make.

    Args:
        lease: key that names the holder.
        owner: who it must be.
        name: key of the value.
        value: the new value.
        expected: the value that is there; None for none.
    """

    lease: str
    owner: str
    name: str
    value: bytes
    expected: bytes | None


@dataclass(frozen=True, slots=True)
class Recreated:
    """A group that was lost on one stream and made again.

    Args:
        stream: key of the stream.
        cursor: the entry id after which the group resumes.
    """

    stream: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a take.

    Args:
        entries: highest class first, in order of arrival inside a class.
        next_due_ms: time until a delayed message comes back; None without any.
        last_ids: when nothing was taken: where `wait` is to wait.
        recreated: where the group had been lost.
        is_stale: nothing was taken, because the shard was adopted anew.
    """

    entries: list[Entry]
    next_due_ms: int | None
    last_ids: list[str]
    recreated: list[Recreated] = field(default_factory=list)
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One consequence of a failed entry.

    Args:
        kind: `add` to a stream now, `delay` for `delay_ms`, or `dead`.
        stream: position of the target stream; unused for `dead`.
        fields: what is written.
        delay_ms: wait before it comes back.
    """

    kind: Literal["add", "delay", "dead"]
    stream: int
    fields: Fields
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry that failed as a whole or in part, and all that follows from it."""

    held: Held
    steps: tuple[Step, ...]


Settled = Literal["written", "lost", "refused"]
"""What became of a failure: written; not ours any more, so another consumer decides; or not
written because the server's memory is full, so it is still pending here."""


@dataclass(frozen=True, slots=True)
class StreamLag:
    """Where a group stands on one stream.

    Attributes:
        key: the stream's.
        length: entries on it.
        waiting: entries the group was not given yet.
        pending: entries that its consumers hold.
    """

    key: str
    length: int
    waiting: int
    pending: int


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """What the server knows of a consumer.

    Args:
        name: its name in the group.
        pending: entries that it holds.
        idle_ms: time since it last took, renewed or looked for entries.
    """

    name: str
    pending: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Displaced:
    """An unread entry that a full queue gave up for a stronger one: it is a dead letter now.

    Args:
        group: which gave it up; other groups read it all the same.
        stream: position of the stream it was on.
        event_id: of its event.
    """

    group: str
    stream: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append within a limit did.

    Args:
        ids: the entry id of each event, in order.
        displaced: what was given up for them.
    """

    ids: list[str]
    displaced: list[Displaced]


@dataclass(frozen=True, slots=True)
class GroupState:
    """Where a group stands.

    Args:
        streams: on each stream.
        delayed: its retries and all events that wait for their time.
        consumers: one row a name.
        oldest_pending_ms: when the oldest pending entry was added.
        added: entries ever added to the streams.
    """

    streams: tuple[StreamLag, ...]
    delayed: int
    consumers: tuple[ConsumerState, ...]
    oldest_pending_ms: int | None
    added: int

    @property
    def backlog(self) -> int:
        """All that the group has not finished."""
        return self.delayed + sum(stream.waiting + stream.pending for stream in self.streams)
