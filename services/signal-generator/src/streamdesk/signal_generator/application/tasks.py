"""Tasks of this service as the page shows them: begun, so far done, ended."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from streamdesk.contracts.base import Event
from streamdesk.contracts.events import StockIndicatorsCompleted, TaskCompleted, TaskProgressed

STEPS = 20
"""Most reports of progress of a task, so that a long recording does not flood the page."""


class Task:
    """One run of something that takes a while.

    Args:
        name: what it is, as in warm-up.
        task_id: unique.
        total: steps in all.
        publish: writes an event to the bus.
        clock: tells the time.
    """

    def __init__(
        self,
        name: str,
        task_id: str,
        total: int,
        publish: Callable[[Event], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._task_id = task_id
        self._total = total
        self._publish = publish
        self._clock = clock
        self._began = clock()
        self._told = -1
        self.done = 0

    async def advance(self, steps: int, message: str = "") -> None:
        """`steps` more are done; 0 tells that it begins."""
        self.done += steps
        twentieth = self.done * STEPS // max(1, self._total)
        if twentieth == self._told:
            return
        self._told = twentieth
        await self._publish(
            TaskProgressed(
                task_id=self._task_id,
                timestamp=self._clock(),
                name=self._name,
                done=min(self.done, self._total),
                total=self._total,
                message=message,
            )
        )

    async def stock(self, symbol: str, indicators: dict[str, float]) -> None:
        """The indicators of one instrument are computed."""
        await self._publish(
            StockIndicatorsCompleted(
                task_id=self._task_id,
                timestamp=self._clock(),
                symbol=symbol,
                indicators=indicators,
            )
        )

    async def end(self, message: str, *, succeeded: bool = True) -> None:
        """It is over."""
        now = self._clock()
        await self._publish(
            TaskCompleted(
                task_id=self._task_id,
                timestamp=now,
                name=self._name,
                succeeded=succeeded,
                duration_seconds=max(0.0, (now - self._began).total_seconds()),
                message=message,
            )
        )
