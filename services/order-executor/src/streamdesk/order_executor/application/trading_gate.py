"""Whether signals are decided: not at start, nor while anything about our orders is unknown."""

import asyncio

from streamdesk.runtime import logger, metrics

log = logger(__name__)


class TradingGate:
    """Closed until the first reconciliation, and whenever an order's outcome is unknown.

    While it is closed no signal is decided: signals wait in the queue, by priority.
    """

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self.closed = asyncio.Event()
        self.closed.set()
        self.reason = "not reconciled with the broker yet"
        self.times_closed = 0
        metrics.TRADING_BLOCKED.set(1)

    @property
    def is_open(self) -> bool:
        """Whether signals are decided."""
        return self._open.is_set()

    def close(self, reason: str) -> None:
        """Stop deciding; the next reconciliation opens again."""
        self.times_closed += 1
        self.reason = reason
        if self.is_open:
            log.warning("trading blocked", reason=reason)
        self._open.clear()
        self.closed.set()
        metrics.TRADING_BLOCKED.set(1)

    def open(self, closed_before: int) -> bool:
        """Resume deciding, unless it was closed again since.

        Args:
            closed_before: `times_closed` before the reconciliation began.
        """
        # Closed in the meantime: the reconciliation may not have seen the reason.
        if closed_before != self.times_closed:
            return False
        if not self.is_open:
            log.info("trading open")
        self.reason = ""
        self.closed.clear()
        self._open.set()
        metrics.TRADING_BLOCKED.set(0)
        return True

    async def wait_open(self) -> None:
        """Wait until signals are decided."""
        await self._open.wait()
