"""What can be wrong with a source or with one of its articles.

    NewsFetcherError
    ├── SourceError             the source gave no answer; the next round asks again
    └── ArticleError            one article cannot be used; the others of the round can
        ├── TitleMissingError
        ├── LinkMissingError
        ├── LinkInvalidError
        ├── DateInvalidError
        ├── DateInFutureError
        └── ArticleInvalidError

Every ArticleError has a `reason`: short, stable, the label of the metric that counts it.
"""

from datetime import datetime, timedelta


class NewsFetcherError(Exception):
    """Anything this service expects to go wrong."""


class SourceError(NewsFetcherError):
    """The source gave no answer that can be read."""


class ArticleError(NewsFetcherError):
    """One article cannot be used; asking again cannot help."""

    reason = "article"


class TitleMissingError(ArticleError):
    """There is no headline, so there is nothing to score."""

    reason = "title-missing"

    def __init__(self, link: object) -> None:
        super().__init__(f"the article at {str(link)[:200]!r} has no title")


class LinkMissingError(ArticleError):
    """There is no link, so the article cannot be told from others."""

    reason = "link-missing"

    def __init__(self, title: object) -> None:
        super().__init__(f"the article {str(title)[:200]!r} has no link")


class LinkInvalidError(ArticleError):
    """The link is not an absolute http or https address of a usable length."""

    reason = "link-invalid"

    def __init__(self, link: str, expected: str) -> None:
        super().__init__(f"the link {link[:200]!r} cannot be used; expected {expected}")


class DateInvalidError(ArticleError):
    """There is no publication time, or it cannot be read."""

    reason = "date-invalid"

    def __init__(self, value: object) -> None:
        super().__init__(
            f"the publication time {str(value)[:80]!r} cannot be read; expected ISO 8601, "
            "as in 2026-11-20T15:29:00Z"
        )


class DateInFutureError(ArticleError):
    """The article claims to be published later than now, by more than clocks differ."""

    reason = "date-in-future"

    def __init__(self, published_at: datetime, ahead: timedelta, tolerance: timedelta) -> None:
        super().__init__(
            f"the publication time {published_at.isoformat()} is {ahead} ahead of now; "
            f"at most {tolerance} is taken for a clock that is wrong"
        )


class ArticleInvalidError(ArticleError):
    """The article does not fit the NewsFetched event, whatever the other rules say."""

    reason = "article-invalid"
