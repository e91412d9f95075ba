"""Rounds: ask the source, keep what is usable and new, publish it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from streamdesk.bus import BusError
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_fetcher.domain import Limits, SeenWindow, accept
from streamdesk.news_fetcher.errors import ArticleError, SourceError
from streamdesk.news_fetcher.source import NewsSource, RawArticle
from streamdesk.runtime import Drain, logger, metrics

log = logger("news-fetcher")

Publish = Callable[[NewsFetched], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When to ask, and for what.

    Attributes:
        interval_seconds: pause between two rounds.
        timeout_seconds: how long an answer of the source may take.
        lookback: how old news the first round asks for.
        overlap: how far a round reaches back before the last good one, for late news.
    """

    interval_seconds: float
    timeout_seconds: float
    lookback: timedelta
    overlap: timedelta


@dataclass(slots=True)
class Round:
    """What became of the articles of one round."""

    fetched: int = 0
    published: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


class NewsFetcher:
    """Asks one source again and again; nothing the source does ends it.

    Args:
        source: where articles come from.
        publish: writes one event to the bus.
        seen: the articles of the rounds before.
        limits: bounds for articles.
        pace: when to ask, and for what.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        source: NewsSource,
        publish: Publish,
        seen: SeenWindow,
        limits: Limits,
        pace: Pace,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._publish = publish
        self._seen = seen
        self._limits = limits
        self._pace = pace
        self._clock = clock
        self._last_good: datetime | None = None
        self._source_lost = False

    async def run(self, drain: Drain) -> None:
        """One round after another until the drain is requested."""
        while not drain.requested.is_set():
            await self.round(drain)
            await drain.sleep(self._pace.interval_seconds)

    async def round(self, drain: Drain) -> Round:
        """One round. What was not published is not remembered, so the next round has it again.

        Between two articles it ends early when the drain is requested.
        """
        result = Round()
        asked_at = self._clock()
        articles = await self._ask(asked_at)
        if articles is None:
            return result
        result.fetched = len(articles)
        metrics.NEWS_FETCHED.labels(self._source.name).inc(len(articles))
        if await self._handle_all(articles, drain, result):
            self._last_good = asked_at
        log.info(
            "round done",
            source=self._source.name,
            fetched=result.fetched,
            published=result.published,
            duplicates=result.duplicates,
            rejected=dict(result.rejected),
        )
        return result

    async def _ask(self, now: datetime) -> Sequence[RawArticle] | None:
        reach = self._pace
        since = now - reach.lookback if self._last_good is None else self._last_good - reach.overlap
        try:
            async with asyncio.timeout(reach.timeout_seconds):
                articles = await self._source.fetch(since)
        except TimeoutError:
            self._source_failed(SourceError(f"no answer in {reach.timeout_seconds} s"))
            return None
        except Exception as error:  # noqa: BLE001 - an answer that breaks a source must not end the service
            self._source_failed(error)
            return None
        if self._source_lost:
            self._source_lost = False
            log.info("source back", source=self._source.name)
        return articles

    def _source_failed(self, error: Exception) -> None:
        """Count every failure, log the first of a row; a bug in the source with its traceback."""
        metrics.NEWS_SOURCE_ERRORS.labels(self._source.name).inc()
        if self._source_lost:
            return
        self._source_lost = True
        bug = None if isinstance(error, SourceError) else error
        log.warning("source lost", source=self._source.name, error=repr(error), exc_info=bug)

    async def _handle_all(
        self, articles: Sequence[RawArticle], drain: Drain, result: Round
    ) -> bool:
        """Whether all of them are done with; the first that cannot be sent ends the round."""
        fetched_at = self._clock()
        for raw in articles:
            if drain.requested.is_set():
                return False
            event = self._usable(raw, fetched_at, result)
            if event is not None and not await self._send(event, result):
                return False
        return True

    def _usable(self, raw: RawArticle, fetched_at: datetime, result: Round) -> NewsFetched | None:
        """The article as an event; None, counted, for one that is broken or was seen before."""
        source = self._source.name
        try:
            event = accept(raw, source=source, fetched_at=fetched_at, limits=self._limits)
        except ArticleError as error:
            result.rejected[error.reason] += 1
            metrics.NEWS_ARTICLES_INVALID.labels(source, error.reason).inc()
            log.info("article unusable", source=source, reason=error.reason, detail=str(error))
            return None
        if self._seen.seen(event.link_hash):
            result.duplicates += 1
            metrics.NEWS_DUPLICATES.labels(source).inc()
            return None
        return event

    async def _send(self, event: NewsFetched, result: Round) -> bool:
        """Publish, then remember: an article is forgotten rather than lost."""
        try:
            await self._publish(event)
        except BusError as error:
            log.warning("round cut short", source=self._source.name, error=str(error))
            return False
        self._seen.remember(event.link_hash)
        result.published += 1
        return True
