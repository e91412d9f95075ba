"""Judges raw articles, publishes those that pass, counts the others by what stopped them."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from streamdesk.bus import BusError
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.news_filter.application.score_articles import Scoring
from streamdesk.news_filter.domain import verdict
from streamdesk.news_filter.domain.rules import ArticleOutcome, FilterRules
from streamdesk.news_filter.domain.sentiment import Score
from streamdesk.news_filter.domain.verdict import ArticleVerdict, Screened
from streamdesk.runtime import logger, metrics

log = logger(__name__)

PublishMany = Callable[[Sequence[NewsFiltered], Sequence[str]], Awaitable[object]]

SHOWN_TITLES = 3
TURN_SECONDS = 0.02  # then the event loop may renew leases: patterns over long texts are slow


class UnfinishedArticle(NamedTuple):
    """An article that was neither dropped nor published.

    Attributes:
        outcome: why it is given up; None where it is to be tried again.
        problem: what went wrong, for a person.
    """

    outcome: ArticleOutcome | None
    problem: str


class NewsFilter:
    """Judges articles by the batch.

    An article that cannot be scored or published is given up alone; the others of its batch
    continue.

    Args:
        rules: the rules in force when a batch comes.
        scoring: gives articles a sentiment.
        publish: writes events to the bus under these event ids; one that was written under its
            id before is not written again.
        clock: the current time.
    """

    def __init__(
        self,
        *,
        rules: Callable[[], FilterRules],
        scoring: Scoring,
        publish: PublishMany,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._scoring = scoring
        self._publish = publish
        self._clock = clock

    async def filter(
        self, articles: Sequence[NewsFetched], event_id: Callable[[int], str]
    ) -> dict[int, UnfinishedArticle]:
        """Publish the articles that pass. A dropped one is done as well.

        Args:
            articles: to be judged.
            event_id: the event id of the raw article at a position.

        Returns:
            Those that are not done, by position.
        """
        progress = _BatchProgress(articles, event_id, self._clock(), self._rules())
        await progress.screen()
        await progress.weigh(self._scoring)
        if progress.passing:
            await self._publish_all(progress)
        progress.count(self._clock())
        return progress.unfinished

    async def _publish_all(self, progress: "_BatchProgress") -> None:
        places = list(progress.passing)
        try:
            # The raw articles' ids, so that a repeat after a crash is the same event once more.
            event_ids = [progress.id_of(at) for at in places]
            await self._publish(list(progress.passing.values()), event_ids)
        except BusError as error:
            progress.try_again(places, error)
        except Exception:  # noqa: BLE001 - one of them cannot be written: find out which
            for at in places:
                await self._publish_one(progress, at)

    async def _publish_one(self, progress: "_BatchProgress", at: int) -> None:
        try:
            await self._publish([progress.passing[at]], [progress.id_of(at)])
        except BusError as error:
            progress.try_again([at], error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one
            progress.give_up(at, ArticleOutcome.UNPUBLISHABLE, error)


class _BatchProgress:
    """How far a batch is: which articles may still pass, and what became of the others."""

    def __init__(
        self,
        articles: Sequence[NewsFetched],
        event_id: Callable[[int], str],
        now: datetime,
        rules: FilterRules,
    ) -> None:
        self.unfinished: dict[int, UnfinishedArticle] = {}
        self.passing: dict[int, NewsFiltered] = {}
        self.id_of = event_id
        self._articles = articles
        self._now = now
        self._rules = rules
        self._screened: dict[int, Screened] = {}
        self._counted: Counter[ArticleOutcome] = Counter()

    async def screen(self) -> None:
        """Ask the rules that need no sentiment."""
        turn_at = time.monotonic() + TURN_SECONDS
        for at, article in enumerate(self._articles):
            try:
                screened = verdict.screen(article, now=self._now, rules=self._rules)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one
                self.give_up(at, ArticleOutcome.UNSCORABLE, error)
                continue
            if isinstance(screened, ArticleVerdict):
                self._drop(article, screened)
            else:
                self._screened[at] = screened
            if time.monotonic() > turn_at:
                await asyncio.sleep(0)
                turn_at = time.monotonic() + TURN_SECONDS

    async def weigh(self, scoring: Scoring) -> None:
        """Ask the last rule of those that are left."""
        articles = [self._articles[at] for at in self._screened]
        scores = await scoring.scores([(article.title, article.content) for article in articles])
        for at, score in zip(self._screened, scores, strict=True):
            if isinstance(score, Exception):
                self.give_up(at, ArticleOutcome.UNSCORABLE, score)
            else:
                self._weigh_one(at, score)

    def _weigh_one(self, at: int, score: Score) -> None:
        article = self._articles[at]
        weighed = verdict.weigh(self._screened[at], score, self._rules)
        if not weighed.passed:
            self._drop(article, weighed)
            return
        try:
            self.passing[at] = verdict.filtered(article, weighed, self._now)
        except ValueError as error:
            self.give_up(at, ArticleOutcome.UNPUBLISHABLE, error)

    def _drop(self, article: NewsFetched, dropped: ArticleVerdict) -> None:
        self._counted[dropped.rule] += 1
        log.debug(
            "article dropped",
            outcome=dropped.rule.value,
            because=dropped.reason,
            title=article.title,
        )

    def give_up(self, at: int, outcome: ArticleOutcome, error: Exception) -> None:
        """It becomes a dead letter: trying again would fail the same way."""
        self.passing.pop(at, None)
        self._counted[outcome] += 1
        problem = f"{type(error).__name__}: {error}"
        self.unfinished[at] = UnfinishedArticle(outcome, problem)
        log.error("article given up", outcome=outcome.value, id=self.id_of(at), problem=problem)

    def try_again(self, places: Sequence[int], error: BusError) -> None:
        """They are delivered again, and are counted then."""
        for at in places:
            del self.passing[at]
            self.unfinished[at] = UnfinishedArticle(None, f"{type(error).__name__}: {error}")
        log.warning(
            "articles not published, they come again", count=len(places), problem=str(error)
        )

    def count(self, published_at: datetime) -> None:
        """Update the metrics and the log."""
        for article in self._articles:
            age_seconds = (self._now - article.published_at).total_seconds()
            metrics.NEWS_AGE_AT_FILTER.observe(max(0.0, age_seconds))
        for article in self.passing.values():
            seconds = (published_at - article.fetched_at).total_seconds()
            metrics.NEWS_END_TO_END.observe(max(0.0, seconds))
        self._counted[ArticleOutcome.PASSED] = len(self.passing)
        for outcome, count in self._counted.items():
            metrics.NEWS_FILTER_PROCESSED.labels(outcome.value).inc(count)
        if self.passing:
            titles = [article.title for article in self.passing.values()]
            log.info("articles passed", count=len(titles), titles=titles[:SHOWN_TITLES])
