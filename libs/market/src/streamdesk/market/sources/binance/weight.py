"""How fast Binance may be asked: a budget of weight a minute, and its answers above the limit.

Each answer has in `X-MBX-USED-WEIGHT-1M` what all clients at this address used in the minute; the
limit is 6,000 (exchangeInfo, `REQUEST_WEIGHT`). 429 means: stop, for `Retry-After` seconds. A
client that does not stop is banned with 418, for two minutes at first and up to three days
(https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits).
"""

from streamdesk.market.errors import BarSourceUnavailableError

MINUTE_SECONDS = 60.0
LONGEST_BAN_SECONDS = 3 * 86_400.0
SLOW_DOWN_SECONDS = 60.0
"""Wait after a 429 without `Retry-After`."""

BAN_SECONDS = 120.0
"""Wait after a 418 without `Retry-After`: the shortest ban there is."""

FREE_SHARE = 0.5
"""Share of the budget that is not paced; the rest is spread over the minute."""


class WeightBudget:
    """Decides whether, and how soon, the next request may go. Does not wait and has no clock.

    Times are seconds since 1970 on the local clock; the minutes counted are the server's, which
    differ by the difference of the clocks.

    Args:
        per_minute: weight that we allow ourselves; less than the limit where others share it.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0.0
        self._used = 0
        self._blocked_until = 0.0
        self._blocked_seconds = 0.0
        self._why = ""

    @property
    def used(self) -> int:
        """Weight used in the minute last seen."""
        return self._used

    def take(self, now: float, weight: int, patience_seconds: float) -> float:
        """Count a request that is about to go; return the seconds to wait before it goes.

        Raises:
            BarSourceUnavailableError: none may go now, or only after more than `patience_seconds`;
                it has the time when one may. Nothing is counted then.
        """
        self.check(now)
        self._turn(now)
        left_seconds = self._minute + MINUTE_SECONDS - now
        used = self._used + weight
        # Refused instead of delayed into the next minute: meanwhile another source can be asked.
        if used > self._per_minute:
            raise BarSourceUnavailableError(
                f"{self._used} of {self._per_minute} weight are used in this minute; "
                "ask fewer symbols, or less often",
                left_seconds,
            )
        # The n-th part of the rest is due when the n-th part of the minute is over.
        free = FREE_SHARE * self._per_minute
        due = (used - free) / (self._per_minute - free) * MINUTE_SECONDS
        wait_seconds = max(0.0, due - (now - self._minute))
        if wait_seconds > patience_seconds:
            raise BarSourceUnavailableError(
                f"{self._used} of {self._per_minute} weight are used early in this minute; "
                "ask fewer symbols, or less often",
                wait_seconds,
            )
        self._used = used
        return wait_seconds

    def check(self, now: float) -> None:
        """Raise BarSourceUnavailableError while nothing may go; it has the time left."""
        # A clock that was set back must not make a block longer than it was meant to be.
        self._blocked_until = min(self._blocked_until, now + self._blocked_seconds)
        if now < self._blocked_until:
            raise BarSourceUnavailableError(self._why, self._blocked_until - now)

    def learn(self, now: float, used: int) -> None:
        """Take the server's count of what was used, unless ours is higher.

        An answer with less than we counted may have left before our last requests arrived.
        """
        self._turn(now)
        self._used = max(self._used, used)

    def block(self, now: float, seconds: float, why: str) -> None:
        """Let nothing go for so long, at least a second; a longer block stays."""
        seconds = min(max(seconds, 1.0), LONGEST_BAN_SECONDS)
        if now + seconds > self._blocked_until:
            self._blocked_until, self._blocked_seconds, self._why = now + seconds, seconds, why

    def _turn(self, now: float) -> None:
        minute = now - now % MINUTE_SECONDS
        if minute != self._minute:
            self._minute, self._used = minute, 0


def retry_after_seconds(header: str | None, otherwise: float) -> float:
    """The seconds of a Retry-After header; `otherwise` where it is missing or unreadable."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit()):
        return otherwise
    return min(float(text[:9]), LONGEST_BAN_SECONDS)
