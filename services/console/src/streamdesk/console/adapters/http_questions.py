"""HTTP questions: short time-outs, bounded answers, no redirects, and no secret in a message."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpx

from streamdesk.console.errors import UsageError

ANSWER_SECONDS = 5.0
LARGEST_BYTES = 32 << 20
"""Thousands of rules, or the metrics of any process of ours."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back.

    Args:
        status: HTTP's; 0 for no answer.
        error: why there was none; empty otherwise.
        body: the page.
        headers: with names in lower case.
    """

    status: int = 0
    error: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """The page as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


async def get(base: str, path: str, question: Mapping[str, str] | None = None) -> HttpAnswer:
    """A GET.

    Args:
        base: address of the server, with a path if it has one; user and password may be in it.
        path: from there.
        question: parameters.
    """
    at = shown(base)
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            # No proxy stands before what is watched here.
            httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False, verify=_trust()) as client,
            client.stream("GET", base.rstrip("/") + path, params=question) as answer,
        ):
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST_BYTES:
                    return HttpAnswer(error=f"{at} answers with more than {LARGEST_BYTES:,} bytes")
            return HttpAnswer(answer.status_code, "", bytes(body), dict(answer.headers))
    except (TimeoutError, httpx.TimeoutException):
        return HttpAnswer(error=f"{at} does not answer within {ANSWER_SECONDS:g} s")
    except httpx.HTTPError as error:
        return HttpAnswer(error=f"{at} cannot be reached ({error or type(error).__name__})")


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """The system's authorities, or those that SSL_CERT_FILE names."""
    return ssl.create_default_context()


def shown(base: str) -> str:
    """Where it is, without what may be secret in the address."""
    url = httpx.URL(base)
    return f"{url.host}:{url.port}" if url.port else url.host


def checked(name: str, base: str) -> str:
    """The address, if it is one.

    Args:
        name: what the person calls it.
        base: what they wrote.

    Raises:
        UsageError: it is none.
    """
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"{name} is no address of a server; expected http://host:port")
    return base
