"""The result of a round."""

from collections import Counter
from dataclasses import dataclass, field

from streamdesk.news_fetcher.errors import SourceError


@dataclass(slots=True)
class RoundResult:
    """What became of one round.

    Attributes:
        fetched: articles that the source returned.
        published: those that are new in the topic.
        duplicates: those whose link was published before.
        rejected: those that cannot be used, by reason.
        failed: why nothing came about a ticker, by ticker.
        error: the first of those failures.
        stop: the failure after which further requests are useless: a used up quota, a refused key.
        broken: why it ended early through no fault of the source; empty where it did not.
    """

    fetched: int = 0
    published: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    stop: SourceError | None = None
    broken: str = ""

    @property
    def wait_seconds(self) -> float:
        """Seconds that the source asks us to wait before the next request."""
        error = self.error
        return (error.retry_after_seconds or 0.0) if isinstance(error, SourceError) else 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more is to be asked in it."""
        return self.stop is not None or bool(self.broken)
