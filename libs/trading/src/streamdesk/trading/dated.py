"""Values that hold from a day on: exchanges change lots, ticks and fees, and say from when."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Generic, TypeVar

T = TypeVar("T")

# A trading day is a date at the exchange. In New York a session ends before midnight UTC.
_ZONES: dict[str, tzinfo] = {"US": UTC, "HK": timezone(timedelta(hours=8))}


def trading_day(market: str, at: datetime) -> date:
    """The day at the exchange of a market at this time."""
    return at.astimezone(_ZONES[market]).date()


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """A value and its changes.

    Attributes:
        days: first days, ascending; one at least.
        values: what holds from each of them on.
    """

    days: tuple[date, ...]
    values: tuple[T, ...]

    @classmethod
    def of(cls, values: Mapping[date, T]) -> "Dated[T]":
        """From the value of each first day."""
        days = tuple(sorted(values))
        return cls(days, tuple(values[day] for day in days))

    def on(self, day: date) -> T:
        """What holds on a day; before the first one, the oldest that is known."""
        return self.values[max(0, bisect_right(self.days, day) - 1)]

    def begun(self, day: date) -> T | None:
        """What holds on a day; None before the first one."""
        return self.on(day) if day >= self.days[0] else None

    def extended(self, other: "Dated[T]") -> "Dated[T]":
        """With other changes as well; of two of one day the other's counts."""
        mine = dict(zip(self.days, self.values, strict=True))
        return Dated.of(mine | dict(zip(other.days, other.values, strict=True)))
