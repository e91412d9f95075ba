"""A batch of raw articles comes in; what is not done goes back to the bus."""

from streamdesk.bus import Batch, Dead, Outcome, Retry
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_filter.application.filter_articles import NewsFilter, UnfinishedArticle


class RawArticleConsumer:
    """Handles batches of the topic of raw articles.

    Args:
        news_filter: judges and publishes.
    """

    def __init__(self, news_filter: NewsFilter) -> None:
        self._filter = news_filter

    async def handle(self, batch: Batch[NewsFetched]) -> dict[int, Outcome]:
        """Filter a batch.

        Returns:
            The outcomes of articles that are not done, by position: to be tried again while the
            bus is unreachable, dead where trying again is no use.
        """
        # By position: a message is made when it is asked for, and most are not.
        unfinished = await self._filter.filter(batch.events, lambda at: batch[at].id)
        return {at: _outcome(article) for at, article in unfinished.items()}


def _outcome(article: UnfinishedArticle) -> Outcome:
    if article.outcome is None:
        return Retry(why=article.problem)
    return Dead(article.outcome.value, article.problem)
