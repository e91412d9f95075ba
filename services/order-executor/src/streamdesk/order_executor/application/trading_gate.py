"""Whether signals are decided: not while anything about orders is unknown or does not add up."""

import asyncio

from streamdesk.runtime import logger, metrics

log = logger(__name__)


class TradingGate:
    """Closed until the first reconciliation, and whenever an order's outcome is unknown.

    While it is closed no signal is decided: signals wait in the queue, by priority. It opens with
    the next reconciliation, but not while it is held: the check that holds it must release it.
    """

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self.closed = asyncio.Event()
        self.closed.set()
        self._closed_because = "not reconciled with the broker yet"
        self._held_because = ""
        self.times_closed = 0
        metrics.TRADING_BLOCKED.set(1)

    @property
    def is_open(self) -> bool:
        """Whether signals are decided."""
        return self._open.is_set()

    @property
    def is_reconciled(self) -> bool:
        """Whether nothing about our orders is unknown; it may be held all the same."""
        return not self.closed.is_set()

    @property
    def reason(self) -> str:
        """Why signals are not decided; empty when they are."""
        return self._held_because or self._closed_because

    def close(self, reason: str) -> None:
        """Stop deciding; the next reconciliation opens again."""
        self.times_closed += 1
        self._closed_because = reason
        self.closed.set()
        self._update()

    def open(self, closed_before: int) -> bool:
        """Resume deciding, unless it was closed again since, or is held.

        Args:
            closed_before: `times_closed` before the reconciliation began.
        """
        # Closed in the meantime: the reconciliation may not have seen the reason.
        if closed_before != self.times_closed:
            return False
        self._closed_because = ""
        self.closed.clear()
        self._update()
        return self.is_open

    def hold(self, reason: str) -> None:
        """Stop deciding until `release`, whatever is reconciled meanwhile."""
        self._held_because = reason
        self._update()

    def release(self) -> None:
        """End what `hold` began."""
        self._held_because = ""
        self._update()

    def _update(self) -> None:
        is_blocked = bool(self.reason)
        if is_blocked and self.is_open:
            log.warning("trading blocked", reason=self.reason)
        elif not is_blocked and not self.is_open:
            log.info("trading open")
        if is_blocked:
            self._open.clear()
        else:
            self._open.set()
        metrics.TRADING_BLOCKED.set(is_blocked)

    async def wait_open(self) -> None:
        """Wait until signals are decided."""
        await self._open.wait()
