"""Middleware in front of the framework: bounded bodies, metrics, and the fast path.

The most frequent requests, those for analyses, are answered here, in a tenth of the time that the
routing and validation of the framework take. It documents these routes, and answers all others.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamdesk.analysis.entrypoints.http.replies import NOT_MODIFIED, HttpReply, failure, refusal
from streamdesk.analysis.errors import RequestError
from streamdesk.runtime import logger, metrics

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

log = logger(__name__)

LARGEST_BODY_BYTES = 1 << 20
OTHER = "other"

FastPath = Callable[[bytes, bytes], Awaitable[HttpReply]]
"""Answers a request, given its body and its header If-None-Match."""


class FastPathMiddleware:
    """An ASGI application in front of another.

    Args:
        app: answers the other requests.
        fast_paths: POSTs that are answered here, by path.
        routes: paths that metrics name; others are counted as `other`.
    """

    def __init__(
        self, app: ASGIApp, fast_paths: Mapping[str, FastPath], routes: frozenset[str]
    ) -> None:
        self._app = app
        self._fast_paths = fast_paths
        self._routes = routes
        self._meters: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        body = await _body(scope, receive)
        if body is None:  # the client has disconnected
            return
        began = time.perf_counter()
        fast_path = self._fast_paths.get(path) if scope["method"] == "POST" else None
        if len(body) > LARGEST_BODY_BYTES:
            status = await _send(_too_large(), send)
        elif fast_path is not None:
            status = await _send(await _answer(fast_path, body, _if_none_match(scope)), send)
        else:
            status = await self._pass_on(scope, body, receive, send)
        self._count(path if path in self._routes else OTHER, status, time.perf_counter() - began)

    def _count(self, path: str, status: int, seconds: float) -> None:
        # Looking up a metric by its labels takes longer than incrementing it.
        meters = self._meters.get((path, status))
        if meters is None:
            route = path.rpartition("gainer-analysis/")[2]
            meters = self._meters[path, status] = (
                metrics.ANALYSIS_REQUESTS.labels(route, status),
                metrics.ANALYSIS_REQUEST_DURATION.labels(route),
            )
        meters[0].inc()
        meters[1].observe(seconds)

    async def _pass_on(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> int:
        status = 500
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, again, watched)
        return status


async def _answer(fast_path: FastPath, body: bytes, if_none_match: bytes) -> HttpReply:
    try:
        return await fast_path(body, if_none_match)
    except RequestError as error:
        return failure(error)
    except Exception as error:
        log.exception("request failed")
        return failure(error)


def _if_none_match(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            tag: bytes = value
            return tag
    return b""


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The body, cut off above the limit; None if the client disconnected."""
    if scope["method"] in ("GET", "HEAD"):
        return b""
    body = b""
    while len(body) <= LARGEST_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body


def _too_large() -> HttpReply:
    return refusal(
        413,
        f"the body is larger than {LARGEST_BODY_BYTES:,} bytes: split the request",
        [(b"connection", b"close")],
    )


async def _send(reply: HttpReply, send: Send) -> int:
    length = [] if reply.status == NOT_MODIFIED else [(b"content-length", b"%d" % len(reply.body))]
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*reply.headers, *length],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})
    return reply.status
