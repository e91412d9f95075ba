"""The port of all news sources.

A source is a package beside this module, named after the provider. It turns an outside answer into
`RawArticle`s and judges nothing: the rules in `domain/articles.py` hold for every source alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streamdesk.news_fetcher.domain.articles import RawArticle
from streamdesk.news_fetcher.domain.quota import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsQuery:
    """What is asked of a source.

    Attributes:
        ticker: the instrument, in our spelling; None for a source that is not asked by instrument.
        since: articles published before need not come.
        until: now; the end of the time asked for.
    """

    ticker: str | None
    since: datetime
    until: datetime


class NewsSource(Protocol):
    """Where articles come from."""

    @property
    def name(self) -> str:
        """Name of the source in events and metrics."""
        ...

    @property
    def by_ticker(self) -> bool:
        """Whether it is asked once for each instrument, or once for all that is new."""
        ...

    @property
    def quota(self) -> Quota | None:
        """What it allows a day; None where nothing is counted."""
        ...

    @property
    def circuit_open(self) -> bool:
        """Whether it failed several times in a row and is not asked for a while."""
        ...

    async def learn_quota(self) -> bool:
        """Ask for the source's own count of calls; whether it answered. Never raises."""
        ...

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:
        """All articles of the query, oldest first.

        `since` is a wish: a source may return older articles, and the same article in many rounds.

        Raises:
            SourceError: there is no answer, none that can be read, or not the whole of it.
        """
        ...

    async def close(self) -> None:
        """Release what it holds; it is not asked again."""
        ...
