"""A server with EODHD's documented news API, which can be scripted to misbehave.

Tests run it in their own loop (`EodhdServer().running()`). It is also a program of its own that
needs only Python: `python tests/eodhd_server.py --port 8080 --generate 200`; a running one
is scripted over HTTP (`POST /_script`, `POST /_articles`, `GET /_requests`).

What it follows: https://eodhd.com/financial-apis/stock-market-financial-news-api and
https://eodhd.com/financial-apis/api-limits. Pages by limit and offset, newest first; `from` and
`to` are days, both included; 5 calls a request and 5 a ticker.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "0123456789abcdef.87654321"  # a placeholder in the shape of a key
LARGEST_LIMIT = 1_000
DEFAULT_LIMIT = 50

Article = dict[str, Any]


@dataclass
class Asked:
    """A request.

    Attributes:
        path: without the query.
        asked: the parameters, the key among them.
        calls: what the provider charges for it; 0 when it was refused.
    """

    path: str
    asked: dict[str, str]
    calls: int = 0


Answer = Callable[["EodhdServer", asyncio.StreamWriter, Asked], Awaitable[None]]


def article(
    number: int,
    at: datetime,
    symbols: Sequence[str] = ("AAPL.US",),
    *,
    title: str = "",
    polarity: float | None = 0.5,
    **changes: Any,
) -> Article:
    """An article as EODHD sends it. `polarity=None` leaves the sentiment out."""
    made: Article = {
        "date": at.astimezone(UTC).isoformat(timespec="seconds"),
        "title": title or f"Story {number}: profit beats estimates",
        "content": f"The text of story {number}. It continues elsewhere [...]",
        "link": f"https://news.example/{number}",
        "symbols": list(symbols),
        "tags": ["EARNINGS RESULTS"],
    }
    if polarity is not None:
        made["sentiment"] = {"polarity": polarity, "neg": 0.1, "neu": 0.7, "pos": 0.2}
    return made | changes


@dataclass
class EodhdServer:
    """Answers `GET /api/news` and `GET /api/user`.

    Attributes:
        articles: all that there is, in any order.
        key: the one that is accepted; empty: any.
        calls_per_day: its daily limit; beyond, 402.
        extra_calls: calls that were bought beyond it, as /api/user says.
        calls_per_minute: requests a minute; beyond, 429. In X-RateLimit-Limit.
        largest_page: it sends no longer pages, whatever `limit` asks for.
        used: calls counted today.
        counted_on: the day that /api/user says `used` is about, when it is not today.
        answers: what it does about the next requests for news instead, one after another.
        always: what it does about all requests for news, if set.
        user: what it does about requests for /api/user, if set.
        after_page: done after the next answers with articles, one after another: more arrive.
        requests: all requests, in order.
        most_at_once: the most requests for news that were in progress at once.
    """

    articles: list[Article] = field(default_factory=list)
    key: str = KEY
    calls_per_day: int = 100_000
    extra_calls: int = 0
    calls_per_minute: int = 1_000
    largest_page: int = LARGEST_LIMIT
    used: int = 0
    counted_on: str = ""
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    user: Answer | None = None
    after_page: list[Callable[["EodhdServer"], None]] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _at_once: int = 0
    _minute: tuple[int, int] = (0, 0)
    _handlers: set["asyncio.Task[None]"] = field(default_factory=set)

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator["EodhdServer"]:
        """Listen, by default on a free port of loopback."""
        server = await asyncio.start_server(self._connection, host, port)
        self.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for handler in self._handlers:
                handler.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    @property
    def news(self) -> list[dict[str, str]]:
        """The parameters of the requests for news, in order."""
        return [request.asked for request in self.requests if request.path == "/api/news"]

    @property
    def calls(self) -> int:
        """What all requests together were charged."""
        return sum(request.calls for request in self.requests)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = head.lower().partition("content-length:")[2].split("\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                method, target = head.split(" ", 2)[:2]
                await self._request(method, target, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the server is stopped
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _request(
        self, method: str, target: str, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        parts = urlsplit(target)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/_"):
            await self._control(method, parts.path, body, writer)
        elif parts.path == "/api/user":
            self.requests.append(Asked(parts.path, asked))
            await (self.user or EodhdServer.usage)(self, writer, self.requests[-1])
        elif parts.path == "/api/news":
            await self._news(asked, writer)
        else:
            await self.send(writer, 404, b"Not found")

    async def _news(self, asked: dict[str, str], writer: asyncio.StreamWriter) -> None:
        minute, count = int(time.time() // 60), self._minute[1]
        self._minute = (minute, count + 1 if minute == self._minute[0] else 1)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            scripted = self.answers.pop(0) if self.answers else self.always
            request = Asked("/api/news", asked, 0 if scripted else self._charge(asked))
            self.requests.append(request)
            await (scripted or EodhdServer.page)(self, writer, request)
        finally:
            self._at_once -= 1

    def _charge(self, asked: dict[str, str]) -> int:
        """Calls of the request; 0 when there are not enough of them, or it is refused."""
        calls = 5 + 5 * len([ticker for ticker in asked.get("s", "").split(",") if ticker])
        if self._refusal(asked) or self.used + calls > self.calls_per_day + self.extra_calls:
            return 0
        self.used += calls
        return calls

    def _refusal(self, asked: dict[str, str]) -> tuple[int, bytes] | None:
        limit, offset = asked.get("limit", str(DEFAULT_LIMIT)), asked.get("offset", "0")
        if not asked.get("api_token") or (self.key and asked["api_token"] != self.key):
            return 403, b"Unauthenticated"
        if self._minute[1] > self.calls_per_minute:
            return 429, b'{"error":"API rate limit exceeded"}'
        if not asked.get("s") and not asked.get("t"):
            return 422, b'{"errors":{"s":["s or t is required."]}}'
        if not limit.isdigit() or not 1 <= int(limit) <= LARGEST_LIMIT or not offset.isdigit():
            return 422, b'{"errors":{"limit":["limit is from 1 to 1000, offset from 0."]}}'
        return None

    async def page(self, writer: asyncio.StreamWriter, request: Asked) -> None:
        """The answer that EODHD would give."""
        await self.send(writer, *self.content(request))
        if self.after_page:
            self.after_page.pop(0)(self)

    def content(self, request: Asked) -> tuple[int, bytes]:
        """Status and body of that answer."""
        refusal = self._refusal(request.asked)
        if refusal is not None:
            return refusal
        if not request.calls:
            return 402, b'{"error":"You exceeded your daily API requests limit.","code":402}'
        return 200, json.dumps(self._matching(request.asked)).encode()

    def _matching(self, asked: dict[str, str]) -> list[Article]:
        tickers, first, last = set(asked.get("s", "").split(",")), "from", "to"
        found = [
            made
            for made in self.articles
            if tickers & set(made["symbols"])
            and asked.get(first, "") <= made["date"][:10] <= asked.get(last, "9999")
        ]
        found.sort(key=lambda made: str(made["date"]), reverse=True)
        limit = min(int(asked.get("limit", DEFAULT_LIMIT)), self.largest_page)
        offset = int(asked.get("offset", 0))
        return found[offset : offset + limit]

    async def usage(self, writer: asyncio.StreamWriter, request: Asked) -> None:
        """The answer to /api/user."""
        if self.key and request.asked.get("api_token") != self.key:
            return await self.send(writer, 403, b"Unauthenticated")
        answer = {
            "name": "A Subscriber",
            "subscriptionType": "monthly",
            "apiRequests": self.used,
            "apiRequestsDate": self.counted_on or f"{datetime.now(UTC):%Y-%m-%d}",
            "dailyRateLimit": self.calls_per_day,
            "extraLimit": self.extra_calls,
        }
        return await self.send(writer, 200, json.dumps(answer).encode())

    async def send(
        self, writer: asyncio.StreamWriter, code: int, body: bytes, **headers: str
    ) -> None:
        """An answer with the headers that EODHD sends."""
        writer.write(self.head(code, len(body), **headers) + body)
        await writer.drain()

    def head(self, code: int, length: int, **headers: str) -> bytes:
        """The head of an answer; `_` in the name of a header is `-`."""
        left = max(0, self.calls_per_minute - self._minute[1])
        fields = {
            "Content-Type": "application/json",
            "Content-Length": str(length),
            "X-RateLimit-Limit": str(self.calls_per_minute),
            "X-RateLimit-Remaining": str(left),
        }
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Unknown"
        return f"HTTP/1.1 {code} {phrase}\r\n{lines}\r\n".encode()

    async def _control(
        self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        """What another process says: see `scripted`."""
        if (method, path) == ("POST", "/_articles"):
            self.articles += json.loads(body)
        elif (method, path) == ("POST", "/_script"):
            script = json.loads(body)
            self.answers = [scripted(one) for one in script.get("answers", [])]
            self.always = scripted(script["always"]) if script.get("always") else None
        elif (method, path) != ("GET", "/_requests"):
            return await self.send(writer, 404, b"Not found")
        shown = [{"path": one.path, "calls": one.calls, **one.asked} for one in self.requests]
        for one in shown:
            one.pop("api_token", None)
        return await self.send(writer, 200, json.dumps(shown).encode())


def status(code: int, body: bytes = b"{}", **headers: str) -> Answer:
    """An answer with this status, body and headers."""

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, _: Asked) -> None:
        await server.send(writer, code, body, **headers)

    return answer


def raw(answer_bytes: bytes) -> Answer:
    """These bytes, whatever they are, and the end of the connection."""

    async def answer(_: EodhdServer, writer: asyncio.StreamWriter, __: Asked) -> None:
        writer.write(answer_bytes)
        await writer.drain()
        writer.close()

    return answer


def too_many(retry_after: str = "") -> Answer:
    """429, with Retry-After where one is given."""
    body = b'{"error":"API rate limit exceeded"}'
    return status(429, body, X_RateLimit_Remaining="0", Retry_After=retry_after)


def quota_gone() -> Answer:
    """402, whatever was used."""
    return status(402, b'{"error":"You exceeded your daily API requests limit.","code":402}')


def cut(sent: int) -> Answer:
    """The connection is cut after so many bytes of the whole answer's body; -1: before its head."""

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, asked: Asked) -> None:
        code, body = server.content(Asked(asked.path, asked.asked, calls=1))
        if sent >= 0:
            writer.write(server.head(code, len(body) + 1) + body[:sent])
            await writer.drain()
        writer.close()

    return answer


