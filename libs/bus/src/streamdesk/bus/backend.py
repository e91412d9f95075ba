"""What the bus needs of a server: small, atomic steps.

Two implementations pass the same tests: `backend_redis` and `backend_memory`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from streamdesk.bus.envelope import Fields
from streamdesk.bus.layout import Layout

Held = tuple[int, str]
"""An entry in hand: position of its stream in the layout, entry id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream entry that was handed out."""

    stream: int
    id: str
    fields: Fields
    deliveries: int = 1

    @property
    def held(self) -> Held:
        """What names it in later calls."""
        return (self.stream, self.id)


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a take.

    Args:
        entries: highest class first, in order of arrival inside a class.
        next_due_ms: time until a delayed message comes back; None without any.
        last_ids: each stream's last id, when nothing was taken: where to wait.
    """

    entries: list[Entry]
    next_due_ms: int | None
    last_ids: list[str]


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


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a group stands, summed over the topic's classes."""

    length: int
    waiting: int
    pending: int
    delayed: int
    consumers: int
    oldest_pending_ms: int | None
    added: int


class Backend(Protocol):
    """A server of streams. Every call raises BusUnavailableError when it does not answer."""

    async def close(self) -> None:
        """Give back all connections."""

    async def drop_idle(self) -> None:
        """Close the connections that no call uses; never raises."""

    async def ping(self) -> None:
        """Return when the server answers."""

    async def now_ms(self) -> int:
        """The server's clock."""

    async def append(
        self, layout: Layout, stream: int, batch: Sequence[Fields], keep: int | None
    ) -> list[str]:
        """Append entries, without a limit; `keep` bounds the stream's length, roughly."""

    async def append_within(
        self, layout: Layout, stream: int, batch: Sequence[Fields], limit: int
    ) -> list[str]:
        """Append all or nothing; raises QueueFullError at the limit."""

    async def find(
        self, layout: Layout, stream: int, since_ms: int, event_ids: Sequence[str]
    ) -> list[str]:
        """The entry id of each event among entries added since then, or an empty string."""

    async def ensure_group(self, layout: Layout, group: str) -> None:
        """Create the group at the first entry, on each stream, unless it is there."""

    async def take(self, layout: Layout, group: str, consumer: str, count: int) -> Taken:
        """Move due delayed messages, then take new entries within one budget."""

    async def wait(self, layout: Layout, last_ids: Sequence[str], block_ms: int) -> None:
        """Return when a stream has more than `last_ids`, or after `block_ms`."""

    async def settle(
        self,
        layout: Layout,
        group: str,
        consumer: str,
        acks: Iterable[Held],
        failures: Sequence[Failure],
    ) -> list[bool]:
        """Ack, and write what follows from failures; for each failure whether it was still ours."""

    async def reclaim(
        self, layout: Layout, group: str, consumer: str, least_idle_ms: int, count: int
    ) -> list[Entry]:
        """Take over what nobody renewed for so long."""

    async def renew(
        self, layout: Layout, group: str, consumer: str, held: Sequence[Held]
    ) -> list[Held]:
        """Renew leases; returns what is not ours any more."""

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

    async def standing(self, layout: Layout, group: str) -> Standing:
        """Where the group stands."""

    async def peek(self, layout: Layout, group: str, count: int) -> list[Entry]:
        """The entries the group would be given next, untouched."""

    async def trim(self, layout: Layout, keep: int) -> int:
        """Drop what every group finished, but keep the newest; returns how many were dropped."""

    async def last_ids(self, keys: Sequence[str]) -> list[str]:
        """Each stream's last id, `0-0` where it does not exist."""

    async def read(
        self, cursors: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, Fields]]:
        """Entries after each stream's cursor (key, id, fields), waiting up to `block_ms`."""

    async def dead_letters(self, layout: Layout, count: int) -> list[tuple[str, Fields]]:
        """The oldest dead letters."""

    async def dead_count(self, layout: Layout) -> int:
        """How many dead letters there are."""

    async def remove_dead(self, layout: Layout, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many there were."""

    async def redrive(self, layout: Layout, dead_id: str, stream: int, fields: Fields) -> str:
        """Replace a dead letter by `fields` in a stream; an empty string when it was gone."""
