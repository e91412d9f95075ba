"""What EODHD's answers mean: articles, a count of calls, or one of our errors. No I/O."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from streamdesk.news_fetcher.domain.articles import RawArticle
from streamdesk.news_fetcher.errors import (
    BadRequestError,
    KeyRefusedError,
    NewsSourceUnavailableError,
    SourceBusyError,
    SourceError,
    SourceUnreadableError,
)

SLOW_DOWN_SECONDS = 60.0
"""To wait after a 429 that does not say how long: its minute is over then."""

LONGEST_WAIT_SECONDS = 3_600.0
"""A Retry-After of more is not believed."""

HONG_KONG_DIGITS = 4
READ_HEADERS = ("date", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining")
QUOTED_CHARS = 120
SHORT_BYTES = 10_000  # an error is short; a page of articles is not searched for one

_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 3, 4, 5  # hundreds
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_IN_WORDS = {
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
}


@dataclass(frozen=True, slots=True)
class EodhdAnswer:
    """A whole answer.

    Attributes:
        status: of HTTP.
        headers: `READ_HEADERS`, empty where there is none.
        body: decompressed, without the key.
        words: the beginning of the body as text for a person.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    words: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The provider's own count: calls used today, and calls a day."""

    used: int
    limit: int


def their_ticker(symbol: str) -> str:
    """The instrument in EODHD's spelling.

    It pads Hong Kong's codes with zeros, as in 0700.HK, and writes a class of US shares after a
    hyphen, as in BRK-B.US.
    """
    code, _, market = symbol.rpartition(".")
    if market == "HK":
        return f"{code.zfill(HONG_KONG_DIGITS)}.HK"
    return f"{code.replace('.', '-')}.US" if market == "US" else symbol


def meaning(answer: EodhdAnswer) -> int:
    """The status that is meant: some errors come as 200, or in words alone.

    A key that is not known is answered with the plain word `Unauthenticated`; a limit of the day
    may be reported as one of the minute (429); `code` in an object stands for a status.
    """
    status = answer.status
    # A page of articles may contain any of the words below.
    if len(answer.body) > SHORT_BYTES:
        return status
    words = answer.body.decode(errors="replace").strip().lower()
    # To wait a minute would not help: the limit of the day is another error with another wait.
    if status == HTTPStatus.TOO_MANY_REQUESTS and ("daily" in words or "per day" in words):
        return HTTPStatus.PAYMENT_REQUIRED
    if status != HTTPStatus.OK:
        return status
    # 200 with a plain word would count as unreadable, and the key be used again next round.
    if words.strip('".') in _IN_WORDS:
        return _IN_WORDS[words.strip('".')]
    parsed = _parsed(answer.body) if words.startswith("{") else None
    code = parsed.get("code") if isinstance(parsed, dict) else None
    if isinstance(code, int) and code // 100 in (_CLIENT_ERROR, _SERVER_ERROR):
        return code
    return status


def error_of(status: int, answer: EodhdAnswer, where: str) -> SourceError | None:
    """The error that a status stands for; None for 200. The limit of the day (402) is not here."""
    said = f"{where} answered {status}" + (f": {answer.words}" if answer.words else "")
    error: SourceError | None = None
    if status in _REFUSED:
        error = KeyRefusedError(
            f"the key is refused: {said}. Give a key that is valid for news in EODHD_API_KEY, "
            "and restart"
        )
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        wait_seconds = retry_after_seconds(answer.headers) or SLOW_DOWN_SECONDS
        error = SourceBusyError(
            f"{said}; it is not asked for {wait_seconds:.0f} s. Ask for fewer tickers, or less "
            "often",
            wait_seconds,
        )
    elif status == HTTPStatus.REQUEST_TIMEOUT or status // 100 == _SERVER_ERROR:
        error = NewsSourceUnavailableError(said, retry_after_seconds(answer.headers))
    elif status // 100 == _CLIENT_ERROR:
        error = BadRequestError(f"the request is not understood: {said}")
    elif status // 100 == _REDIRECT:
        error = SourceUnreadableError(
            f"{where} answered {status}, a redirect, which is not followed: it would carry the key "
            "along. Set EODHD_URL to where the API is"
        )
    elif status != HTTPStatus.OK:
        error = SourceUnreadableError(f"{said}; expected 200 and a list of articles")
    return error


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After, also where it is a date beside Date; None if it is unreadable."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT_SECONDS)
    with contextlib.suppress(KeyError, TypeError, ValueError, IndexError, OverflowError):
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers["date"])
        return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT_SECONDS)
    return None


def rate_limit(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """X-RateLimit-Limit and -Remaining: requests a minute, and how many of them are left."""
    limit, left = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
    if all(text.isascii() and text.isdigit() for text in (limit, left)):
        return int(limit[:9]), int(left[:9])
    return None


def read_articles(answer: EodhdAnswer, where: str) -> list[RawArticle]:
    """The articles of a page, in its order.

    What is no article in a list of articles is passed on as one without a title: the rules count
    it, and the others can be used.

    Raises:
        SourceUnreadableError: not JSON, or not a list of articles.
    """
    found = _parsed(answer.body)
    if not isinstance(found, list):
        kind = _kind(answer.body, found)
        raise SourceUnreadableError(f"{where} sent {kind}, not a list of articles: {answer.words}")
    if found and not any(isinstance(one, dict) for one in found):
        raise SourceUnreadableError(
            f"{where} sent a list of {len(found)}, none of them an article: {answer.words}"
        )
    return [_article(one if isinstance(one, dict) else {}) for one in found]


def read_usage(body: bytes, today: date) -> Usage | None:
    """The count of /api/user; None if it cannot be read.

    It is about the last day on which the key was used, so it may be yesterday's.
    """
    found = _parsed(body)
    if not isinstance(found, dict):
        return None
    used, limit = _calls(found.get("apiRequests")), _calls(found.get("dailyRateLimit"))
    if used is None or limit is None:
        return None
    used = used if str(found.get("apiRequestsDate"))[:10] == today.isoformat() else 0
    extra = _calls(found.get("extraLimit")) or 0  # what is left of calls that were bought
    return Usage(used, max(used, limit) + extra if extra else limit)


def _article(found: dict[str, Any]) -> RawArticle:
    sentiment = found.get("sentiment")
    return RawArticle(
        title=found.get("title"),
        link=found.get("link"),
        published_at=found.get("date"),
        content=found.get("content") or "",
        symbols=found.get("symbols") or (),
        tags=found.get("tags") or (),
        polarity=sentiment.get("polarity") if isinstance(sentiment, dict) else None,
    )


class _NotJson:
    """Stands for what cannot be parsed; None is JSON's null."""


def _parsed(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):  # also bytes that are no text
        return _NotJson()
    return found


def _kind(body: bytes, found: object) -> str:
    if isinstance(found, _NotJson):
        return "what is not JSON" if body.strip() else "an empty answer"
    names = {dict: "an object", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(found), "a number")


def _calls(number: object) -> int | None:
    text = str(number)
    whole = not isinstance(number, bool) and text.isascii() and text.isdigit()
    return int(text[:12]) if whole else None
