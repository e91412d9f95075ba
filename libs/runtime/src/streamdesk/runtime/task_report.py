"""Progress of a long task as events: begun, done so far, completed."""

from collections.abc import Callable
from datetime import datetime

from streamdesk.contracts.events import StockIndicatorsCompleted, TaskCompleted, TaskProgressed


class TaskReport:
    """One run of a task. Every method returns the event to publish; the caller publishes it.

    Args:
        name: what the task is, as in warm-up.
        task_id: unique.
        total: steps of the task.
        clock: the time of day, with its zone.
        resolution: progress is reported once for each such part of the task, so that a long one
            does not flood the page; with the event at the beginning at most `resolution + 1`.
    """

    def __init__(
        self,
        name: str,
        task_id: str,
        total: int,
        clock: Callable[[], datetime],
        *,
        resolution: int,
    ) -> None:
        self._name = name
        self._task_id = task_id
        self._total = total
        self._clock = clock
        self._resolution = resolution
        self._began = clock()
        self._reported = -1
        self.done = 0

    def advance(self, steps: int, message: str = "") -> TaskProgressed | None:
        """Count `steps` more as done; 0 reports the beginning.

        Returns:
            None while the next part of the task is not complete.
        """
        self.done = min(self._total, self.done + steps)
        part = self.done * self._resolution // max(1, self._total)
        if part == self._reported:
            return None
        self._reported = part
        return TaskProgressed(
            task_id=self._task_id,
            timestamp=self._clock(),
            name=self._name,
            done=self.done,
            total=self._total,
            message=message,
        )

    def stock(self, symbol: str, indicators: dict[str, float]) -> StockIndicatorsCompleted:
        """The indicators of one instrument are computed."""
        return StockIndicatorsCompleted(
            task_id=self._task_id,
            timestamp=self._clock(),
            symbol=symbol,
            indicators=indicators,
        )

    def end(self, message: str, *, succeeded: bool = True) -> TaskCompleted:
        """The task ended, completed or not."""
        now = self._clock()
        return TaskCompleted(
            task_id=self._task_id,
            timestamp=now,
            name=self._name,
            succeeded=succeeded,
            duration_seconds=max(0.0, (now - self._began).total_seconds()),
            message=message,
        )
