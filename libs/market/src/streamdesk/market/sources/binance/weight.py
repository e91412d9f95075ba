"""How fast Binance may be asked: a budget of weight a minute, and what it says when it is passed.

Each answer says in `X-MBX-USED-WEIGHT-1M` what was used in the minute, by everybody at this
address; the limit is 6,000 (exchangeInfo, `REQUEST_WEIGHT`). 429 means: stop, for `Retry-After`
seconds. Who goes on is banned with 418, for two minutes at first and up to three days
(https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits).
"""

from streamdesk.market.errors import BarSourceUnavailableError

MINUTE_SECONDS = 60.0
LONGEST_BAN_SECONDS = 3 * 86_400.0
SLOW_DOWN_SECONDS = 60.0
"""To wait after a 429 that does not say how long."""

BAN_SECONDS = 120.0
"""To wait after a 418 that does not say how long: the shortest ban there is."""

FREE_SHARE = 0.5
"""Of the budget, that may be used as fast as one likes; the rest is spread over the minute."""


class WeightBudget:
    """Says whether, and how soon, the next request may go. Does not wait and knows no clock.

    Times are seconds since 1970 on our clock; the minutes counted are those of the server's,
    which are ours but for the difference of the clocks.

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
                says when one may. Nothing is counted then.
        """
        self.check(now)
        self._turn(now)
        left_seconds = self._minute + MINUTE_SECONDS - now
        used = self._used + weight
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
        """Raise BarSourceUnavailableError while nothing may go; it says how long that lasts."""
        # A clock that was set back must not make a block longer than it was meant to be.
        self._blocked_until = min(self._blocked_until, now + self._blocked_seconds)
        if now < self._blocked_until:
            raise BarSourceUnavailableError(self._why, self._blocked_until - now)

    def learn(self, now: float, used: int) -> None:
        """Take the server's word for what was used; ours if it is higher, as for what is under way.

        An answer that says less than we counted may have left before our last requests came.
        """
        self._turn(now)
        self._used = max(self._used, used)

    def block(self, now: float, seconds: float, why: str) -> None:
        """Let nothing go for so long, a second at least; a longer block stays."""
        seconds = min(max(seconds, 1.0), LONGEST_BAN_SECONDS)
        if now + seconds > self._blocked_until:
            self._blocked_until, self._blocked_seconds, self._why = now + seconds, seconds, why

    def _turn(self, now: float) -> None:
        minute = now - now % MINUTE_SECONDS
        if minute != self._minute:
            self._minute, self._used = minute, 0


def retry_after_seconds(header: str | None, otherwise: float) -> float:
    """What a Retry-After header says, in seconds; `otherwise` where it says nothing readable."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit()):
        return otherwise
    return min(float(text[:9]), LONGEST_BAN_SECONDS)
