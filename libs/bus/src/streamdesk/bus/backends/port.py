"""What the bus needs of a server: small, atomic steps.

Two implementations pass the same tests: `backend_redis` and `backend_memory`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from streamdesk.bus.backends.key_values import KeyValues
from streamdesk.bus.config import Wait
from streamdesk.bus.envelope import Fields
from streamdesk.bus.topic_keys import Layout

GONE_MS = 60_000
"""A consumer that was not seen for so long, and holds nothing, has ended: its name is deleted."""

SCHEDULED = "scheduled"
"""What `find` says instead of an entry id when the event still waits for its time."""

Held = tuple[int, str]
"""An entry in hand: position of its stream in the layout, entry id."""


class Entry:
    """A stream entry that was handed out.

    Attributes:
        stream: position of its stream in the layout.
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
class Recreated:
    """A group that was lost on one stream and made again.

    Args:
        stream: key of the stream.
        cursor: the entry id after which the group goes on.
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
written because the server's memory is full, so it is still in our hands."""


@dataclass(frozen=True, slots=True)
class StreamLag:
    """Where a group stands on one stream.

    Attributes:
        key: the stream's.
        length: entries on it.
        waiting: entries the group was not given yet.
        pending: entries in the hands of its consumers.
    """

    key: str
    length: int
    waiting: int
    pending: int


