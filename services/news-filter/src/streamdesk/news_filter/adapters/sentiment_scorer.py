"""The port of all scorers: `vader/` by words and rules, `finbert/` by a language model.

Both read English alone.
"""

from collections.abc import Sequence
from typing import Protocol

from streamdesk.news_filter.domain.sentiment import Score


class SentimentScorer(Protocol):
    """Gives articles a sentiment; the same article always the same. No input or output."""

    @property
    def name(self) -> str:
        """What it is called in settings, cache keys and logs."""
        ...

    @property
    def version(self) -> str:
        """Another one whenever an article may come out differently; letters and digits."""
        ...

    @property
    def slow(self) -> bool:
        """Whether a batch takes so long that it has to run in a thread; then it may."""
        ...

    def score_many(self, articles: Sequence[tuple[str, str]]) -> list[Score]:
        """The sentiments of articles, each a title and a content, in their order."""
        ...
