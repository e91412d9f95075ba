"""Raw articles in, filtered ones out, each of the others counted by what stopped it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from streamdesk.bus import Batch, BusError, Dead, Outcome, Retry
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.news_filter import domain
from streamdesk.news_filter.application.score_articles import Scoring
from streamdesk.news_filter.domain import Rules, Screened, Verdict
from streamdesk.news_filter.domain.sentiment import Score
from streamdesk.runtime import logger, metrics

log = logger("news-filter")

PublishMany = Callable[[Sequence[NewsFiltered], Sequence[str]], Awaitable[object]]

SHOWN_TITLES = 3
TURN_SECONDS = 0.02  # then the loop may renew leases: patterns over long texts take their time


class NewsFilter:
    """Judges articles by the batch, with one outcome each.

    An article that cannot be scored or published goes to the dead letters alone; the others of
    its batch go on.

    Args:
        rules: what articles must be like, at this moment.
        scoring: gives them a sentiment.
        publish: writes events to the bus under these event ids; one that was written under its
            id before is not written again.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        rules: Callable[[], Rules],
        scoring: Scoring,
        publish: PublishMany,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._scoring = scoring
        self._publish = publish
        self._clock = clock

    async def handle(self, batch: Batch[NewsFetched]) -> dict[int, Outcome]:
        """Publish the articles that pass. A dropped one is done as well.

        Returns:
            The outcomes of those that are not done, by position: to be tried again while the
            bus is away, dead where trying again is no use.
        """
        work = _Work(batch, self._clock(), self._rules())
        await work.screen()
        await work.weigh(self._scoring)
        if work.passing:
            await self._publish_all(work)
        work.count(self._clock())
        return work.outcomes

    async def _publish_all(self, work: "_Work") -> None:
        places = list(work.passing)
        try:
            # The raw articles' ids, so that a repeat after a crash is the same event once more.
            await self._publish(list(work.passing.values()), [work.id_of(at) for at in places])
        except BusError as error:
            work.try_again(places, error)
        except Exception:  # noqa: BLE001 - one of them cannot be written: find out which
            for at in places:
                await self._publish_one(work, at)

    async def _publish_one(self, work: "_Work", at: int) -> None:
        try:
            await self._publish([work.passing[at]], [work.id_of(at)])
        except BusError as error:
            work.try_again([at], error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one
            work.give_up(at, domain.Outcome.UNPUBLISHABLE, error)


class _Work:
    """A batch on its way: which of its articles still go on, and what became of the others."""

    def __init__(self, batch: Batch[NewsFetched], now: datetime, rules: Rules) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.passing: dict[int, NewsFiltered] = {}
        self._batch = batch
        self._now = now
        self._rules = rules
        self._screened: dict[int, Screened] = {}
        self._counted: Counter[domain.Outcome] = Counter()

    def id_of(self, at: int) -> str:
        return self._batch[at].id

    async def screen(self) -> None:
        """Ask the rules that need no sentiment."""
        turn_at = time.monotonic() + TURN_SECONDS
        for at, article in enumerate(self._batch.events):
            try:
                verdict = domain.screen(article, now=self._now, rules=self._rules)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one
                self.give_up(at, domain.Outcome.UNSCORABLE, error)
                continue
            if isinstance(verdict, Verdict):
                self._drop(article, verdict)
            else:
                self._screened[at] = verdict
            if time.monotonic() > turn_at:
                await asyncio.sleep(0)
                turn_at = time.monotonic() + TURN_SECONDS

    async def weigh(self, scoring: Scoring) -> None:
        """Ask the last rule of those that are left."""
        articles = [self._batch.events[at] for at in self._screened]
        scores = await scoring.scores([(article.title, article.content) for article in articles])
        for at, score in zip(self._screened, scores, strict=True):
            if isinstance(score, Exception):
                self.give_up(at, domain.Outcome.UNSCORABLE, score)
            else:
                self._weigh_one(at, score)

    def _weigh_one(self, at: int, score: Score) -> None:
        article = self._batch.events[at]
        verdict = domain.weigh(self._screened[at], score, self._rules)
        if not verdict.passed:
            self._drop(article, verdict)
            return
        try:
            self.passing[at] = domain.filtered(article, verdict, self._now)
        except ValueError as error:
            self.give_up(at, domain.Outcome.UNPUBLISHABLE, error)

    def _drop(self, article: NewsFetched, verdict: Verdict) -> None:
        self._counted[verdict.rule] += 1
        log.debug(
            "article dropped",
            outcome=verdict.rule.value,
            because=verdict.reason,
            title=article.title,
        )

    def give_up(self, at: int, outcome: domain.Outcome, error: Exception) -> None:
        """It is dead: the same would happen again."""
        self.passing.pop(at, None)
        self._counted[outcome] += 1
        problem = f"{type(error).__name__}: {error}"
        self.outcomes[at] = Dead(outcome.value, problem)
        log.error("article given up", outcome=outcome.value, id=self.id_of(at), problem=problem)

    def try_again(self, places: Sequence[int], error: BusError) -> None:
        """They come again, and are counted then."""
        for at in places:
            del self.passing[at]
            self.outcomes[at] = Retry(why=f"{type(error).__name__}: {error}")
        log.warning(
            "articles not published, they come again", count=len(places), problem=str(error)
        )

    def count(self, published_at: datetime) -> None:
        """Tell the metrics and the log."""
        for article in self._batch.events:
            age_seconds = (self._now - article.published_at).total_seconds()
            metrics.NEWS_AGE_AT_FILTER.observe(max(0.0, age_seconds))
        for article in self.passing.values():
            seconds = (published_at - article.fetched_at).total_seconds()
            metrics.NEWS_END_TO_END.observe(max(0.0, seconds))
        self._counted[domain.Outcome.PASSED] = len(self.passing)
        for outcome, count in self._counted.items():
            metrics.NEWS_FILTER_PROCESSED.labels(outcome.value).inc(count)
        if self.passing:
            titles = [article.title for article in self.passing.values()]
            log.info("articles passed", count=len(titles), titles=titles[:SHOWN_TITLES])
