"""What runs again and again until the drain: one function a task."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from streamdesk.order_executor.application.carry_out_requests import RequestedActions
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.follow_rates import RatesFile
from streamdesk.order_executor.application.heed_halt_file import LeftHalts
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.application.publish_outbox import LAST_FLUSH_SECONDS, OutboxPublisher
from streamdesk.order_executor.application.reconcile import Reconciliation
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.errors import (
    BrokerContradictionError,
    BrokerUnavailableError,
    ClockOffError,
    DatabaseError,
    OutcomeUnknownError,
)
from streamdesk.runtime import Drain, logger

log = logger(__name__)
FIRST_RETRY_SECONDS = 0.25
SOON_SECONDS = 1.0
NOT_YET_SECONDS = 0.5
"""How often a check that is not wanted yet is considered again."""

PROTECTION_SECONDS = 0.5
"""How often crossings that could not be acted upon are tried again."""


RATES_SECONDS = 10.0
"""How often the file of rates is looked at: it changes once a day as a rule."""
REQUESTS_SECONDS = 0.5
"""How often what a person asks is looked for."""


RESOLVED_BY_WAITING = BrokerUnavailableError, OutcomeUnknownError, ClockOffError, DatabaseError


async def keep_reconciled(
    reconciliation: Reconciliation, gate: TradingGate, interval_seconds: float, drain: Drain
) -> None:
    """Reconcile at once, then every interval, and right after the gate was closed.

    Where the gate closes again as soon as it was opened, as on a disk that is nearly full, the
    pauses grow as after a failure.
    """
    failures = 0
    while not drain.requested.is_set():
        try:
            # While the gate is closed all orders count, also those just made by others: one of
            # them may be the reason.
            untouched = interval_seconds if gate.is_open else 0.0
            done = await reconciliation.reconcile(untouched)
            if done.orders or done.trades:
                log.info("reconciled", orders=done.orders, trades=done.trades)
            opened_at = time.monotonic()
            await _pause(gate, interval_seconds, 0, drain)
            closes_soon = not gate.is_reconciled and time.monotonic() - opened_at < SOON_SECONDS
            failures = failures + 1 if closes_soon else 0
        except RESOLVED_BY_WAITING as error:
            failures += 1
            if failures == 1:
                log.warning("reconciliation failed", error=str(error))
            gate.close(f"reconciliation failed: {error}")
        except BrokerContradictionError:
            failures += 1
            if failures == 1:
                log.exception("broker contradicts the ledger")
        if failures:
            await _pause(gate, interval_seconds, failures, drain)


async def _pause(gate: TradingGate, interval_seconds: float, failures: int, drain: Drain) -> None:
    if failures:
        backoff = FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10)
        await drain.sleep(min(interval_seconds, backoff))
        return
    waits = {
        asyncio.create_task(drain.requested.wait()),
        asyncio.create_task(gate.closed.wait()),
    }
    try:
        await asyncio.wait(waits, timeout=interval_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def keep_protected(protection: Protection, left_halts: LeftHalts, drain: Drain) -> None:
    """Act on crossings that had to wait, and value the portfolio; halt if a halt was left."""
    while not await drain.sleep(PROTECTION_SECONDS):
        with contextlib.suppress(DatabaseError):  # the database has logged it
            await left_halts.heed()
            await protection.leave_crossed()
            await protection.value()


async def keep_requested(requested: RequestedActions, drain: Drain) -> None:
    """Carry out what a person asks of all executors."""
    while not await drain.sleep(REQUESTS_SECONDS):
        with contextlib.suppress(DatabaseError):  # the database has logged it
            await requested.carry_out()


async def keep_published(publisher: OutboxPublisher, drain: Drain) -> None:
    """Publish until the drain; what is left then is for `OutboxPublisher.close`."""
    stopping = asyncio.create_task(drain.requested.wait())
    try:
        while not drain.requested.is_set():
            step = asyncio.create_task(publisher.publish_or_wait())
            await asyncio.wait({step, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                # A publish may wait long for a server that is unreachable.
                await asyncio.wait({step}, timeout=LAST_FLUSH_SECONDS)
                step.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await step
    finally:
        stopping.cancel()


async def keep_rates(file: RatesFile, drain: Drain) -> None:
    """Look whether the file of rates has changed."""
    while not await drain.sleep(RATES_SECONDS):
        with contextlib.suppress(DatabaseError):  # the database has logged it
            await file.follow()


async def keep_checked(
    check: BookCheck, is_wanted: Callable[[], bool], interval_seconds: float, drain: Drain
) -> None:
    """Check the books as soon as it is wanted, and every interval.

    Args:
        check: the check.
        is_wanted: whether the books can be checked now: not before they were reconciled.
        interval_seconds: between two checks.
        drain: ends it.
    """
    pause = 0.0
    while not await drain.sleep(pause):
        pause = NOT_YET_SECONDS
        if is_wanted():
            try:
                await check.check()
            except (BrokerUnavailableError, OutcomeUnknownError, DatabaseError) as error:
                log.warning("books not checked", error=str(error))
            pause = interval_seconds
