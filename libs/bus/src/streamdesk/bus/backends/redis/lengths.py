"""How long streams are, known well enough to stop at a cap without asking at every append."""

import time

MEASURE_SECONDS = 0.1
"""How often the length of a stream is asked for along with an append."""


class Lengths:
    """The last length that the server told of each stream, and what was added since.

    Others append too, and groups' consumers trim: in between it is an estimate. Whoever would
    refuse something because of it measures first.
    """

    def __init__(self) -> None:
        """Nothing is known."""
        self._lengths: dict[str, int] = {}
        self._asked_at: dict[str, float] = {}

    def is_due(self, key: str) -> bool:
        """Whether to ask again; a yes is given once."""
        now = time.monotonic()
        if now - self._asked_at.get(key, -MEASURE_SECONDS) < MEASURE_SECONDS:
            return False
        self._asked_at[key] = now
        return True

    def measured(self, key: str, length: int) -> None:
        """The server has just said so."""
        self._lengths[key] = length

    def grown(self, key: str, count: int) -> None:
        """So many entries were added."""
        self._lengths[key] = self._lengths.get(key, 0) + count

    def of(self, key: str) -> int:
        """The stream's length, as far as is known; 0 of one that was never appended to."""
        return self._lengths.get(key, 0)
