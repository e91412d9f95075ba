"""Settings of the news fetcher."""

from pydantic import Field

from streamdesk.contracts.topics import NEWS_RAW
from streamdesk.runtime import ServiceSettings


class Settings(ServiceSettings):
    """What the news fetcher can be told."""

    news_raw_key: str = Field(
        NEWS_RAW.key, min_length=1, description="Redis key of the stream of raw articles."
    )
    news_interval_seconds: float = Field(
        3,
        gt=0,
        description="Pause between two rounds, in seconds. Short, because the simulated source "
        "costs nothing and a newcomer wants to see news.",
    )
    news_timeout_seconds: float = Field(
        10,
        gt=0,
        description="Longest wait for the source's answer, in seconds; shorter than the grace "
        "period, so that a silent source cannot hold up a stop.",
    )
    news_lookback_hours: float = Field(
        24,
        gt=0,
        le=24 * 366,
        description="How old news the first round asks for, in hours; the filter drops older.",
    )
    news_overlap_seconds: float = Field(
        3_600,
        ge=0,
        le=366 * 86_400,
        description="How far each later round reaches back before the last good one, in seconds: "
        "articles appear later than they are dated.",
    )
    news_seen_max: int = Field(
        50_000,
        ge=1,
        description="Articles remembered as seen; beyond, those not seen for longest are "
        "forgotten. About 130 bytes each.",
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
        le=86_400,
        description="How far ahead of ours a source's clock may be, in seconds; an article dated "
        "later is refused.",
    )
    news_seed: int = Field(
        1, ge=0, description="Seed of the simulated source: the same seed, the same articles."
    )
    news_articles_per_round: int = Field(
        4, ge=1, le=1_000, description="Articles that the simulated source returns a round."
    )
