"""Replies as bytes: the envelope, the headers, and the status of an error.

A cached analysis is sent as the bytes that the cache has, without parsing or encoding.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.responses import Response

from streamdesk.analysis.adapters.cache.cached_analysis import CachedAnalysis, weak_tag
from streamdesk.analysis.application.analyses.outcomes import AnalysisOutcome
from streamdesk.analysis.errors import (
    BusyScheduleError,
    JobRunningError,
    NotEnoughBarsError,
    RequestError,
)
from streamdesk.bus import BusUnavailableError, ServerFullError
from streamdesk.market.errors import BarSourceUnavailableError, MarketError, UnknownInstrumentError

Headers = list[tuple[bytes, bytes]]

_OPEN = b'{"code":1,"msg":"success","data":'
_MARKS = {
    (cached, stale): b',"cached":%s,"stale":%s}'
    % (json.dumps(cached).encode(), json.dumps(stale).encode())
    for cached in (True, False)
    for stale in (True, False)
}
_JSON = (b"content-type", b"application/json")
NOT_MODIFIED = 304
RETRY_SECONDS = 5

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (UnknownInstrumentError, 404),
    (NotEnoughBarsError, 404),
    (BusyScheduleError, 409),
    (JobRunningError, 409),
    (MarketError, 503),
    (BusUnavailableError, 503),
    (ServerFullError, 503),
)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP response.

    Args:
        status: of HTTP.
        body: all of it.
        headers: without Content-Length.
    """

    status: int
    body: bytes
    headers: Headers

    def response(self) -> Response:
        """The response as an object of Starlette."""
        response = Response(self.body, self.status)
        length = response.raw_headers if self.status != NOT_MODIFIED else []
        response.raw_headers = [*self.headers, *length]
        return response


class AnalysisReplies:
    """Replies with analyses.

    Args:
        soft_seconds: age from which an analysis is stale.
        ttl_seconds: age at which it expires.
    """

    def __init__(self, soft_seconds: float, ttl_seconds: float) -> None:
        fresh, stale = int(soft_seconds), int(ttl_seconds) - int(soft_seconds)
        self._control = (
            b"cache-control",
            b"max-age=%d, stale-while-revalidate=%d" % (fresh, stale),
        )

    def one(self, outcome: AnalysisOutcome, if_none_match: bytes) -> HttpReply:
        """The reply about one symbol."""
        if outcome.entry is None:
            return failure(outcome.error)
        headers = self._headers(outcome.entry.etag, outcome.entry.age_seconds())
        if matches(outcome.entry.etag, if_none_match):
            return HttpReply(NOT_MODIFIED, b"", headers[1:])
        return HttpReply(200, _OPEN + marked(outcome.entry, outcome) + b"}", headers)

    def many(self, outcomes: Mapping[str, AnalysisOutcome], if_none_match: bytes) -> HttpReply:
        """The reply about several symbols, in the order asked; an error only if all failed."""
        found = [(each.entry, each) for each in outcomes.values() if each.entry is not None]
        errors = {name: str(each.error) for name, each in outcomes.items() if each.entry is None}
        # With at least one analysis the request succeeded: the errors of others are in its data.
        if not found:
            return failure(_mildest([each.error for each in outcomes.values()]))
        tags = [entry.etag for entry, _ in found]
        # Errors belong to the tag: a symbol that fails must not look unchanged.
        etag = weak_tag(b"".join((*tags, json.dumps(errors).encode())))
        headers = self._headers(etag, max(entry.age_seconds() for entry, _ in found))
        if matches(etag, if_none_match):
            return HttpReply(NOT_MODIFIED, b"", headers[1:])
        counts = {
            "total": len(outcomes),
            "succeeded": len(found),
            "failed": len(errors),
            "cached": sum(outcome.cached for _, outcome in found),
        }
        # Joined from bytes: to encode a batch again would cost more than all the rest.
        head = json.dumps(counts, separators=(",", ":"))[:-1].encode()
        results = b",".join([marked(entry, outcome) for entry, outcome in found])
        tail = b'],"errors":%s}}' % json.dumps(errors).encode()
        return HttpReply(200, b"".join((_OPEN, head, b',"results":[', results, tail)), headers)

    def _headers(self, etag: bytes, age_seconds: float) -> Headers:
        return [_JSON, (b"etag", etag), (b"age", b"%d" % age_seconds), self._control]


def marked(entry: CachedAnalysis, outcome: AnalysisOutcome) -> bytes:
    """The analysis with the fields of this reply alone."""
    return entry.body[:-1] + _MARKS[outcome.cached, outcome.stale]


def matches(etag: bytes, if_none_match: bytes) -> bool:
    """Whether the client has this already (RFC 9110, 13.1.2: compared weakly)."""
    if not if_none_match:
        return False
    return if_none_match.strip() == b"*" or etag.removeprefix(b"W/") in if_none_match


def success(data: BaseModel | Sequence[BaseModel] | None, status: int = 200) -> HttpReply:
    """The reply to any other request that succeeded."""
    if isinstance(data, BaseModel):
        body = data.model_dump_json().encode()
    elif data is None:
        body = b"null"
    else:
        body = b"[%s]" % b",".join([each.model_dump_json().encode() for each in data])
    return HttpReply(status, _OPEN + body + b"}", [_JSON])


def refusal(status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> HttpReply:
    """A reply that says what is wrong and what to do."""
    body = json.dumps({"code": 0, "msg": message, "data": None}, separators=(",", ":"))
    return HttpReply(status, body.encode(), [_JSON, *headers])


def failure(error: Exception | None) -> HttpReply:
    """The reply about an error: its status, and for some when to try again."""
    if isinstance(error, RequestError):
        return refusal(error.status, str(error))
    status = status_of(error)
    if status == 500:  # noqa: PLR2004 - the status of unforeseen errors
        return refusal(status, "something failed here that should not; the service's log says how")
    headers: Headers = []
    if status == 503:  # noqa: PLR2004 - the one status with Retry-After
        wait = error.retry_after_seconds if isinstance(error, BarSourceUnavailableError) else None
        headers.append((b"retry-after", b"%d" % math.ceil(wait or RETRY_SECONDS)))
    return refusal(status, str(error), headers)


def status_of(error: Exception | None) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def _mildest(errors: Sequence[Exception | None]) -> Exception | None:
    """Of several errors one that a retry may resolve, if there is one: a 503."""
    return max(errors, key=lambda error: status_of(error) == 503)  # noqa: PLR2004 - the one status with Retry-After
