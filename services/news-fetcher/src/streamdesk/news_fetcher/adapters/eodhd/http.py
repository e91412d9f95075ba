"""One whole answer over HTTP, without the key in any log, error or traceback.

EODHD takes the key as a parameter of the address alone, and addresses end up in logs, errors and
tracebacks. So the client builds addresses without it, and only the transport below the client puts
it in: whatever httpx logs or raises about a request is about one without a key.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr

from streamdesk.news_fetcher.adapters.eodhd.answers import QUOTED_CHARS, READ_HEADERS, EodhdAnswer
from streamdesk.news_fetcher.errors import (
    NewsSourceUnavailableError,
    SourceError,
    SourceUnreadableError,
)

LARGEST_ANSWER_BYTES = 32 * 1024 * 1024
"""A page of a thousand articles is some 5 MB; an endless answer is not read."""

KEY_PARAMETER = "api_token"
_TOKEN = re.compile(rf"{KEY_PARAMETER}=[^&\s\"'<>]*", re.IGNORECASE)
_HIDDEN = "***"
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")


class EodhdHttp:
    """Asks one server; see `get`.

    Raises ValueError where `base_url` is no address.

    Args:
        key: put into each request, nowhere else.
        base_url: scheme, host and port, and a path in front of `/api` if there is one.
        timeout_seconds: for one whole answer, however slowly its bytes come.
        connections: requests at one time.
    """

    def __init__(
        self, key: SecretStr, base_url: str, *, timeout_seconds: float, connections: int
    ) -> None:
        try:
            base = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise ValueError(f"{base_url!r} is no address: {error}") from None
        self.where = f"{base.scheme}://{base.host}{f':{base.port}' if base.port else ''}"
        self._timeout_seconds = timeout_seconds
        self._hide = _Hide(key)
        limits = httpx.Limits(max_connections=connections, keepalive_expiry=15.0)
        # Without TLS there are no certificates to read, which takes a while.
        inner = httpx.AsyncHTTPTransport(
            verify=base.scheme != "http", limits=limits, proxy=_proxy_for(base)
        )
        self._http = httpx.AsyncClient(
            base_url=base,
            transport=_Keyed(key, inner),
            timeout=timeout_seconds,
            follow_redirects=False,
            headers={"accept": "application/json", "user-agent": "streamdesk"},
        )
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._hide)

    async def get(self, path: str, params: Mapping[str, str | int]) -> EodhdAnswer:
        """The whole answer, in time and of a sensible size, whatever its status is.

        Raises:
            NewsSourceUnavailableError: there is none.
            SourceUnreadableError: it is too large, or cannot be decompressed.
        """
        answer = await self._answer(path, params)
        # Raised here, outside of any except: what it would be chained to knows the address.
        if isinstance(answer, SourceError):
            raise answer
        return answer

    async def _answer(
        self, path: str, params: Mapping[str, str | int]
    ) -> EodhdAnswer | SourceError:
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._http.stream("GET", path, params=dict(params)) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER_BYTES:
                        return SourceUnreadableError(
                            f"{self.where} sent more than {LARGEST_ANSWER_BYTES} bytes"
                        )
                hidden = self._hide.body(bytes(body))
                headers = {name: response.headers.get(name, "") for name in READ_HEADERS}
                return EodhdAnswer(response.status_code, headers, hidden, _words(hidden))
        except (TimeoutError, httpx.TimeoutException):
            return NewsSourceUnavailableError(
                f"no whole answer of {self.where} in {self._timeout_seconds:g} s"
            )
        except httpx.DecodingError as error:
            return SourceUnreadableError(f"the answer of {self.where}: {self._described(error)}")
        except (httpx.HTTPError, OSError) as error:
            return NewsSourceUnavailableError(
                f"{self.where} cannot be asked: {self._described(error)}"
            )
        except Exception as error:  # noqa: BLE001 - a library's own slip over an odd answer
            return SourceUnreadableError(f"the answer of {self.where}: {self._described(error)}")

    async def close(self) -> None:
        """Close the connections."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._hide)
        await self._http.aclose()

    def _described(self, error: Exception) -> str:
        text = self._hide.text(str(error))[:QUOTED_CHARS]
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Keyed(httpx.AsyncBaseTransport):
    """Puts the key into a request on its way out."""

    def __init__(self, key: SecretStr, inner: httpx.AsyncBaseTransport) -> None:
        self._key = key
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_merge_params({KEY_PARAMETER: _bare(self._key)})
        sent = httpx.Request(
            request.method, url, headers=request.headers, extensions=request.extensions
        )
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Hide(logging.Filter):
    """Takes the key out of texts, and out of what the HTTP libraries log.

    At debug level they log what a server sends, and a server may repeat the key, for instance in a
    redirect.
    """

    def __init__(self, key: SecretStr) -> None:
        super().__init__()
        bare = _bare(key)
        quoted = {json.dumps(bare)[1:-1], quote(bare), quote(bare, safe=""), quote_plus(bare)}
        spellings = {bare, bare.replace("/", "\\/"), *quoted}  # PHP writes a slash in JSON as \/
        self._spellings = [SecretStr(text) for text in spellings if text]

    def body(self, body: bytes) -> bytes:
        """The body of an answer without the key: what is not there cannot be passed on."""
        for spelling in self._spellings:
            body = body.replace(spelling.get_secret_value().encode(), _HIDDEN.encode())
        return body

    def text(self, text: str) -> str:
        """The text without the key."""
        for spelling in self._spellings:
            text = text.replace(spelling.get_secret_value(), _HIDDEN)
        return _TOKEN.sub(f"{KEY_PARAMETER}={_HIDDEN}", text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, without the key."""
        record.msg, record.args = self.text(record.getMessage()), None
        return True


def _words(body: bytes) -> str:
    """The beginning of a body as one line."""
    text = body[: 4 * QUOTED_CHARS].decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:QUOTED_CHARS]


def _bare(key: SecretStr) -> str:
    """The key without the line end that comes with one from a file."""
    return key.get_secret_value().strip()


def _proxy_for(url: httpx.URL) -> str | None:
    """The proxy that the environment names; httpx looks there only where it makes the transport."""
    return None if proxy_bypass(url.host) else getproxies().get(url.scheme)