def drip(pause_seconds: float = 0.01) -> Answer:
    """One byte after another, each well within a read time-out, and no end."""

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, _: Asked) -> None:
        writer.write(server.head(200, 10_000_000) + b"[")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return answer


def flood() -> Answer:
    """More and more, as fast as it is taken."""

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, _: Asked) -> None:
        writer.write(server.head(200, 10**12) + b"[")
        while True:
            writer.write(b"[1,2]," * 10_000)
            await writer.drain()

    return answer


def silence() -> Answer:
    """Nothing at all; the connection stays."""

    async def answer(*_: Any) -> None:
        await asyncio.Event().wait()

    return answer


async def proper(server: EodhdServer, writer: asyncio.StreamWriter, asked: Asked) -> None:
    """The answer that EODHD would give, charged for."""
    asked.calls = server._charge(asked.asked)
    await server.page(writer, asked)


def gate(opened: asyncio.Event) -> Answer:
    """The proper answer, once the event is set."""

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, asked: Asked) -> None:
        await opened.wait()
        await proper(server, writer, asked)

    return answer


def every(count: int, bad: Answer) -> Answer:
    """For `always`: each so-many-th request is answered badly, the others properly."""
    seen = 0

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, asked: Asked) -> None:
        nonlocal seen
        seen += 1
        if seen % count == 0:
            return await bad(server, writer, asked)
        return await proper(server, writer, asked)

    return answer


