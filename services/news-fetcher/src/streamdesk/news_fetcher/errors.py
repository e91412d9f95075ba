"""What can go wrong with a source or with one of its articles.

    NewsFetcherError
    ├── SourceError             the source gave no answer; the next round asks again
    │   ├── NewsSourceUnavailableError
    │   ├── SourceUnreadableError
    │   ├── SourceBusyError
    │   ├── QuotaExhaustedError     not before 00:00 GMT
    │   ├── KeyRefusedError         not with this key
    │   ├── CircuitOpenError
    │   └── BadRequestError
    ├── RecordingError          a recording cannot be played
    └── ArticleError            one article cannot be used; the others of the round can
        ├── TitleMissingError
        ├── LinkMissingError
        ├── LinkInvalidError
        ├── DateInvalidError
        ├── DateInFutureError
        ├── DateTooOldError
        └── ArticleInvalidError

Every SourceError and ArticleError has a `reason`: short, stable, the label of the metric that
counts it.
"""

from datetime import datetime, timedelta
from typing import ClassVar


class NewsFetcherError(Exception):
    """Anything this service expects to go wrong."""


class SourceError(NewsFetcherError):
    """The source gave no answer that can be used.

    No text and no chained exception of it holds a key, or an address with its query.

    Attributes:
        reason: short, stable, the label of the metric that counts it.
        retry_after_seconds: when asking again makes sense, if that is known.
    """

    reason: ClassVar[str] = "source"

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NewsSourceUnavailableError(SourceError):
    """No whole answer: network, time-out, a cut connection, or a fault of the server (5xx)."""

    reason = "unavailable"


class SourceUnreadableError(SourceError):
    """An answer, but not what was agreed: not JSON, another shape, too large, a redirect."""

    reason = "unreadable"


class SourceBusyError(SourceError):
    """Asked more often than is allowed (429); nothing is asked before `retry_after_seconds`."""

    reason = "rate-limited"


class QuotaExhaustedError(SourceError):
    """The calls of the day are used up (402), or would be by this request.

    Attributes:
        until: when calls are allowed again, in UTC.
    """

    reason = "quota-exhausted"

    def __init__(self, message: str, *, until: datetime, now: datetime) -> None:
        super().__init__(message, max(0.0, (until - now).total_seconds()))
        self.until = until


class KeyRefusedError(SourceError):
    """The key is not accepted (401, 403); asking again with the same one cannot help."""

    reason = "key-refused"


class CircuitOpenError(SourceError):
    """The source failed several times in a row: it is not asked until its pause is over."""

    reason = "circuit-open"


class BadRequestError(SourceError):
    """The source does not understand the request (other 4xx); the same one cannot help."""

    reason = "bad-request"


class RecordingError(NewsFetcherError):
    """A recording is missing, empty, or has a line that is no JSON object."""


class ArticleError(NewsFetcherError):
    """One article cannot be used; asking again cannot help."""

    reason = "article"


class TitleMissingError(ArticleError):
    """There is no headline, so there is nothing to score."""

    reason = "title-missing"

    def __init__(self, link: object) -> None:
        super().__init__(f"the article at {str(link)[:200]!r} has no title")


class LinkMissingError(ArticleError):
    """There is no link, so the article cannot be distinguished from others."""

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


class DateTooOldError(ArticleError):
    """The article is older than published links are remembered, so it may be a repeat."""

    reason = "date-too-old"

    def __init__(self, published_at: datetime, oldest: timedelta) -> None:
        super().__init__(
            f"the publication time {published_at.isoformat()} is more than {oldest} ago: the "
            "article might have been published here before"
        )


class ArticleInvalidError(ArticleError):
    """The article does not fit the NewsFetched event, whatever the other rules say."""

    reason = "article-invalid"
