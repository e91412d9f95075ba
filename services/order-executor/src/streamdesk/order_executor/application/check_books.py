"""Checks the books regularly, and stops trading while they differ."""

import asyncio
import time
from typing import Protocol

from streamdesk.order_executor.adapters.ledger.audit import Checked, Discrepancy
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.runtime import logger, metrics

log = logger(__name__)
SECOND_LOOK_SECONDS = 5.0
MAX_LOGGED = 5


class Audit(Protocol):
    """Compares the books; after a finding it reads everything."""

    async def check(self) -> Checked:
        """Once."""


class BookCheck:
    """A regular audit of the ledger. What it finds holds the trading gate until nothing is found.

    Only what two looks in a row find counts: it stops trading.

    Args:
        audit: compares the ledger with itself and with the broker's records.
        gate: held while the books differ.
        second_look_seconds: between the two looks of one check.
    """

    def __init__(
        self, audit: Audit, gate: TradingGate, second_look_seconds: float = SECOND_LOOK_SECONDS
    ) -> None:
        self._audit = audit
        self._gate = gate
        self._second_look_seconds = second_look_seconds
        self._reported: frozenset[str] = frozenset()

    async def check(self) -> tuple[list[Discrepancy], list[Discrepancy]]:
        """Once: what does not add up in the ledger, and what differs from the broker's records.

        Raises:
            DatabaseError, BrokerUnavailableError, OutcomeUnknownError: something could not be
                read; gate and figures stay as they were.
        """
        began_at = time.monotonic()
        found = await self._audit.check()
        metrics.BOOK_CHECK_DURATION.set(time.monotonic() - began_at)
        ledger, broker = await self._lasting(found) if found.findings else ([], [])
        metrics.BOOK_CHECK_TIME.set_to_current_time()
        metrics.LEDGER_DISCREPANCIES.set(len(ledger))
        metrics.BROKER_DISCREPANCIES.set(len(broker))
        self._report(ledger, broker)
        return ledger, broker

    async def _lasting(self, first: Checked) -> tuple[list[Discrepancy], list[Discrepancy]]:
        await asyncio.sleep(self._second_look_seconds)
        second = await self._audit.check()
        # By name: trading continues between the looks, so the amounts of a real difference change.
        ledger = {item.what for item in first.ledger}
        broker = {item.what for item in first.broker}
        return (
            [item for item in second.ledger if item.what in ledger],
            [item for item in second.broker if item.what in broker],
        )

    def _report(self, ledger: list[Discrepancy], broker: list[Discrepancy]) -> None:
        """Hold or release the gate; log what is new, and when the books agree again."""
        both = [*ledger, *broker]
        now = frozenset(str(item) for item in both)
        if now - self._reported:
            shown = [str(item) for item in both[:MAX_LOGGED]]
            log.error("the books differ", ledger=len(ledger), broker=len(broker), first=shown)
        elif self._reported and not now:
            log.info("the books agree again")
        untrusted = [item for item in both if item.stops_trading]
        if untrusted:
            self._gate.hold(f"the books differ: {untrusted[0]}")
        else:
            self._gate.release()
        self._reported = now
