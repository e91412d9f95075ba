"""From the outbox to the bus: every event that happened, in order; the topics ignore repeats."""

import asyncio
import contextlib
from itertools import groupby

from streamdesk.bus import Bus, BusUnavailableError
from streamdesk.contracts.topics import BY_NAME
from streamdesk.order_executor.adapters.ledger.outbox import Outbox, OutboxRow
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.runtime import logger, metrics

log = logger(__name__)
BATCH = 200
POLL_SECONDS = 0.1
"""How soon events of other executors are published."""

GATHER_SECONDS = 0.02
"""How long an event waits for those that follow it: a batch costs the ledger a transaction, and an
order makes some six events in three steps."""

FOLLOWER_POLL_SECONDS = 0.5
"""How often an executor that does not publish looks whether it must; its own commits are no reason
to look sooner."""

LAST_FLUSH_SECONDS = 1.0


class OutboxPublisher:
    """Publishes what the ledger's transactions have put into the outbox.

    Args:
        outbox: committed events.
        bus: where they go.
        keys: Redis key of topics that have another than the default, by topic name.
    """

    def __init__(self, outbox: Outbox, bus: Bus, keys: dict[str, str] | None = None) -> None:
        self._outbox = outbox
        self._bus = bus
        self._topics = {
            name: topic.configured(key=(keys or {}).get(name)) for name, topic in BY_NAME.items()
        }
        self._committed = asyncio.Event()

    def announce(self) -> None:
        """Publish soon: something was committed."""
        self._committed.set()

    async def publish_or_wait(self) -> None:
        """Publish once, and wait until there may be more."""
        self._committed.clear()
        try:
            leads = await self._outbox.take_lead()
            done = await self.publish_some() if leads else 0
        except BusUnavailableError as error:
            log.warning("events wait in the outbox", error=str(error))
            leads, done = True, 0
        except DatabaseError:  # the database has logged it
            leads, done = False, 0
        if not leads:
            await asyncio.sleep(FOLLOWER_POLL_SECONDS)
        elif done < BATCH:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._committed.wait()
                    await asyncio.sleep(GATHER_SECONDS)

    async def publish_some(self) -> int:
        """Publish the oldest events and note that; returns how many.

        Raises:
            BusUnavailableError: the server is unreachable; they stay in the outbox.
        """
        entries = await self._outbox.unpublished(BATCH)
        metrics.OUTBOX_BACKLOG.set(len(entries))
        for name, run in groupby(entries, key=lambda entry: entry.topic):
            await self._publish(name, list(run))
        if entries:
            # Once for all: if this process dies before, the topics ignore those that come again.
            await self._outbox.published(entries)
        return len(entries)

    async def _publish(self, name: str, entries: list[OutboxRow]) -> None:
        topic = self._topics[name]
        events = [topic.decode(item.type, item.version, item.body.encode()) for item in entries]
        await self._bus.publish_many(
            topic,
            events,
            event_ids=[item.event_id for item in entries],
            causes=[item.traceparent or "" for item in entries],
        )

    async def close(self) -> None:
        """Publish what is left, if the server is reachable, and let another executor lead."""
        try:
            async with asyncio.timeout(LAST_FLUSH_SECONDS):
                while await self._outbox.take_lead() and await self.publish_some():
                    pass
        except (TimeoutError, BusUnavailableError, DatabaseError) as error:
            log.warning("events stay in the outbox", error=repr(error))
        with contextlib.suppress(DatabaseError):
            await self._outbox.give_up_lead()
