"""An audit that reads everything once, and afterwards only what came since.

It reads in short transactions, so that neither writers nor the write-ahead log wait for it, and
computes in a thread. Nothing that happens meanwhile looks like a difference: fills are only ever
added, the figures that they add up to are read in the transaction that finds no more fills, an
order is read together with its fills, and the broker is asked about an order after it was read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping

from streamdesk.order_executor.adapters.broker_records import BrokerRecords
from streamdesk.order_executor.adapters.ledger.audit import (
    actions,
    broker_reports,
    orders,
    replay,
    signals,
)
from streamdesk.order_executor.adapters.ledger.audit.findings import Discrepancy, Findings
from streamdesk.order_executor.adapters.ledger.audit.replay import Recomputed
from streamdesk.order_executor.adapters.ledger.audit.snapshot import (
    Snapshot,
    check_money,
    snapshot,
)
from streamdesk.order_executor.adapters.ledger.ledger import Ledger
from streamdesk.trading.identity import entry_of_leg, is_ours

A = TypeVar("A")
T = TypeVar("T")
FULL_CHECK_SECONDS = 86_400.0
"""How often everything is read again: a figure of an old order may be changed in the database."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check found.

    Attributes:
        ledger: figures that do not follow from the ledger's own fills.
        broker: figures that differ from the broker's records.
        is_full: everything was read, not only what came since the last check.
    """

    ledger: Findings
    broker: Findings
    is_full: bool

    @property
    def findings(self) -> list[Discrepancy]:
        """All of them."""
        return [*self.ledger, *self.broker]


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """Where a clean check ended.

    Attributes:
        replay: what the fills added up to.
        live: orders that were not done.
        position: how far the broker's orders were read.
    """

    replay: Recomputed = field(default_factory=Recomputed)
    live: frozenset[str] = frozenset()
    position: int = 0


class BookAudit:
    """Recomputes a ledger from its fills and compares it with the broker's records.

    Only a check that finds nothing leaves a checkpoint, in memory; the next one begins there.
    Everything is read at the first check, after a finding, and once a day.

    Args:
        ledger: the ledger.
        broker: the broker's records; None compares the ledger with itself alone.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        ledger: Ledger,
        broker: BrokerRecords | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._clock = clock
        self._checkpoint: _Checkpoint | None = None
        self._full_at = float("-inf")

    async def check(self) -> Checked:
        """Check once.

        Raises:
            DatabaseError, BrokerUnavailableError, OutcomeUnknownError: something could not be
                read; the next check reads everything.
        """
        began_at, checkpoint = self._clock(), self._checkpoint
        if began_at - self._full_at >= FULL_CHECK_SECONDS:
            checkpoint = None
        self._checkpoint = None
        round_ = _Round(self._ledger, self._broker, checkpoint)
        reached = await round_.run()
        if not round_.found.findings:
            self._checkpoint = reached
            if round_.found.is_full:
                self._full_at = began_at
        return round_.found


async def verify(ledger: Ledger, broker: BrokerRecords | None = None) -> list[Discrepancy]:
    """What a check of everything finds."""
    return (await BookAudit(ledger, broker).check()).findings


