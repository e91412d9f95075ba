"""Events that are committed and not yet published.

Only one process publishes, in the order of the commits. It holds a lease for that; when it dies,
another takes over after the lease has run out. What it had published and not noted is published
again, with the same id, as is the batch of one that stalled for longer than its lease: noting waits
for the ledger's one writer. The topics ignore an event id that comes again within a day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger.schema import LEASES, OUTBOX

LEASE = "outbox"
_LEASE = select(LEASES).where(LEASES.c.name == LEASE)
_PUBLISHED = update(OUTBOX).where(OUTBOX.c.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event to publish.

    Attributes:
        id: position in the outbox.
        event_id: the event's own id, always the same.
        topic: name of its topic.
        type, version, body: the event.
        traceparent: the span in which it happened; None where nothing was traced.
    """

    id: int
    event_id: str
    topic: str
    type: str
    version: int
    body: str
    traceparent: str | None


_UNPUBLISHED = (
    select(*(OUTBOX.c[name] for name in OutboxRow.__slots__))
    .where(OUTBOX.c.published_at.is_(None))
    .order_by(OUTBOX.c.id)
    .limit(bindparam("most"))
)


class Outbox:
    """The outbox of one ledger.

    Args:
        database: the ledger's.
        owner: name of this process, unique.
        lease_seconds: how long nothing is published after the publishing process died.
        keep: how many published events stay readable.
        clock: gives the time; processes that share a ledger must agree on it to a second or so.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        lease_seconds: float,
        keep: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owner = owner
        self._lease = timedelta(seconds=lease_seconds)
        self._keep = keep
        self._clock = clock

    async def take_lead(self) -> bool:
        """Become, or stay, the one that publishes; False while another one is."""
        now = self._clock()

        def look(connection: Connection) -> bool | None:
            row = connection.execute(_LEASE).mappings().first()
            if row is None or row["until"] <= now:
                return None
            if row["owner"] != self._owner:
                return False
            # Renewing at half time keeps the lease without a write for each look.
            return True if row["until"] - now > self._lease / 2 else None

        def take(connection: Connection) -> bool:
            # Another process may have taken it since the look outside this transaction.
            if look(connection) is False:
                return False
            connection.execute(delete(LEASES).where(LEASES.c.name == LEASE))
            values = {"name": LEASE, "owner": self._owner, "until": now + self._lease}
            connection.execute(insert(LEASES).values(**values))
            self._prune(connection)
            return True

        mine = await self._database.read(look)
        return await self._database.write(take) if mine is None else mine

    def _prune(self, connection: Connection) -> None:
        newest = connection.execute(select(func.max(OUTBOX.c.id))).scalar() or 0
        connection.execute(
            delete(OUTBOX).where(
                OUTBOX.c.published_at.is_not(None), OUTBOX.c.id <= newest - self._keep
            )
        )

    async def give_up_lead(self) -> None:
        """Let another process publish at once."""
        mine = (LEASES.c.name == LEASE) & (LEASES.c.owner == self._owner)

        def work(connection: Connection) -> None:
            connection.execute(delete(LEASES).where(mine))

        await self._database.write(work)

    async def unpublished(self, limit: int) -> list[OutboxRow]:
        """The oldest events that are not known to be published."""
        return await self._database.read(
            lambda connection: [
                OutboxRow(*row) for row in connection.execute(_UNPUBLISHED, {"most": limit})
            ]
        )

    async def published(self, entries: list[OutboxRow]) -> None:
        """Note that these are published."""
        ids, now = [entry.id for entry in entries], self._clock()

        def work(connection: Connection) -> None:
            connection.execute(_PUBLISHED, {"ids": ids, "published_at": now})

        await self._database.write(work)

    async def backlog(self) -> int:
        """How many events wait."""
        query = select(func.count()).where(OUTBOX.c.published_at.is_(None))
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())
