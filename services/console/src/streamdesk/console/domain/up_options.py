"""How a desk is brought up: what `streamdesk up` is asked for."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

DATA = Path(".streamdesk")
NEWS_SAMPLE = "sample"  # the recording that comes with the fetcher


class NewsSourceName(StrEnum):
    """Where news comes from; the fetcher knows no other."""

    SIMULATED = "simulated"
    RECORDED = "recorded"
    EODHD = "eodhd"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How a desk is brought up.

    Args:
        executors: processes that execute signals.
        speed: bars a second of each instrument, 0 for as fast as they are taken; None for one
            simulated or ten recorded.
        bars: file or folder with recorded bars instead of the simulated market.
        symbols: instruments; empty for the built-in watchlist.
        news: where news comes from; None for what NEWS_SOURCE says, or simulated.
        news_recording: file or folder of articles, or `sample`; None for what NEWS_RECORDING
            says, or the sample.
        seconds: end by itself after so long; None to run until stopped.
        seed: seed of the simulated market and news; None for their own.
        port: port of the page; None for 8080 or the next free one.
        data: folder for logs, ledger, server and state.
        keep: continue with the data of the last run instead of starting fresh.
    """

    executors: int = 1
    speed: float | None = None
    bars: Path | None = None
    symbols: tuple[str, ...] = ()
    news: NewsSourceName | None = None
    news_recording: str | None = None
    seconds: float | None = None
    seed: int | None = None
    port: int | None = None
    data: Path = DATA
    keep: bool = False
