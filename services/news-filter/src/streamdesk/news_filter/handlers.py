"""A raw article in, a filtered one out, or a reason counted."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from streamdesk.bus import Ack, Message
from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.news_filter.domain import RecentLinks, Rejection, Rules, SentimentScorer, judge
from streamdesk.runtime import logger, metrics

log = logger("news-filter")

Publish = Callable[[NewsFiltered, str], Awaitable[object]]


class NewsFilter:
    """Judges articles one after another.

    Args:
        rules: what an article must be like.
        scorer: gives it a sentiment.
        recent: the articles published last.
        publish: writes one event to the bus, under an event id.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        scorer: SentimentScorer,
        recent: RecentLinks,
        publish: Publish,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._scorer = scorer
        self._recent = recent
        self._publish = publish
        self._clock = clock

    async def handle(self, message: Message[NewsFetched]) -> Ack:
        """Publish the article if it passes. A dropped one is done as well.

        Raises:
            BusError: it passed and could not be published; the bus brings it again.
        """
        article, now = message.event, self._clock()
        age_seconds = (now - article.published_at).total_seconds()
        metrics.NEWS_AGE_AT_FILTER.observe(max(0.0, age_seconds))
        verdict = self._judge(article, now)
        if isinstance(verdict, Rejection):
            metrics.NEWS_FILTER_REJECTED.labels(verdict.value).inc()
            log.debug("article dropped", reason=verdict.value, title=article.title)
            return Ack()
        # The raw article's id, so that a repeat after a crash is the same event once more.
        await self._publish(verdict, message.id)
        self._recent.remember(verdict.link_hash)
        metrics.NEWS_FILTER_PASSED.inc()
        log.info(
            "article passed",
            title=verdict.title,
            symbols=verdict.symbols,
            sentiment=verdict.sentiment,
        )
        return Ack()

    def _judge(self, article: NewsFetched, now: datetime) -> NewsFiltered | Rejection:
        if article.link_hash in self._recent:
            return Rejection.ALREADY_PUBLISHED
        return judge(article, now=now, rules=self._rules, scorer=self._scorer)