class _Round:
    """One check."""

    def __init__(
        self, ledger: Ledger, broker: BrokerRecords | None, checkpoint: _Checkpoint | None
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._start = checkpoint or _Checkpoint()
        self._replay = self._start.replay.copy()
        self.found = Checked(Findings(), Findings(), is_full=checkpoint is None)
        # Of a check of everything: shares that the fills of each order add up to.
        self._totals: dict[str, int] = {}
        # Of any other: orders to look at, what was live and what came since.
        self._changed = set(self._start.live)

    async def run(self) -> _Checkpoint:
        position = await self._brokers_orders()
        kept = await self._fills()
        check_money(self._replay, kept, self.found.ledger)
        if self.found.is_full:
            await self._every_order()
        else:
            self._changed |= kept.live
            await self._changed_orders()
        return _Checkpoint(self._replay, kept.live, position)

    async def _brokers_orders(self) -> int:
        """Look for orders at the broker that the ledger does not have."""
        position = self._start.position
        if self._broker is None:
            return position
        while True:
            ids, position = await self._broker.order_ids_after(position)
            if not ids:
                return position
            known = await self._read(orders.known_orders, ids)
            # A stop that the broker holds enters the ledger with its first trade.
            legs = [name for name in ids if name not in known and entry_of_leg(name)]
            traded = {r.client_order_id for r in await self._broker.reports_of(legs) if r.trades}
            for order_id in ids:
                # A person settles the orders that no desk made.
                is_missing = order_id not in known and is_ours(order_id)
                if is_missing and (entry_of_leg(order_id) is None or order_id in traded):
                    what = f"broker's order {order_id}"
                    self.found.broker.append(Discrepancy(what, "none", "at the broker"))
            if not self.found.is_full:
                self._changed |= known

    async def _fills(self) -> Snapshot:
        """Recomputed the fills that are new, and take the figures they must add up to."""
        while True:
            fills, found, kept = await self._read(self._next_fills, self._replay)
            await asyncio.to_thread(self._absorb, fills, found)
            if kept is not None:
                return kept

    def _next_fills(
        self, connection: Connection, reached: Recomputed
    ) -> tuple[Sequence[Any], Sequence[RowMapping], Snapshot | None]:
        fills = replay.fills_after(connection, reached.booking)
        found = actions.actions_after(connection, reached.action)
        if len(fills) == replay.SLICE:
            # Those of the last fill's number may come before a fill that is not read yet.
            return fills, [row for row in found if row["booking"] < fills[-1][0]], None
        entries = {held.entry_order_id for held in self._replay.held.values()}
        entries |= {row[2] for row in fills}
        return fills, found, snapshot(connection, self._ledger.rates, entries)

    def _absorb(self, fills: Sequence[Any], found: Sequence[RowMapping]) -> None:
        actions.absorb(self._replay, fills, found, self.found.ledger)
        if self.found.is_full:
            for _, _, order_id, quantity, *_ in fills:
                self._totals[order_id] = self._totals.get(order_id, 0) + quantity
        else:
            self._changed.update(row[2] for row in fills)

    async def _every_order(self) -> None:
        last = ""
        while page := await self._read(orders.orders_after, last):
            last = page[-1][0]
            # An order may have been filled since its fills were read: it is read again with them.
            differing = await asyncio.to_thread(orders.check_orders, page, self._totals, Findings())
            await self._check_orders(differing)
        last = ""
        while (found := await self._read(signals.untaken_after, last)) is not None:
            last, untaken = found
            for signal_id in untaken:
                self.found.ledger.append(Discrepancy(f"signal {signal_id}", "an order", "none"))
        last = ""
        while self._broker and (seen := await self._read(broker_reports.slice_after, last)).orders:
            last = seen.ids[-1]
            await self._compare(self._broker, seen)

    async def _changed_orders(self) -> None:
        await self._check_orders(self._changed)
        if self._broker is not None:
            for ids in _parts(self._changed, broker_reports.SLICE):
                await self._compare(self._broker, await self._read(broker_reports.slice_of, ids))

    async def _check_orders(self, client_order_ids: Iterable[str]) -> None:
        for ids in _parts(client_order_ids, orders.SLICE):
            page, totals = await self._read(orders.orders_with_totals, ids)
            orders.check_orders(page, totals, self.found.ledger)

    async def _compare(self, broker: BrokerRecords, seen: broker_reports.Slice) -> None:
        reports = await broker.reports_of(seen.ids)
        findings = self.found.broker
        missing = await asyncio.to_thread(broker_reports.compare, seen, reports, findings)
        if missing:
            fills = await self._read(broker_reports.fills_of, missing)
            broker_reports.note_missing(missing, fills, findings)

    async def _read(self, work: Callable[[Connection, A], T], argument: A) -> T:
        return await self._ledger.database.read(lambda connection: work(connection, argument))


def _parts(items: Iterable[str], size: int) -> Iterable[list[str]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
