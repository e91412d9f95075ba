"""Settings of the news filter."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.domain import SentimentMode
from streamdesk.news_filter.tickers import parse_symbols
from streamdesk.runtime import CommaSeparated, ServiceSettings

ANY_TICKER = ("*",)
WATCHLIST = (
    "AAPL.US",
    "MSFT.US",
    "NVDA.US",
    "TSLA.US",
    "AMZN.US",
    "GOOGL.US",
    "META.US",
    "700.HK",
    "9988.HK",
    "3690.HK",
    "5.HK",
    "1810.HK",
)


def _tickers(values: tuple[str, ...]) -> tuple[str, ...]:
    return values if values == ANY_TICKER else parse_symbols(values)


class Settings(ServiceSettings):
    """What the news filter can be told."""

    news_raw_key: str = Field(
        NEWS_RAW.key, min_length=1, description="Redis key of the stream of raw articles."
    )
    news_filtered_key: str = Field(
        NEWS_FILTERED.key, min_length=1, description="Redis key of the stream of filtered articles."
    )
    news_max_age_hours: float = Field(
        24,
        gt=0,
        le=24 * 366,
        description="Articles must be younger than this, in hours: older news is in the price.",
    )
    news_future_tolerance_seconds: float = Field(
        300,
        ge=0,
        le=86_400,
        description="How far ahead of ours a publisher's clock may be, in seconds.",
    )
    news_tickers: Annotated[CommaSeparated, AfterValidator(_tickers)] = Field(
        WATCHLIST,
        min_length=1,
        description="Symbols that an article must be about, one of them at least; * for any.",
    )
    news_tickers_file: Path | None = Field(
        None,
        description="YAML file with a list of symbols, alone or under `tickers:`. Wins over "
        "NEWS_TICKERS.",
    )
    news_keywords: CommaSeparated = Field(
        (),
        description="Words or phrases of which an article must have one, whole and in any case; "
        "none set: no article needs one.",
    )
    news_blocked_keywords: CommaSeparated = Field(
        (), description="Words or phrases that an article must not have."
    )
    sentiment_threshold: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Sentiment must be greater than this; VADER's compound score, -1 to 1.",
    )
    sentiment_mode: SentimentMode = Field(
        SentimentMode.POSITIVE,
        description="positive: good news only; absolute: bad news as well, if as strong.",
    )
    news_remembered_links: int = Field(
        10_000,
        ge=1,
        description="Published articles remembered, so that a repeat is not published again.",
    )
