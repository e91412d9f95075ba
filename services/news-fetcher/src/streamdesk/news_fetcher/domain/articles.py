"""The rules for raw articles: what is usable, and what an event takes from one."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from streamdesk.contracts.base import summary
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.symbols import canonical_symbol, is_share
from streamdesk.contracts.topics import NEWS_WINDOW_SECONDS
from streamdesk.news_fetcher.domain.links import link_hash, normalise_link
from streamdesk.news_fetcher.errors import (
    ArticleInvalidError,
    DateInFutureError,
    DateInvalidError,
    DateTooOldError,
    LinkMissingError,
    TitleMissingError,
)

# Bounds of the NewsFetched event, and what is sensible for lists it leaves open.
TITLE_MAX_CHARS = 1_000
TAGS_MAX = 50
TAG_MAX_CHARS = 100
SYMBOLS_MAX = 100

LONGEST_LOOKBACK_HOURS = NEWS_WINDOW_SECONDS // 3_600 - 24
"""A day less than the server knows the ids of published articles. A source that knows days only
returns up to a day more than it is asked for: what it returns is either known, or refused here as
too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArticle:
    """An article as the source gave it; nothing is checked yet, hence `object`.

    Attributes:
        title: the headline.
        link: the address of the article.
        published_at: a datetime, or text in ISO 8601; UTC where it names no zone.
        content: the text, as far as the source gives it.
        symbols: a list or tuple of the instruments it is about, in the source's spelling.
        tags: a list or tuple of the source's own topics.
        polarity: the source's own sentiment, -1 to 1, if it gives one.
    """

    title: object
    link: object
    published_at: object
    content: object = ""
    symbols: object = ()
    tags: object = ()
    polarity: object = None


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds that are settings.

    Attributes:
        content_max_chars: longer texts are cut; the filter reads the beginning only.
        future_tolerance: how far ahead of us the source's clock may be.
        oldest: articles published longer ago are refused.
    """

    content_max_chars: int
    future_tolerance: timedelta
    oldest: timedelta = timedelta(hours=LONGEST_LOOKBACK_HOURS)


def accept(
    raw: RawArticle,
    *,
    source: str,
    fetched_at: datetime,
    limits: FetchLimits,
    ticker: str | None = None,
) -> NewsFetched:
    """The event of a raw article that came when `ticker` was asked about.

    Too much text is cut, symbols of other markets and a polarity out of bounds are left out:
    the article is still news without them.

    Raises:
        ArticleError: the article cannot be used; the subclass says why.
    """
    title = clean(raw.title)
    if not title:
        raise TitleMissingError(raw.link)
    link = clean(raw.link)
    if not link:
        raise LinkMissingError(title)
    link = normalise_link(link)
    published_at = _published_at(raw, fetched_at, limits)
    try:
        return NewsFetched(
            link_hash=link_hash(link),
            title=title[:TITLE_MAX_CHARS],
            content=clean(raw.content)[: limits.content_max_chars],
            link=link,
            source=source,
            published_at=published_at,
            fetched_at=fetched_at,
            symbols=read_symbols(raw.symbols),
            tags=_read_tags(raw.tags),
            polarity=_read_polarity(raw.polarity),
            ticker=ticker,
        )
    except ValidationError as error:
        raise ArticleInvalidError(f"{link!r} does not fit NewsFetched: {summary(error)}") from error


def published(article: RawArticle) -> datetime | None:
    """When it was published, in UTC; None if that cannot be read."""
    with contextlib.suppress(ValueError, OverflowError, TypeError, AttributeError):
        read = datetime.fromisoformat(str(article.published_at).strip())
        return read.replace(tzinfo=UTC) if read.utcoffset() is None else read.astimezone(UTC)
    return None


def _published_at(raw: RawArticle, fetched_at: datetime, limits: FetchLimits) -> datetime:
    published_at = read_date(raw.published_at, fetched_at, limits.future_tolerance)
    if fetched_at - published_at > limits.oldest:
        raise DateTooOldError(published_at, limits.oldest)
    return published_at


def clean(value: object) -> str:
    """Text with single spaces, without control characters or broken Unicode; else empty."""
    if not isinstance(value, str):
        return ""
    valid = value.encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(c if c.isprintable() else " " for c in valid).split())


def event_id(article: NewsFetched) -> str:
    """The id of an article's event: the same whenever and by whomever it is published."""
    return f"news-{article.link_hash}"


def read_date(value: object, now: datetime, tolerance: timedelta) -> datetime:
    """The publication time in UTC; a time that names no zone is UTC.

    A time ahead of `now` by no more than `tolerance` becomes `now`: nothing is published later
    than it is fetched. Old times are no error: how old is too old is for the filter to say.

    Raises:
        DateInvalidError: missing, or neither a datetime nor ISO 8601.
        DateInFutureError: ahead of `now` by more than `tolerance`.
    """
    try:
        read = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if not isinstance(read, datetime):
            raise DateInvalidError(value)
        zoned = read.replace(tzinfo=UTC) if read.utcoffset() is None else read.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # overflow: year 1 east of Greenwich
        raise DateInvalidError(value) from error
    ahead = zoned - now
    if ahead > tolerance:
        raise DateInFutureError(zoned, ahead, tolerance)
    return min(zoned, now)


def read_symbols(values: object) -> tuple[str, ...]:
    """The symbols in our spelling, each once; those of other markets are left out."""
    spelled = (canonical_symbol(clean(value)) for value in _items(values))
    return tuple(dict.fromkeys(symbol for symbol in spelled if is_share(symbol)))[:SYMBOLS_MAX]


def _items(values: object) -> Sequence[object]:
    return values if isinstance(values, (list, tuple)) else ()


def _read_tags(values: object) -> tuple[str, ...]:
    tags = (clean(value)[:TAG_MAX_CHARS] for value in _items(values))
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:TAGS_MAX]


def _read_polarity(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and -1 <= value <= 1 else None
