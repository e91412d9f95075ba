"""What an article can be asked, and what can become of it."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from streamdesk.news_filter.domain.matching import Keywords, Patterns


class SentimentMode(StrEnum):
    """Which sentiment the threshold is about."""

    POSITIVE = "positive"
    """Good news only."""
    NEGATIVE = "negative"
    """Bad news only, the mirror of positive."""
    ABSOLUTE = "absolute"
    """Good and bad news alike, if strong."""


class Rule(StrEnum):
    """What an article is asked, in this order."""

    AGE = "age"
    TICKER = "ticker"
    BLOCKED_KEYWORDS = "blocked keywords"
    BLOCKED_PATTERNS = "blocked patterns"
    KEYWORDS = "keywords"
    PATTERNS = "patterns"
    SENTIMENT = "sentiment"


class ArticleOutcome(StrEnum):
    """What becomes of an article. The values are labels of a metric: they do not change."""

    PASSED = "passed"
    TOO_OLD = "too-old"
    DATED_IN_FUTURE = "dated-in-future"
    TICKER_NOT_LISTED = "ticker-not-listed"
    KEYWORD_BLOCKED = "keyword-blocked"
    PATTERN_BLOCKED = "pattern-blocked"
    KEYWORD_MISSING = "keyword-missing"
    PATTERN_MISSING = "pattern-missing"
    SENTIMENT_WEAK = "sentiment-weak"
    UNSCORABLE = "unscorable"
    """It cannot be judged, most likely as the scorer failed on it: it is among the dead letters."""
    UNPUBLISHABLE = "unpublishable"
    """It passed and cannot be written: it is among the dead letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRules:
    """What an article must be like.

    Attributes:
        max_age: articles must be younger than this.
        future_tolerance: how far ahead of ours the publisher's clock may be.
        tickers: one of the article's symbols must be among these; None for any symbol at all.
        keywords: one of these must occur, if there are any.
        blocked: none of these may occur.
        patterns: one of these must match, if there are any.
        blocked_patterns: none of these may match.
        threshold: sentiment must be stronger than this.
        mode: whether good news counts, bad news, or both.
        provider_weight: share of the source's own polarity in the sentiment, 0 to 1.
        without_ticker: leave the rule of tickers out: `why` asks it only with a ticker.
    """

    max_age: timedelta
    future_tolerance: timedelta
    tickers: frozenset[str] | None
    threshold: float
    mode: SentimentMode
    keywords: Keywords = field(default_factory=lambda: Keywords(()))
    blocked: Keywords = field(default_factory=lambda: Keywords(()))
    patterns: Patterns = field(default_factory=lambda: Patterns(()))
    blocked_patterns: Patterns = field(default_factory=lambda: Patterns(()))
    provider_weight: float = 0.0
    without_ticker: bool = False
