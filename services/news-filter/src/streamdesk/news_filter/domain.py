"""The rules of the filter, cheapest first: an article passes all of them or has one reason.

age -> ticker -> blocked keywords -> keywords -> sentiment
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from streamdesk.contracts.events import NewsFetched, NewsFiltered


class SentimentScorer(Protocol):
    """Gives an article a sentiment; the same article always the same."""

    def score(self, title: str, content: str) -> float:
        """Sentiment from -1 (very bad for the share price) over 0 (neutral) to 1 (very good)."""
        ...


class SentimentMode(StrEnum):
    """Which sentiment the threshold is about."""

    POSITIVE = "positive"
    """Good news only."""
    ABSOLUTE = "absolute"
    """Good and bad news alike, if strong."""


class Rejection(StrEnum):
    """Why an article was dropped. The values are labels of a metric: they do not change."""

    TOO_OLD = "too-old"
    DATED_IN_FUTURE = "dated-in-future"
    TICKER_NOT_LISTED = "ticker-not-listed"
    KEYWORD_BLOCKED = "keyword-blocked"
    KEYWORD_MISSING = "keyword-missing"
    SENTIMENT_WEAK = "sentiment-weak"
    ALREADY_PUBLISHED = "already-published"


class Keywords:
    """Words and phrases to look for: whole words, whatever their case.

    Next to a letter of a script without spaces between words (Chinese) a keyword needs no
    boundary.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        spaced = (" ".join(keyword.lower().split()) for keyword in keywords)
        self._patterns = {word: _whole_word(word) for word in spaced if word}

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def found_in(self, text: str) -> tuple[str, ...]:
        """The keywords that occur, lower case, in the order they were given."""
        return tuple(word for word, pattern in self._patterns.items() if pattern.search(text))


def _whole_word(word: str) -> re.Pattern[str]:
    # \b takes Chinese characters for letters, and so would not find a word between others.
    before = r"(?<![A-Za-z0-9])" if word[0].isascii() and word[0].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if word[-1].isascii() and word[-1].isalnum() else ""
    inner = r"\s+".join(re.escape(part) for part in word.split())
    return re.compile(before + inner + after, re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an article must be like.

    Attributes:
        max_age: articles must be younger than this.
        future_tolerance: how far ahead of ours the publisher's clock may be.
        tickers: one of the article's symbols must be among these; None for any symbol at all.
        keywords: one of these must occur, if there are any.
        blocked: none of these may occur.
        threshold: sentiment must be greater than this.
        mode: whether bad news counts by its strength too.
    """

    max_age: timedelta
    future_tolerance: timedelta
    tickers: frozenset[str] | None
    keywords: Keywords
    blocked: Keywords
    threshold: float
    mode: SentimentMode


def judge(
    article: NewsFetched, *, now: datetime, rules: Rules, scorer: SentimentScorer
) -> NewsFiltered | Rejection:
    """The filtered article, or the first rule it breaks."""
    rejection = _by_age(article, now, rules) or _by_ticker(article, rules)
    if rejection:
        return rejection
    text = f"{article.title}\n{article.content}"
    if rules.blocked.found_in(text):
        return Rejection.KEYWORD_BLOCKED
    keywords = rules.keywords.found_in(text)
    if rules.keywords and not keywords:
        return Rejection.KEYWORD_MISSING
    sentiment = scorer.score(article.title, article.content)
    strength = abs(sentiment) if rules.mode is SentimentMode.ABSOLUTE else sentiment
    if not strength > rules.threshold:
        return Rejection.SENTIMENT_WEAK
    return NewsFiltered(**dict(article), sentiment=sentiment, keywords=keywords, filtered_at=now)


def _by_age(article: NewsFetched, now: datetime, rules: Rules) -> Rejection | None:
    age = now - article.published_at
    if not age < rules.max_age:
        return Rejection.TOO_OLD
    # Without this rule, a date far ahead would stay young for as long.
    return Rejection.DATED_IN_FUTURE if -age > rules.future_tolerance else None


def _by_ticker(article: NewsFetched, rules: Rules) -> Rejection | None:
    listed = (
        bool(article.symbols)
        if rules.tickers is None
        else (not rules.tickers.isdisjoint(article.symbols))
    )
    return None if listed else Rejection.TICKER_NOT_LISTED


class RecentLinks:
    """The links published last, so that a repeat is not published again.

    It lives in the process: after a crash between publish and acknowledgement, or beside another
    filter, an article can still be published twice. Consumers tell by `link_hash`.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, link_hash: str) -> bool:
        return link_hash in self._hashes

    def remember(self, link_hash: str) -> None:
        """Know the link from now on, and forget the one known for longest when full."""
        self._hashes[link_hash] = None
        self._hashes.move_to_end(link_hash)
        if len(self._hashes) > self._size:
            self._hashes.popitem(last=False)
