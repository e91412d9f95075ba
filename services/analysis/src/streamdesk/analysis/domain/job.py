"""The rules of the daily job: ids of runs, chunks, what is left to do, ids of events.

A run is the computation of a day over many stocks. Its stocks are divided into chunks once, when it
begins, and the plan is kept: a process that resumes it later finds the same chunks. A chunk is
computed or not, and published or not; there is no state in between.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID, uuid5

NAME = "daily-indicators"
"""Name of the task on the bus."""

DAY_SECONDS = 86_400
CHUNK_STOCKS = 250
SMALLEST_CHUNK = 10
CHUNKS_OF_A_SMALL_RUN = 8  # so that several processes share it
HISTORY_BARS = 250
"""Bars that the values of a stock are computed from, about a year. The first bar has no weight left
in a Wilder average of 14 bars by then: (13 / 14) ** 236 is 3e-8."""

NAMED_FAILURES = 20
PERCENT = 100

VALUES = (
    "sma_5",
    "sma_10",
    "sma_20",
    "sma_60",
    "macd",
    "macd_signal",
    "macd_histogram",
    "rsi",
    "bollinger_upper",
    "bollinger_middle",
    "bollinger_lower",
    "atr",
    "kdj_k",
    "kdj_d",
    "kdj_j",
)
"""The values of the nine indicators, as events and result files name them."""

RunState = Literal["computing", "interrupted", "unpublished", "completed"]
_IDS = UUID("b5f7c1de-6d0b-5d1c-9a55-6f4f3a1d7c20")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan of a run, fixed when it begins.

    Args:
        run_id: unique, also the id of its task on the bus.
        market: as in US; None for all markets of the store.
        began_at: when it began.
        chunks: symbols, each in one chunk.
    """

    run_id: str
    market: str | None
    began_at: datetime
    chunks: tuple[tuple[str, ...], ...]

    @property
    def stocks(self) -> int:
        """The number of its stocks."""
        return sum(len(chunk) for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class RemainingChunks:
    """What a run still has to do, as numbers of chunks.

    Args:
        to_compute: neither computed nor published.
        to_publish: computed, but not published.
        published: computed and published.
    """

    to_compute: tuple[int, ...]
    to_publish: tuple[int, ...]
    published: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The progress of a run.

    Args:
        run_id: of the run.
        done: stocks computed, those of earlier attempts and failed ones included.
        total: stocks in all.
        failed: stocks that failed so far.
        published: stocks whose outcome is published.
    """

    run_id: str
    done: int
    total: int
    failed: int
    published: int


@dataclass(frozen=True, slots=True)
class JobReport:
    """The outcome of a run.

    Args:
        run_id: of the run.
        stocks: in all.
        computed: stocks computed by this attempt, failed ones included.
        resumed: stocks that an earlier attempt had computed.
        failed: the reasons, by symbol.
        published: whether all events of the run are published.
        duration_seconds: of this attempt.
        folder: where the results are.
    """

    run_id: str
    stocks: int
    computed: int
    resumed: int
    failed: dict[str, str] = field(repr=False)
    published: bool
    duration_seconds: float
    folder: str

    @property
    def succeeded(self) -> bool:
        """Whether there are values of any stock; single failures do not fail a run."""
        return len(self.failed) < self.stocks


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as its folder shows it.

    Args:
        run_id: of the run.
        state: `computing`: a process computes it; `interrupted`: unfinished, and no process
            computes it; `unpublished`: computed, but not all events are published; `completed`.
        market: as in US; None for all.
        began_at: when it began.
        stocks: in all.
        computed: stocks whose values are in the result files.
        published: stocks whose outcome is published.
    """

    run_id: str
    state: RunState
    market: str | None
    began_at: datetime
    stocks: int
    computed: int
    published: int


def run_id_of(day: date, market: str | None, number: int) -> str:
    """The id of a run of a day: `daily-2026-11-20`, `daily-2026-11-20-us`, `daily-2026-11-20-us-2`.

    Args:
        day: the day, in UTC.
        market: as in US; None for all.
        number: 1 for the first of the day.
    """
    words = ["daily", day.isoformat()]
    if market is not None:
        words.append(market.lower())
    if number > 1:
        words.append(str(number))
    return "-".join(words)


def day_of(run_id: str, otherwise: date) -> date:
    """The day in the id of a run, or `otherwise` if it has none."""
    words = run_id.removeprefix("daily-")[: len("2026-11-20")]
    try:
        return date.fromisoformat(words)
    except ValueError:
        return otherwise


def run_id_at(slot: datetime) -> str:
    """The id of the run of a slot of the schedule: `daily-2026-11-20-at-2230`.

    It is the same in every replica and after every restart.
    """
    return f"daily-{slot.astimezone(UTC):%Y-%m-%d-at-%H%M}"


def chunked(symbols: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The symbols sorted, each once, in chunks of at most CHUNK_STOCKS."""
    ordered = sorted(set(symbols))
    share = -(-len(ordered) // CHUNKS_OF_A_SMALL_RUN)
    size = min(CHUNK_STOCKS, max(SMALLEST_CHUNK, share))
    return tuple(tuple(ordered[at : at + size]) for at in range(0, len(ordered), size))


def left(chunks: int, computed: Collection[int], published: Collection[int]) -> RemainingChunks:
    """What a run still has to do.

    Args:
        chunks: how many it has.
        computed: those with a result file.
        published: those marked as published. The mark of a chunk without a result file does not
            count: an operator removed the file, and the chunk has to be computed again.
    """
    numbers = range(chunks)
    return RemainingChunks(
        to_compute=tuple(n for n in numbers if n not in computed),
        to_publish=tuple(n for n in numbers if n in computed and n not in published),
        published=tuple(n for n in numbers if n in computed and n in published),
    )


def new_percent(done: int, total: int) -> int | None:
    """The percent that the `done`-th stock completes; None while it completes none.

    So a run reports its progress at most 101 times, including the 0 of its beginning.
    """
    if done <= 0:
        return 0
    percent = done * PERCENT // total
    return percent if percent != (done - 1) * PERCENT // total else None


def event_id(run_id: str, what: str) -> str:
    """The id of an event: the same at each attempt to publish it (UUID version 5, RFC 9562).

    Args:
        run_id: of the run.
        what: which of its events: a symbol, a percent, the end.
    """
    return str(uuid5(_IDS, f"{run_id}/{what}"))


def failures_text(failed: Iterable[str]) -> str:
    """The symbols that failed; of many, the first ones."""
    names = sorted(failed)
    more = len(names) - NAMED_FAILURES
    text = ", ".join(names[:NAMED_FAILURES])
    return f"{text} and {more} more" if more > 0 else text


def closing_words(stocks: int, failed: Collection[str]) -> str:
    """The message of a run at its end."""
    if not failed:
        return f"{stocks} stocks"
    return f"{stocks - len(failed)} of {stocks} stocks; {len(failed)} failed: " + failures_text(
        failed
    )


def utc_day(moment: datetime) -> date:
    """The day of a moment, in UTC."""
    return moment.astimezone(UTC).date()


def latest_and_next(
    taken: Collection[str], day: date, market: str | None
) -> tuple[str | None, str]:
    """The newest run of a market on a day, if there is one, and the id of the next one."""
    number = 1
    while run_id_of(day, market, number) in taken:
        number += 1
    latest = run_id_of(day, market, number - 1) if number > 1 else None
    return latest, run_id_of(day, market, number)
