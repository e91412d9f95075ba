"""How fast EODHD may be asked: by its headers about the minute, and by our own limit."""

from streamdesk.news_fetcher.errors import SourceBusyError

MINUTE_SECONDS = 60.0
LITTLE = 0.1
"""Of the requests a minute: with less than this share left, the rest is spread over a minute."""


class MinutePace:
    """How soon the next request may go, by the provider's headers. Does not wait.

    EODHD counts requests by the minute, over all clients that use the key. X-RateLimit-Limit and
    -Remaining give the limit and what is left, but not when its minute ends. So what is left is
    spread over a minute once it is little. Times are seconds on a clock that is never set back.
    """

    def __init__(self) -> None:
        self._next = 0.0
        self._gap_seconds = 0.0
        self._blocked_until = 0.0

    def learn(self, now: float, limit: int, remaining: int) -> None:
        """Take note of an answer's headers."""
        little = remaining < limit * LITTLE
        self._gap_seconds = MINUTE_SECONDS / (remaining + 1) if little else 0.0
        self._next = max(self._next, now + self._gap_seconds) if little else 0.0

    def block(self, now: float, seconds: float) -> None:
        """Let nothing go for so long, as the provider demanded."""
        self._blocked_until = max(self._blocked_until, now + seconds)
        self._next, self._gap_seconds = 0.0, 0.0  # it gave the time: nothing is left to guess

    def check(self, now: float) -> None:
        """Raise SourceBusyError while nothing may go; it says how long that lasts."""
        left_seconds = self._blocked_until - now
        if left_seconds > 0:
            raise SourceBusyError(
                f"the limit of requests a minute was passed; nothing is asked for "
                f"{left_seconds:.0f} s. Ask for fewer tickers, or less often",
                left_seconds,
            )

    def take(self, now: float) -> float:
        """Take the next turn; return the seconds to wait for it, a minute at most.

        Raises:
            SourceBusyError: nothing may go for a while; no turn is taken.
        """
        self.check(now)
        turn = min(max(now, self._next), now + MINUTE_SECONDS)
        self._next = turn + self._gap_seconds
        return turn - now


def leaky_bucket(per_minute: int) -> tuple[int, float]:
    """Size of a leaky bucket, and seconds in which it empties, that keep a limit in any minute.

    What fits into it goes at once and makes room as it leaks, so in a minute there pass its size
    and what leaks meanwhile: a bucket of the whole limit would let twice as many through.
    """
    size = max(1, per_minute // 10)
    return size, MINUTE_SECONDS * size / max(1, per_minute - size)