def scripted(what: dict[str, Any]) -> Answer:
    """An answer from JSON.

    `{"status": 503, "body": "", "headers": {}}`, `{"cut": 100}`, `{"silence": true}`,
    `{"drip": true}` or `{"flood": true}`; with `"every": 4` each fourth request alone.
    """
    kinds: dict[str, Callable[[], Answer]] = {
        "cut": lambda: cut(int(what["cut"])),
        "silence": silence,
        "drip": drip,
        "flood": flood,
    }
    made = next((make for kind, make in kinds.items() if kind in what), None)
    answer = (
        made()
        if made
        else status(what["status"], what.get("body", "{}").encode(), **what.get("headers", {}))
    )
    return every(int(what["every"]), answer) if "every" in what else answer


HEADLINES = (
    ("{} beats estimates and raises its outlook", 0.9),
    ("{} shares plunge after profit warning", -0.8),
    ("{} to present at an industry conference", 0.0),
    ("{} wins a record contract, shares surge", 0.8),
)


def generated(tickers: Sequence[str], numbers: Iterable[int], now: datetime) -> list[Article]:
    """Articles about these instruments, the first the newest, a minute apart."""
    made = []
    for number in numbers:
        ticker, (headline, polarity) = tickers[number % len(tickers)], HEADLINES[number % 4]
        title = f"{headline.format(ticker)} ({number})"
        at = now - timedelta(minutes=number)
        made.append(article(number, at, (ticker,), title=title, polarity=polarity))
    return made


async def serve(options: argparse.Namespace) -> None:
    """Run until stopped."""
    tickers = options.tickers.split(",")
    articles = generated(tickers, range(options.generate), datetime.now(UTC))
    if options.articles:
        with open(options.articles, encoding="utf-8") as lines:  # noqa: ASYNC230, PTH123 - once, at the start
            articles += [json.loads(line) for line in lines if line.strip()]
    server = EodhdServer(articles, options.key, options.calls_per_day)
    async with server.running(options.host, options.port):
        print(json.dumps({"url": server.url}), flush=True)  # noqa: T201 - for its parent process
        number = options.generate
        while True:
            await asyncio.sleep(options.fresh_every or 3_600)
            if options.fresh_every:
                fresh = generated(tickers, [number], datetime.now(UTC) + timedelta(minutes=number))
                server.articles += fresh
                number += 1


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="A local server that speaks EODHD's news API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--key", default=KEY, help="the one accepted; empty: any")
    parser.add_argument("--tickers", default="AAPL.US,MSFT.US,NVDA.US,0700.HK")
    parser.add_argument("--generate", type=int, default=0, help="articles, a minute apart")
    parser.add_argument("--articles", default="", help="a file of articles, one JSON a line")
    parser.add_argument("--fresh-every", type=float, default=0, help="seconds; 0: never")
    parser.add_argument("--calls-per-day", type=int, default=100_000)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