@dataclass(frozen=True, slots=True)
class ConsumerStanding:
    """What the server knows of a consumer.

    Args:
        name: its name in the group.
        pending: entries in its hands.
        idle_ms: time since it last took, renewed or looked for entries.
    """

    name: str
    pending: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a group stands.

    Args:
        streams: on each stream.
        delayed: its retries and all events that wait for their time.
        consumers: one row a name.
        oldest_pending_ms: when the oldest entry in hand was added.
        added: entries ever added to the streams.
    """

    streams: tuple[StreamLag, ...]
    delayed: int
    consumers: tuple[ConsumerStanding, ...]
    oldest_pending_ms: int | None
    added: int

    @property
    def backlog(self) -> int:
        """All that the group has not finished."""
        return self.delayed + sum(stream.waiting + stream.pending for stream in self.streams)


class Backend(Protocol):
    """A server of streams. Every call raises BusUnavailableError when it does not answer."""

    async def close(self) -> None:
        """Give back all connections."""

    def on_move(self, moved: Callable[[], None]) -> None:
        """Call `moved` when another server becomes the master."""

    async def drop_idle(self) -> None:
        """Close the connections that no call uses; never raises."""

    def waiting_for(self, durable: Wait | None) -> "Backend":
        """The same server; each call returns when so many replicas have all that it wrote or saw.

        Its calls raise NotDurableError when they have not, in time.
        """

    @property
    def key_values(self) -> KeyValues:
        """Plain keys on the same server."""

    async def ping(self) -> None:
        """Return when the server answers."""

    async def now_ms(self) -> int:
        """The server's clock."""

    async def append(
        self, layout: Layout, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """Append entries, without a limit; `keep` bounds the stream's length, roughly."""

    async def append_once(
        self,
        layout: Layout,
        stream: int,
        batch: Sequence[Fields],
        window_ms: int,
        limit: int | None,
        keep: int | None,
    ) -> list[str]:
        """Append, within a limit if there is one, but no event that was within `window_ms`.

        All or nothing: raises QueueFullError at the limit. A window of 0 remembers no event. An
        event is known by its envelope's id. Of one that was written already the first entry's
        id is returned, an empty string if it was scheduled; it does not count towards the limit.
        `keep` bounds the stream's length, roughly.
        """

    async def schedule(
        self,
        layout: Layout,
        stream: int,
        fields: Fields,
        delay_ms: int,
        *,
        window_ms: int = 0,
        limit: int | None = None,
    ) -> bool:
        """Append after `delay_ms`, for all groups; False when this event waits already.

        The first `take` of any group after that moves it into its stream, in the order of due
        times. `window_ms` and `limit` are those of `append_once`; raises QueueFullError at the
        limit.
        """

    def length(self, layout: Layout, stream: int) -> int:
        """How long the stream is, as far as our own appends have learnt; asks nobody."""

    async def measure(self, layout: Layout, stream: int) -> int:
        """How long the stream is now."""

    async def find(
        self, layout: Layout, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """The entry id of each event among entries added since then.

        SCHEDULED for one that waits for its time, an empty string for one that is not there.
        """

    async def ensure_group(self, layout: Layout, group: str) -> list[Recreated]:
        """Create the group on each stream where it is not.

        It starts at the first entry, or, where it had been before, after all that it had finished
        when `trim` last saved that. Returns the latter.
        """

    async def take(
        self, layout: Layout, group: str, consumer: str, count: int, *, adoption: str = ""
    ) -> Taken:
        """Move what is due, then take new entries within one budget; makes a lost group again.

        What is due stays delayed while the server has no memory for it. With the name of
        an adoption nothing is done unless it is the last one.
        """

    async def adopt(
        self, layout: Layout, group: str, consumer: str, fence: int, adoption: str, count: int
    ) -> list[Entry] | None:
        """Take all that anybody holds of a shard, oldest first; None when it is another's.

        From now on only calls that name this adoption are given entries: what the server executes
        late, for a caller that has given up, takes nothing.
        """

    async def wait(self, layout: Layout, last_ids: Sequence[str], block_ms: int) -> None:
        """Return when a stream has more than `last_ids`, or after `block_ms`."""

    async def take_or_wait(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        count: int,
        block_ms: int,
        stopped: asyncio.Future[Any],
    ) -> list[Entry]:
        """Take what comes within `block_ms`, of a topic with one stream; at once if `stopped`."""

    async def settle(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[Settled]:
        """Ack, and write what follows from failures; for each failure what became of it."""

    async def reclaim(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        least_idle_ms: int,
        count: int,
        *,
        adoption: str = "",
    ) -> list[Entry]:
        """Take over what nobody renewed for so long; nothing after another adoption."""

    async def renew(
        self, layout: Layout, group: str, consumer: str, held: Mapping[Held, int]
    ) -> list[Held]:
        """Renew leases; returns what is not ours any more.

        Args:
            layout: of the topic.
            group: whose entries.
            consumer: who holds them.
            held: the entries with their deliveries, or 0 where the lease may have run out. What
                nobody has although its lease holds is taken back: somebody deleted our name.
        """

    async def release(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        held: Sequence[Held],
        *,
        all_but: bool = False,
    ) -> int:
        """Give back these entries (or all but these) at once; returns how many."""

    async def forget(self, layout: Layout, group: str, consumer: str) -> None:
        """Delete the consumer's name where it holds nothing."""

    async def own(self, layout: Layout, group: str, consumer: str, lease_ms: int) -> int:
        """Become or stay the owner of a shard; returns its fence, 0 when another owns it."""

    async def disown(self, layout: Layout, group: str, consumer: str) -> None:
        """Let a shard go."""

    async def join(self, layout: Layout, group: str, consumer: str, lease_ms: int) -> list[str]:
        """Say that a consumer is there (leaves, with a lease of 0); returns all that are."""

    async def standing(self, layout: Layout, group: str) -> Standing:
        """Where the group stands."""

    async def peek(self, layout: Layout, group: str, count: int) -> list[Entry]:
        """The entries the group would be given next, untouched."""

    async def trim(self, layout: Layout, keep: int, group: str = "") -> int:
        """Housekeeping, every few seconds: returns how many entries were dropped.

        Drops what every group of the layout has finished, but keeps the newest `keep` of each
        stream; saves up to where these groups and `group` have finished; deletes names of their
        consumers that hold nothing and have not been seen for GONE_MS.
        """

    async def last_ids(self, keys: Sequence[str]) -> list[str]:
        """Each stream's last id, `0-0` where it does not exist."""

    async def read(
        self, cursors: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, Fields]]:
        """Entries after each stream's cursor (key, id, fields), waiting up to `block_ms`."""

    async def read_range(
        self, key: str, first: str, last: str, count: int
    ) -> list[tuple[str, Fields]]:
        """Entries of a stream between two ids, both included; `(` before `first` excludes it."""

    async def dead_count(self, layout: Layout) -> int:
        """How many dead letters there are."""

    async def remove_dead(self, layout: Layout, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many there were."""

    async def redrive(self, layout: Layout, dead_id: str, stream: int, fields: Fields) -> str:
        """Replace a dead letter by `fields` in a stream; an empty string when it was gone."""
