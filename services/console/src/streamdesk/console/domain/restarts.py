"""When a process that died is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Waits before a restart: doubling while a process keeps dying, short again once it held.

    Args:
        first_seconds: wait before the first restart.
        cap_seconds: longest wait.
        steady_seconds: a process that ran so long starts from the first wait again.
    """

    first_seconds: float = 0.5
    cap_seconds: float = 15.0
    steady_seconds: float = 60.0

    def failures(self, before: int, ran_seconds: float) -> int:
        """Deaths in a row, this one included."""
        return 1 if ran_seconds >= self.steady_seconds else before + 1

    def wait_seconds(self, failures: int) -> float:
        """Wait after so many deaths in a row (1 first)."""
        return min(self.cap_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
