"""News, raw and filtered."""

from pydantic import ConfigDict, Field

from streamdesk.contracts.base import Event, JsonObject
from streamdesk.contracts.fields import Symbol, Timestamp

_ARTICLE: JsonObject = {
    "link_hash": "4c1f0a6b2d8e4f7a9b3c5d6e7f801234",
    "title": "Apple beats estimates and raises its dividend",
    "content": "Apple reported quarterly results above expectations.",
    "link": "https://news.example/apple-beats-estimates",
    "source": "simulated",
    "published_at": "2026-11-20T15:29:00Z",
    "fetched_at": "2026-11-20T15:30:00Z",
    "symbols": ["AAPL.US"],
    "tags": ["earnings"],
}


class NewsFetched(Event):
    """An article arrived that was not seen before."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ARTICLE]})

    link_hash: str = Field(
        pattern="^[0-9a-f]{32}$", description="First 128 bits of SHA-256 of the link, hex."
    )
    title: str = Field(min_length=1, max_length=1_000, description="Headline, plain text.")
    content: str = Field(
        default="", max_length=100_000, description="Text; may be cut by the source."
    )
    link: str = Field(min_length=1, max_length=4_000, description="Address of the article.")
    source: str = Field(description="Where it came from, as in eodhd or simulated.")
    published_at: Timestamp = Field(description="When the source published it.")
    fetched_at: Timestamp = Field(description="When it reached the desk.")
    symbols: tuple[Symbol, ...] = Field(default=(), description="Instruments it is about.")
    tags: tuple[str, ...] = Field(default=(), description="The source's own labels.")
    polarity: float | None = Field(
        default=None, ge=-1, le=1, description="The source's own sentiment, if it gives one."
    )
    ticker: Symbol | None = Field(
        default=None,
        description="Instrument whose news was asked for when it came; none where a source is "
        "not asked by instrument.",
    )


class NewsFiltered(NewsFetched):
    """An article passed the filter: recent, about watched instruments, and of strong sentiment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_ARTICLE,
                    "sentiment": 0.74,
                    "keywords": ["beats"],
                    "words": ["beats estimates +2.9", "raises +1.5"],
                    "reason": "sentiment 0.74 > 0.50: beats estimates, raises",
                    "filtered_at": "2026-11-20T15:30:01Z",
                }
            ]
        }
    )

    sentiment: float = Field(
        ge=-1, le=1, description="Sentiment from -1 to 1, by the desk's scorer."
    )
    keywords: tuple[str, ...] = Field(default=(), description="Keywords found, lower case.")
    words: tuple[str, ...] = Field(
        default=(),
        description="What the sentiment comes from, strongest first, each with its weight.",
    )
    reason: str = Field(default="", max_length=500, description="Why it passed, for a reader.")
    filtered_at: Timestamp = Field(description="When it passed the filter.")
