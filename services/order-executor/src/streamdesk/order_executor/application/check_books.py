"""Recomputes the books regularly, and compares them with the broker's records."""

import asyncio
from collections.abc import Awaitable, Callable

from streamdesk.order_executor.adapters.ledger.audit import Discrepancy, Findings
from streamdesk.runtime import logger, metrics

log = logger(__name__)
SECOND_LOOK_SECONDS = 5.0
MAX_LOGGED = 5

Verify = Callable[[], Awaitable[Findings]]


class BookCheck:
    """A regular audit of the ledger.

    A trade that is booked between two readings looks like a difference, so only what is there
    at two looks, in the same figure and by the same amount, counts as one.

    Args:
        ledger: compares the ledger with what follows from its own fills.
        broker: compares it with the broker's records as well.
        second_look_seconds: between the two looks of one check.
    """

    def __init__(
        self,
        ledger: Verify,
        broker: Verify,
        second_look_seconds: float = SECOND_LOOK_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._second_look_seconds = second_look_seconds
        self._reported: frozenset[str] = frozenset()

    async def check(self) -> tuple[list[Discrepancy], list[Discrepancy]]:
        """Once: what does not add up in the ledger, and what differs from the broker's records.

        Raises:
            DatabaseError: a database is unavailable; the figures stay as they were.
        """
        own = await self._lasting(self._ledger)
        both = await self._lasting(self._broker)
        broker = [item for item in both if item not in own]
        metrics.LEDGER_DISCREPANCIES.set(len(own))
        metrics.BROKER_DISCREPANCIES.set(len(broker))
        self._report(own, broker)
        return own, broker

    async def _lasting(self, verify: Verify) -> list[Discrepancy]:
        first = await verify()
        if not first:
            return []
        await asyncio.sleep(self._second_look_seconds)
        second = await verify()
        return [item for item in first if item in second]

    def _report(self, own: list[Discrepancy], broker: list[Discrepancy]) -> None:
        """Log what is new, and when the books agree again."""
        now = frozenset(str(item) for item in (*own, *broker))
        if now - self._reported:
            shown = sorted(now)[:MAX_LOGGED]
            log.error("the books differ", ledger=len(own), broker=len(broker), first=shown)
        elif self._reported and not now:
            log.info("the books agree again")
        self._reported = now
