"""Gives many articles their sentiment: from the cache, or by the scorer."""

import asyncio
from collections.abc import Sequence

from streamdesk.news_filter.adapters.sentiment_cache import SentimentCache
from streamdesk.news_filter.adapters.sentiment_scorer import SentimentScorer
from streamdesk.news_filter.domain.sentiment import Score

Article = tuple[str, str]
"""Title and content."""


class Scoring:
    """A scorer behind a cache.

    Args:
        scorer: scores what the cache does not know.
        cache: what was scored before; None for none.
    """

    def __init__(self, scorer: SentimentScorer, cache: SentimentCache | None = None) -> None:
        self._scorer = scorer
        self._cache = cache

    async def scores(self, articles: Sequence[Article]) -> list[Score | Exception]:
        """The score of each article, or what the scorer failed with on it.

        An article that cannot be scored does not affect the others.
        """
        known = await self._known(articles)
        # Some titles are in a batch more than once: the same news by several tickers.
        missing = list({a: None for a, score in zip(articles, known, strict=True) if not score})
        fresh = dict(zip(missing, await self._scored(missing), strict=True)) if missing else {}
        # Failures are not kept: the next attempt may succeed.
        good = [(a, score) for a, score in fresh.items() if isinstance(score, Score)]
        if self._cache and good:
            await self._cache.put_many([a for a, _ in good], [score for _, score in good])
        return [score or fresh[a] for a, score in zip(articles, known, strict=True)]

    async def _known(self, articles: Sequence[Article]) -> Sequence[Score | None]:
        if self._cache is None or not articles:
            return [None] * len(articles)
        return await self._cache.get_many(articles)

    async def _scored(self, articles: Sequence[Article]) -> Sequence[Score | Exception]:
        try:
            return await self._run(articles)
        except Exception:  # noqa: BLE001 - whatever it is about, the others are not
            return [await self._scored_alone(article) for article in articles]

    async def _scored_alone(self, article: Article) -> Score | Exception:
        try:
            return (await self._run([article]))[0]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this article
            return error

    async def _run(self, articles: Sequence[Article]) -> list[Score]:
        if self._scorer.slow:  # the event loop has leases to renew meanwhile
            return await asyncio.to_thread(self._scorer.score_many, articles)
        return self._scorer.score_many(articles)
