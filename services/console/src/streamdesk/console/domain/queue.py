"""What the queue monitor shows."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

WINDOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message in the queue.

    Attributes:
        priority: its class; None where the topic has none.
        symbol: what it is about.
        type: kind of signal, or of event.
        score: 0 to 100; None for what has no score.
        age_seconds: since it was first published.
        attempt: 1 for the first.
    """

    priority: int | None
    symbol: str
    type: str
    score: float | None
    age_seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class QueueFrame:
    """One look at a queue.

    Attributes:
        topic: its name.
        group: whose queue.
        pending: messages that no consumer has taken yet.
        processing: messages that consumers have taken and not finished.
        delayed: messages that wait for their retry.
        failed: dead letters.
        rate_in: messages a second that came, returning ones included; None until it is known.
        rate_out: messages a second that were finished, put back to retry or given up.
        consumers: consumers in the group.
        oldest_processing_seconds: age of the oldest of those; None without any.
        top: the next messages, in the order in which they will be taken.
    """

    topic: str
    group: str
    pending: int
    processing: int
    delayed: int
    failed: int
    rate_in: float | None
    rate_out: float | None
    consumers: int
    oldest_processing_seconds: float | None
    top: tuple[WaitingMessage, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class QueueRates:
    """Messages a second, over the last ten seconds.

    Args:
        window_seconds: how far back is looked.
    """

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window = window_seconds
        self._samples: deque[tuple[float, int, int]] = deque()

    def add(self, at: float, added: int, finished: int) -> tuple[float | None, float | None]:
        """Take a sample; returns the rates in and out, None before the second sample.

        Args:
            at: seconds of a clock that never goes back.
            added: messages that ever came.
            finished: those of them that neither wait nor are pending.
        """
        samples = self._samples
        if samples and added < samples[-1][1]:
            samples.clear()  # another server, or an emptied one
        samples.append((at, added, finished))
        while len(samples) > 2 and at - samples[0][0] > self._window:  # noqa: PLR2004 - a rate needs two
            samples.popleft()
        first_at, first_added, first_finished = samples[0]
        passed = at - first_at
        if passed <= 0:
            return None, None
        return (added - first_added) / passed, max(0.0, (finished - first_finished) / passed)
