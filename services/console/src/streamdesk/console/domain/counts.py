"""Figures of a run, counted from its events."""

from collections import Counter
from dataclasses import dataclass, fields

from streamdesk.contracts.base import Event
from streamdesk.contracts.events import (
    BarClosed,
    NewsFetched,
    NewsFiltered,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    SignalGenerated,
)

_NAMES: dict[type[Event], str] = {
    BarClosed: "bars",
    SignalGenerated: "signals",
    OrderSubmitted: "orders",
    OrderFilled: "fills",
    OrderRejected: "rejections",
    NewsFetched: "news_raw",
    NewsFiltered: "news_filtered",
}


@dataclass(frozen=True, slots=True)
class Result:
    """The last line of `up --seconds`.

    Attributes:
        bars: bars closed.
        signals: signals generated.
        orders: orders submitted.
        fills: trades the broker made of them.
        news_raw: articles fetched.
        news_filtered: articles that passed the filter.
        dead: dead letters on the bus at the end.
        errors: error lines in the logs, unexpected ends of processes, processes that had to
            be killed at the end.
    """

    bars: int
    signals: int
    orders: int
    fills: int
    news_raw: int
    news_filtered: int
    dead: int
    errors: int

    def as_dict(self) -> dict[str, int]:
        """The figures by name, in the order of the flow."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class RunCounts:
    """Counts events by kind."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()
        self.total = 0

    def add(self, event: Event) -> None:
        """Count one event; those of no interest count in the total alone."""
        self.total += 1
        name = _NAMES.get(type(event))
        if name:
            self._counter[name] += 1

    def of(self, name: str) -> int:
        """How many of a kind, as in `fills`."""
        return self._counter[name]

    def result(self, *, dead: int, errors: int) -> Result:
        """The figures of the run."""
        of = self._counter
        return Result(
            bars=of["bars"],
            signals=of["signals"],
            orders=of["orders"],
            fills=of["fills"],
            news_raw=of["news_raw"],
            news_filtered=of["news_filtered"],
            dead=dead,
            errors=errors,
        )

    def summary(self, waiting: int | None) -> str:
        """One line for a person.

        Args:
            waiting: signals not executed yet; None while the bus is unreachable.
        """
        of = self._counter
        queue = "redis unreachable" if waiting is None else f"waiting {waiting:,}"
        return (
            f"bars {of['bars']:,}  signals {of['signals']:,}  orders {of['orders']:,}  "
            f"fills {of['fills']:,}  news {of['news_raw']:,} → {of['news_filtered']:,}  {queue}"
        )
