"""The budget of a source that counts calls by the day, and the pace that makes it last.

EODHD counts calls, not requests: a request for news is 5 calls and 5 more for each ticker in it.
Paid plans have 100,000 a day, the free one 20; the count starts again at 00:00 GMT
(https://eodhd.com/financial-apis/api-limits). The provider's count overrules
ours: other programs may use the same key, and its pages contradict each other about costs.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from streamdesk.news_fetcher.errors import QuotaExhaustedError

CALLS_A_REQUEST = 5
CALLS_A_TICKER = 5

SKEW = timedelta(minutes=5)
"""How far the provider's midnight may be from ours. A refusal so early in the day is about the
day before: it must not cost us a whole day."""


def cost(tickers: int) -> int:
    """Calls that one request for the news of so many tickers is charged."""
    return CALLS_A_REQUEST + CALLS_A_TICKER * tickers


@dataclass(slots=True)
class Quota:
    """What may be asked today. Changes as calls are spent; times are UTC with their zone.

    Attributes:
        calls_per_day: most calls we allow ourselves.
        used: calls used on `day`, as the provider or we counted them.
        day: the day, in GMT, that `used` is about.
        provider_limit: calls a day that the provider allows, once it said so.
        refused_until: the provider said that nothing is left (402); it is not asked before.
    """

    calls_per_day: int
    used: int = 0
    day: date | None = None
    provider_limit: int | None = None
    refused_until: datetime | None = None

    @property
    def limit(self) -> int:
        """Calls a day: ours or the provider's, whichever is less."""
        limits = (self.calls_per_day, self.provider_limit)
        return min(limit for limit in limits if limit is not None)

    def left(self, now: datetime) -> int:
        """Calls that may still be spent until 00:00 GMT."""
        self._turn(now)
        return 0 if self._refused(now) else max(0, self.limit - self.used)

    def spend(self, now: datetime, calls: int) -> None:
        """Count calls that are about to be made.

        Raises:
            QuotaExhaustedError: fewer are left, and none of them is counted.
        """
        if self.left(now) < calls:
            raise self.error(now)
        self.used += calls

    def refuse(self, now: datetime) -> None:
        """Note that the provider reports no calls left: spend none until its next day."""
        self._turn(now)
        since_midnight = now - (midnight_after(now) - timedelta(days=1))
        early = since_midnight < SKEW
        self.refused_until = now - since_midnight + SKEW if early else midnight_after(now)

    def exhausted_until(self, now: datetime) -> datetime | None:
        """When calls are allowed again; None while there are enough for one ticker."""
        if self.left(now) >= cost(1):
            return None
        return self.refused_until if self._refused(now) else midnight_after(now)

    def error(self, now: datetime) -> QuotaExhaustedError:
        """The error that names what is used, and when there are calls again."""
        until = self.refused_until if self._refused(now) else None
        until = until or midnight_after(now)
        used = (
            "the provider says that the calls of the day are used up"
            if self._refused(now)
            else f"{self.used} of {self.limit} calls are used today"
        )
        return QuotaExhaustedError(
            f"{used}; nothing is asked before {until:%Y-%m-%d %H:%M} GMT. Ask for fewer tickers, "
            "less often, or buy more calls",
            until=until,
            now=now,
        )

    def learn(self, now: datetime, used: int, limit: int) -> None:
        """Take the provider's own count of today, and its limit."""
        self._turn(now)
        self.used, self.provider_limit = max(0, used), max(0, limit)

    def as_json(self) -> dict[str, object]:
        """What `restore` reads: values that JSON has."""
        return {
            "used": self.used,
            "day": self.day and self.day.isoformat(),
            "provider_limit": self.provider_limit,
            "refused_until": self.refused_until and self.refused_until.isoformat(),
        }

    @classmethod
    def from_json(cls, value: object, calls_per_day: int) -> "Quota":
        """A quota that continues where the one of `as_json` ended, under the limit of today.

        Raises:
            ValueError: it is not what `as_json` gave.
        """
        quota = cls(calls_per_day)
        quota.restore(value)
        return quota

    def restore(self, value: object) -> None:
        """Continue where another one ended; of two counts of the same day the greater holds.

        Raises:
            ValueError: `value` is not what `as_json` gave; nothing is changed.
        """
        if not isinstance(value, dict):
            raise ValueError(f"a quota is an object, not {type(value).__name__}")  # noqa: TRY004 - one error for every wrong value
        used, day = _whole(value, "used") or 0, value.get("day")
        limit, refused = _whole(value, "provider_limit"), value.get("refused_until")
        read_day = None if day is None else date.fromisoformat(str(day))
        read_refused = None if refused is None else datetime.fromisoformat(str(refused))
        if read_refused is not None and read_refused.tzinfo is None:
            raise ValueError(f"refused_until of a quota has no zone: {refused!r}")
        self._take(used, read_day, limit, read_refused)

    def _take(
        self, used: int, day: date | None, limit: int | None, refused: datetime | None
    ) -> None:
        if day is not None and (self.day is None or day >= self.day):
            self.used = max(used, self.used) if day == self.day else used
            self.day = day
        self.provider_limit = self.provider_limit if limit is None else limit
        if refused is not None and (self.refused_until is None or refused > self.refused_until):
            self.refused_until = refused

    def _refused(self, now: datetime) -> bool:
        return self.refused_until is not None and now < self.refused_until

    def _turn(self, now: datetime) -> None:
        """A new day starts with nothing used. A clock that is set back starts none."""
        today = now.astimezone(UTC).date()
        if self.day is None or today > self.day:
            self.day, self.used = today, 0


def midnight_after(now: datetime) -> datetime:
    """The next 00:00 GMT."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def pause_seconds(interval_seconds: float, round_cost: int, quota: Quota, now: datetime) -> float:
    """Seconds from one round to the next.

    Never shorter than the interval, and so long that rounds of this cost last until 00:00 GMT.

    Args:
        interval_seconds: the pause that the settings ask for.
        round_cost: calls of one round; 0 where nothing is counted.
        quota: what is left.
        now: the end of the last round.
    """
    if round_cost <= 0:
        return interval_seconds
    until = quota.exhausted_until(now) or midnight_after(now)
    left_seconds = (until - now).total_seconds()
    rounds = quota.left(now) // round_cost
    return max(interval_seconds, left_seconds / max(1, rounds))


def _whole(value: dict[str, object], name: str) -> int | None:
    number = value.get(name)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"{name} of a quota is a number of calls, not {number!r}")
    return number
