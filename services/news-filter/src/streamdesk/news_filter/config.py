"""Settings of the news filter."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.domain.rules import SentimentMode
from streamdesk.runtime import WATCHLIST, CommaSeparated, ServiceSettings, parse_symbols


class ScorerName(StrEnum):
    """The scorers that can be set."""

    VADER = "vader"
    """Words and rules, with our finance lexicon over VADER's own; needs nothing."""
    FINBERT = "finbert"
    """A language model that the user mounts."""


ANY_TICKER = ("*",)
MOST_AGE_HOURS = 24 * 366


def listed_symbols(values: tuple[str, ...]) -> tuple[str, ...]:
    """Symbols in our spelling, or `ANY_TICKER` as it is.

    Raises:
        ValueError: one of them is not a symbol.
    """
    return values if values == ANY_TICKER else parse_symbols(values)


class Settings(ServiceSettings):
    """Settings of the news filter."""

    news_raw_key: str = Field(
        NEWS_RAW.key, min_length=1, description="Redis key of the stream of raw articles."
    )
    news_filtered_key: str = Field(
        NEWS_FILTERED.key, min_length=1, description="Redis key of the stream of filtered articles."
    )
    news_rules_file: Path | None = Field(
        None,
        description="YAML file of rules, read again whenever it changes. Wins over the settings "
        "below for the rules that it names.",
    )
    news_rules_reload_seconds: float = Field(
        5,
        ge=0.1,
        le=3600,
        description="Seconds between two looks at NEWS_RULES_FILE.",
    )
    news_max_age_hours: float = Field(
        24,
        gt=0,
        le=MOST_AGE_HOURS,
        description="Articles must be younger than this, in hours: older news is in the price.",
    )
    news_future_tolerance_seconds: float = Field(
        300,
        ge=0,
        le=86_400,
        description="How far ahead of ours a publisher's clock may be, in seconds.",
    )
    news_tickers: Annotated[CommaSeparated, AfterValidator(listed_symbols)] = Field(
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
        description="Sentiment must be stronger than this, on a scale from -1 to 1.",
    )
    sentiment_mode: SentimentMode = Field(
        SentimentMode.POSITIVE,
        description="positive: good news only; negative: bad news only; absolute: both.",
    )
    sentiment_provider_weight: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the source's own polarity in the sentiment, where it gives one; "
        "0: ours alone.",
    )
    sentiment_scorer: ScorerName = Field(
        ScorerName.VADER,
        description="vader: words with a finance lexicon; finbert: the model in FINBERT_FOLDER.",
    )
    finbert_folder: Path | None = Field(
        None,
        description="Folder of a FinBERT model: model.onnx, config.json, and tokenizer.json or "
        "vocab.txt. Needed when SENTIMENT_SCORER is finbert.",
    )
    sentiment_cache_seconds: float = Field(
        86_400,
        ge=0,
        le=30 * 86_400,
        description="Seconds that Redis remembers the score of an article, for all filters; "
        "0: nothing is remembered.",
    )
