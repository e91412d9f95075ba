"""Reports the progress of a task of this service, for the page."""

from collections.abc import Callable
from datetime import datetime

from streamdesk.contracts.base import Event
from streamdesk.contracts.events import TaskCompleted, TaskProgressed

STEPS = 100
"""Progress is reported by the percent: at most 101 reports, including the one at the beginning."""


class TaskReport:
    """Tells how far one run of something is.

    Args:
        name: what it is, as in hama-refresh.
        task_id: unique.
        total: steps in all.
        report: takes the events.
        clock: the time of day, with its zone.
    """

    def __init__(
        self,
        name: str,
        task_id: str,
        total: int,
        report: Callable[[Event], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._task_id = task_id
        self._total = total
        self._report = report
        self._clock = clock
        self._began = clock()
        self._told = -1
        self.done = 0

    def advance(self, steps: int, message: str = "") -> None:
        """`steps` more are done; 0 tells that it begins."""
        self.done = min(self._total, self.done + steps)
        percent = self.done * STEPS // max(1, self._total)
        if percent == self._told:
            return
        self._told = percent
        self._report(
            TaskProgressed(
                task_id=self._task_id,
                timestamp=self._clock(),
                name=self._name,
                done=self.done,
                total=self._total,
                message=message,
            )
        )

    def end(self, message: str, *, succeeded: bool = True) -> None:
        """It is over."""
        now = self._clock()
        self._report(
            TaskCompleted(
                task_id=self._task_id,
                timestamp=now,
                name=self._name,
                succeeded=succeeded,
                duration_seconds=max(0.0, (now - self._began).total_seconds()),
                message=message,
            )
        )
