"""What the bus needs of a server: small, atomic steps.

Two implementations pass the same tests: `redis` and `memory`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from streamdesk.bus.backends.records import (
    Appended,
    Entry,
    Failure,
    GroupState,
    Held,
    HeldChange,
    Recreated,
    Settled,
    Taken,
)
from streamdesk.bus.config import Wait
from streamdesk.bus.envelope import Fields
from streamdesk.bus.topic_keys import TopicKeys


class KeyValues(Protocol):
    """Every call raises BusUnavailableError when the server does not answer."""

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """The values, in this order."""

    async def put(self, values: Mapping[str, bytes], ttl_ms: int | None) -> None:
        """Set all, with a time to live or permanently."""

    async def drop(self, names: Sequence[str]) -> None:
        """Delete; absent names are no error."""

    async def names(self, prefix: str, limit: int) -> list[str]:
        """Names that begin so; not more than `limit`."""

    async def claim(self, names: Sequence[str], owner: str, ttl_ms: int) -> list[bool]:
        """Set those that are absent; which they were."""

    async def give_back(self, names: Sequence[str], owner: str) -> None:
        """Delete those that `owner` has."""

    async def hold(self, lease: str, fence: str, owner: str, ttl_ms: int) -> int:
        """Become or stay the holder; the fence, 0 when another holds it."""

    async def put_held(
        self, lease: str, owner: str, name: str, value: bytes, expected: bytes | None
    ) -> bool:
        """Write for the holder of a lease, over the value that it expects."""


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
        self, topic_keys: TopicKeys, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """Append entries, without a limit; `keep` bounds the stream's length, roughly."""

    async def append_once(
        self,
        topic_keys: TopicKeys,
        stream: int,
        batch: Sequence[Fields],
        window_ms: int,
        limit: int | None,
        keep: int | None,
        *,
        displaces: bool = False,
    ) -> Appended:
        """Append, within a limit if there is one, but no event that was within `window_ms`.

        All or nothing: raises QueueFullError at the limit. A window of 0 remembers no event. An
        event is known by its envelope's id. Of one that was written already the first entry's
        id is returned, an empty string if it was scheduled; it does not count towards the limit.
        `keep` bounds the stream's length, roughly.

        With `displaces` each group that is at the limit gives up as many unread entries of lower
        classes, the oldest of the lowest class first, if there are so many: they become dead
        letters, and the group's cursor moves past them. Other groups read them all the same.
        """

    async def append_held(
        self,
        topic_keys: TopicKeys,
        batch: Sequence[Fields],
        keep: int,
        change: HeldChange,
    ) -> list[str] | None:
        """Append to a topic with one stream and change a value, in one step; None for neither.

        Neither is done where the lease is another's, or the value is not the expected one. The
        topic, the lease and the value must share a hash tag on a cluster.
        """

    async def schedule(
        self,
        topic_keys: TopicKeys,
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

    def length(self, topic_keys: TopicKeys, stream: int) -> int:
        """How long the stream is, as far as our own appends know; asks no server."""

    async def measure(self, topic_keys: TopicKeys, stream: int) -> int:
        """How long the stream is now."""

    async def find(
        self, topic_keys: TopicKeys, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """The entry id of each event among entries added since then.

        SCHEDULED for one that waits for its time, an empty string for one that is not there.
        """

    async def ensure_group(self, topic_keys: TopicKeys, group: str) -> list[Recreated]:
        """Create the group on each stream where it is not.

        It starts at the first entry, or, where it had been before, after all that it had finished
        when `trim` last saved that. Returns the latter.
        """

    async def take(
        self, topic_keys: TopicKeys, group: str, consumer: str, count: int, *, adoption: str = ""
    ) -> Taken:
        """Move what is due, then take new entries within one budget; makes a lost group again.

        What is due stays delayed while the server has no memory for it. With the name of
        an adoption nothing is done unless it is the last one.
        """

    async def adopt(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        fence: int,
        adoption: str,
        count: int,
    ) -> list[Entry] | None:
        """Take all that any consumer holds of a shard, oldest first; None when it is another's.

        From now on only calls that name this adoption are given entries: what the server executes
        late, for a caller that has given up, takes nothing.
        """

    async def wait(self, topic_keys: TopicKeys, last_ids: Sequence[str], block_ms: int) -> None:
        """Return when a stream has more than `last_ids`, or after `block_ms`."""

    async def take_or_wait(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        count: int,
        block_ms: int,
        stopped: asyncio.Future[Any],
    ) -> list[Entry]:
        """Take what comes within `block_ms`, of a topic with one stream; at once if `stopped`."""

    async def settle(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[Settled]:
        """Ack, and write what follows from failures; for each failure what became of it."""

    async def reclaim(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        least_idle_ms: int,
        count: int,
        *,
        adoption: str = "",
    ) -> list[Entry]:
        """Take over what was not renewed for so long; nothing after another adoption."""

    async def renew(
        self, topic_keys: TopicKeys, group: str, consumer: str, held: Mapping[Held, int]
    ) -> list[Held]:
        """Renew leases; returns what is not ours any more.

        Args:
            topic_keys: of the topic.
            group: whose entries.
            consumer: which holds them.
            held: the entries with their deliveries, or 0 where the lease may have run out. What
                no consumer has although its lease holds is taken back: our name was deleted.
        """

    async def release(
        self,
        topic_keys: TopicKeys,
        group: str,
        consumer: str,
        held: Sequence[Held],
        *,
        all_but: bool = False,
    ) -> int:
        """Give back these entries (or all but these) at once; returns how many."""

    async def forget(self, topic_keys: TopicKeys, group: str, consumer: str) -> None:
        """Delete the consumer's name where it holds nothing."""

    async def own(self, topic_keys: TopicKeys, group: str, consumer: str, lease_ms: int) -> int:
        """Become or stay the owner of a shard; returns its fence, 0 when another owns it."""

    async def disown(self, topic_keys: TopicKeys, group: str, consumer: str) -> None:
        """Let a shard go."""

    async def join(
        self, topic_keys: TopicKeys, group: str, consumer: str, lease_ms: int
    ) -> list[str]:
        """Say that a consumer is there (leaves, with a lease of 0); returns all that are."""

    async def group_state(self, topic_keys: TopicKeys, group: str) -> GroupState:
        """Where the group stands."""

    async def peek(self, topic_keys: TopicKeys, group: str, count: int) -> list[Entry]:
        """The entries the group would be given next, untouched."""

    async def trim(self, topic_keys: TopicKeys, keep: int, group: str = "") -> int:
        """Housekeeping, every few seconds: returns how many entries were dropped.

        Drops what every group of the topic_keys has finished, but keeps the newest `keep` of each
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

    async def dead_count(self, topic_keys: TopicKeys) -> int:
        """How many dead letters there are."""

    async def remove_dead(self, topic_keys: TopicKeys, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many there were."""

    async def redrive(
        self, topic_keys: TopicKeys, dead_id: str, stream: int, fields: Fields
    ) -> str:
        """Replace a dead letter by `fields` in a stream; an empty string when it was gone."""
