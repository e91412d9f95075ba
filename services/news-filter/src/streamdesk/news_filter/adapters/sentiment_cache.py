"""Sentiments in Redis, so that no headline is scored twice: by no filter, and after no restart.

Under `news:sentiment:{scorer}:{version}:{hash}`, where the hash is of the title and of as much of
the text as a scorer reads. Another lexicon or model is another version, and finds nothing of this
one. A value is JSON: the score, and the words that it comes from.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.news_filter.domain.sentiment import LEAD_MAX_CHARS, Score, Weighted
from streamdesk.runtime import metrics

HASH_DIGITS = 32  # 128 bits, of SHA-256


class SentimentCache:
    """What was scored before, by any filter.

    It only saves time: when the server is unreachable, or a value cannot be read, the article
    counts as one never seen, and its score is not kept.

    Args:
        keys: where the sentiments are.
        ttl_seconds: how long one is kept; 0 switches the cache off.
        scorer_name: whose sentiments these are.
        version: that scorer's.
    """

    def __init__(self, keys: Keys, ttl_seconds: float, scorer_name: str, version: str) -> None:
        self._keys = keys
        self._ttl_seconds = ttl_seconds
        self._prefix = f"news:sentiment:{scorer_name}:{version}:"

    async def get_many(self, articles: Sequence[tuple[str, str]]) -> list[Score | None]:
        """The known sentiments of articles (title, content), in one round trip.

        None for an article that is to be scored.
        """
        if not articles or not self._ttl_seconds:
            return [None] * len(articles)
        try:
            values = await self._keys.get(*map(self._key, articles))
        except BusUnavailableError:
            metrics.NEWS_SENTIMENT_CACHE.labels("unavailable").inc(len(articles))
            return [None] * len(articles)
        scores = [_read(value) for value in values]
        misses = scores.count(None)
        metrics.NEWS_SENTIMENT_CACHE.labels("miss").inc(misses)
        metrics.NEWS_SENTIMENT_CACHE.labels("hit").inc(len(scores) - misses)
        return scores

    async def put_many(self, articles: Sequence[tuple[str, str]], scores: Sequence[Score]) -> None:
        """Keep the sentiments of articles (title, content), in one round trip."""
        if not articles or not self._ttl_seconds:
            return
        values = {
            self._key(article): _written(score)
            for article, score in zip(articles, scores, strict=True)
        }
        try:
            await self._keys.put(values, self._ttl_seconds)
        except BusUnavailableError:
            metrics.NEWS_SENTIMENT_CACHE.labels("not-kept").inc(len(values))

    def _key(self, article: tuple[str, str]) -> str:
        title, content = article
        # Half of a surrogate pair, which JSON can bring, has no bytes of its own.
        read = f"{title}\0{content[:LEAD_MAX_CHARS]}".encode("utf-8", "surrogatepass")
        return self._prefix + hashlib.sha256(read).hexdigest()[:HASH_DIGITS]


def _written(score: Score) -> bytes:
    words = [(word.text, word.weight) for word in score.words]
    return json.dumps((score.value, words), separators=(",", ":")).encode()


def _read(text: bytes | None) -> Score | None:
    if text is None:
        return None
    try:
        read: Any = json.loads(text)
        value, words = read
        score = Score(float(value), tuple(Weighted(str(word), float(w)) for word, w in words))
    except (ValueError, TypeError):
        return None
    return score if -1 <= score.value <= 1 else None
