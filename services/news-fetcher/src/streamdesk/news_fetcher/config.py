"""Settings of the news fetcher."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from streamdesk.contracts.topics import NEWS_RAW, SYSTEM_EVENTS
from streamdesk.news_fetcher.domain.articles import LONGEST_LOOKBACK_HOURS
from streamdesk.runtime import WATCHLIST, CommaSeparated, ServiceSettings, parse_symbols

EODHD_SHORTEST_SECONDS = 60
LONGEST_INTERVAL_SECONDS = 86_400
JITTER_SHARE = 0.1


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value  # a file's last line has an end


class SourceName(StrEnum):
    """Where articles come from."""

    SIMULATED = "simulated"
    RECORDED = "recorded"
    EODHD = "eodhd"


DEFAULT_INTERVAL_SECONDS = {
    SourceName.SIMULATED: 3.0,
    SourceName.RECORDED: 3.0,
    SourceName.EODHD: 600.0,
}


class Settings(ServiceSettings):
    """Settings of the news fetcher."""

    news_raw_key: str = Field(
        NEWS_RAW.key, min_length=1, description="Redis key of the stream of raw articles."
    )
    system_key: str = Field(
        SYSTEM_EVENTS.key,
        min_length=1,
        description="Redis key of the stream that reports a used up quota and a refused key.",
    )
    news_source: SourceName = Field(
        SourceName.SIMULATED,
        description="Where articles come from: simulated makes them up, recorded plays "
        "NEWS_RECORDING, eodhd asks EODHD with EODHD_API_KEY.",
    )
    news_tickers: Annotated[CommaSeparated, AfterValidator(parse_symbols)] = Field(
        WATCHLIST,
        min_length=1,
        description="Symbols that eodhd is asked about, one request each; the other sources bring "
        "what they have.",
    )
    news_tickers_file: Path | None = Field(
        None,
        description="YAML file with a list of symbols, alone or under `tickers:`. Wins over "
        "NEWS_TICKERS.",
    )
    eodhd_api_key: Annotated[SecretStr | None, BeforeValidator(_stripped)] = Field(
        None, description="API key of EODHD; NEWS_SOURCE=eodhd needs it."
    )
    eodhd_url: str = Field(
        "https://eodhd.com",
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        description="Where EODHD is, without /api.",
    )
    eodhd_calls_per_day: int = Field(
        100_000,
        ge=10,
        description="Calls a day that the plan allows; a request costs 5, and 5 a ticker.",
    )
    eodhd_calls_per_minute: int = Field(
        1_000, ge=1, description="Requests a minute that the plan allows."
    )
    news_interval_seconds: float | None = Field(
        None,
        gt=0,
        le=LONGEST_INTERVAL_SECONDS,
        description="Time from one round to the next, in seconds; 3 unless set, which costs "
        "nothing with simulated and recorded news; 600 for eodhd, where 60 is the least and 300 "
        "to 900 is sensible.",
    )
    news_jitter_seconds: float | None = Field(
        None,
        ge=0,
        le=LONGEST_INTERVAL_SECONDS,
        description="A round comes later by up to this, in seconds, so that not all clients "
        "ask at once; a tenth of the interval unless set.",
    )
    news_recording: str | None = Field(
        None,
        min_length=1,
        description="File, or folder of files, of articles as JSON lines, for recorded news; "
        "`sample` is one that comes with the service, and what is played unless set.",
    )
    news_recording_speed: float = Field(
        1, gt=0, le=100_000, description="How much faster than recorded the recording is played."
    )
    news_timeout_seconds: float = Field(
        10,
        gt=0,
        le=300,
        description="Longest wait for the answer to one request, in seconds; shorter than the "
        "grace period, so that a silent source cannot hold up a stop.",
    )
    news_concurrency: int = Field(
        4, ge=1, le=50, description="Tickers that are asked about concurrently."
    )
    news_lookback_hours: float = Field(
        24,
        gt=0,
        le=LONGEST_LOOKBACK_HOURS,
        description="How old news is asked for at most, in hours; the filter drops older. A "
        "published article is known for a day longer than the most that this may be.",
    )
    news_overlap_seconds: float = Field(
        3_600,
        ge=0,
        le=LONGEST_LOOKBACK_HOURS * 3_600,
        description="How far a round reaches back before the newest article so far, in seconds: "
        "articles appear later than they are dated.",
    )
    news_seen_max: int = Field(
        50_000,
        ge=1,
        description="Articles remembered as published, which spares asking the server; beyond, "
        "those not seen for longest are forgotten. About 130 bytes each.",
    )
    news_content_max_chars: int = Field(
        10_000,
        ge=0,
        le=100_000,
        description="Longest text passed on, in characters; the rest is cut. The filter reads "
        "the beginning only.",
    )
    news_future_tolerance_seconds: float = Field(
        300,
        ge=0,
        le=43_200,
        description="How far ahead of ours a source's clock may be, in seconds; an article dated "
        "later is refused.",
    )
    news_seed: int = Field(
        1, ge=0, description="Seed of the simulated source: the same seed, the same articles."
    )
    news_articles_per_round: int = Field(
        4, ge=1, le=1_000, description="Articles that the simulated source returns a round."
    )

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        if self.news_source is not SourceName.EODHD:
            return self
        if self.eodhd_api_key is None or not self.eodhd_api_key.get_secret_value():
            raise ValueError("EODHD_API_KEY is not set: NEWS_SOURCE=eodhd asks with it")
        if self.interval_seconds < EODHD_SHORTEST_SECONDS:
            raise ValueError(
                f"NEWS_INTERVAL_SECONDS={self.interval_seconds:g} is too short for "
                f"NEWS_SOURCE=eodhd: expected {EODHD_SHORTEST_SECONDS} or more"
            )
        return self

    @property
    def interval_seconds(self) -> float:
        """From one round to the next, as set or as fits the source."""
        return self.news_interval_seconds or DEFAULT_INTERVAL_SECONDS[self.news_source]

    @property
    def jitter_seconds(self) -> float:
        """How much later a round may come, as set or as fits the interval."""
        if self.news_jitter_seconds is None:
            return self.interval_seconds * JITTER_SHARE
        return self.news_jitter_seconds
